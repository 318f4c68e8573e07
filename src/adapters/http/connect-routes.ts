import { create } from '@bufbuild/protobuf';
import type { ConnectRouter, HandlerContext } from '@connectrpc/connect';
import type { CallMemory } from '../../application/call-memory.js';
import type { CommitLog } from '../../application/commit-log.js';
import type { Logger } from '../../application/ports/logger.js';
import { OffsetOutOfRangeError } from '../../domain/log/errors.js';
import type { Offset } from '../../domain/log/offsets.js';
import type { RecordLimits } from '../../domain/log/records.js';
import { LogService } from '../../gen/golog/v1/log_service_pb.js';
import { type ConsumeResponse, GetServersResponseSchema, Log, ProduceResponseSchema } from '../../gen/log/v1/log_pb.js';
import { memoryKey } from './call-guard.js';
import { pipelineAppends } from './append-pipeline.js';
import { toConnectError } from './connect-errors.js';
import {
  type Encoding,
  appendResponse,
  consumeResponses,
  logInfoResponse,
  offsetOrThrow,
  planAppend,
  planProduce,
  planRead,
  readResponse,
} from './log-messages.js';

/** Most payload bytes of one read: a response is in memory several times over while it is encoded. */
export const readBytesMax = 1024 * 1024;

export interface ConnectRoutesOptions {
  readonly recordLimits: RecordLimits;
  /** Aborts, with an `UnavailableError`, when the server begins to shut down. */
  readonly closing: AbortSignal;
}

/** What a read is told of the call that it is for. */
const readerOf = ({ signal, values }: HandlerContext): { signal: AbortSignal; memory: CallMemory | undefined } => ({
  signal,
  memory: values.get(memoryKey),
});

function encodingOf(context: HandlerContext): Encoding {
  return context.responseHeader.get('content-type')?.includes('json') === true ? 'json' : 'binary';
}

/**
 * Registers `log.v1.Log` and `golog.v1.LogService`. Calls that only read end with UNAVAILABLE as soon as the server
 * begins to shut down; appends are let finish, since to give up on one would leave its outcome unknown.
 */
export function connectRoutes(
  router: ConnectRouter,
  commitLog: CommitLog,
  logger: Logger,
  { recordLimits, closing }: ConnectRoutesOptions,
): void {
  const unary =
    <Request, Response>(handle: (request: Request, context: HandlerContext) => Promise<Response>) =>
    async (request: Request, context: HandlerContext): Promise<Response> => {
      try {
        return await handle(request, context);
      } catch (error) {
        throw toConnectError(error, `${context.service.typeName}/${context.method.name}`, logger);
      }
    };

  const streaming = <Request, Response>(
    handle: (request: Request, context: HandlerContext) => AsyncIterable<Response>,
  ) =>
    async function* (request: Request, context: HandlerContext): AsyncGenerator<Response, void, void> {
      try {
        yield* handle(request, context);
      } catch (error) {
        throw toConnectError(error, `${context.service.typeName}/${context.method.name}`, logger);
      }
    };

  const consume = async (offset: Offset, context: HandlerContext): Promise<ConsumeResponse> => {
    const read = await commitLog.read({ offset }, { ...readerOf(context), maxRecords: 1, maxBytes: 1 });
    const batch = read.batches[0];
    const [response] = batch === undefined ? [] : consumeResponses(batch, encodingOf(context));
    if (response === undefined) throw new OffsetOutOfRangeError(offset, read.logStartOffset, read.highWatermark);
    return response;
  };

  const untilClosing = { shutdownSignal: closing };
  router.rpc(
    Log.method.produce,
    unary(async (request, { signal }) => {
      const { records } = planProduce(request, recordLimits);
      const { baseOffset } = await commitLog.append(records, { signal });
      return create(ProduceResponseSchema, { offset: BigInt(baseOffset) });
    }),
  );
  router.rpc(
    Log.method.consume,
    unary((request, context) => consume(offsetOrThrow(request.offset, commitLog), context)),
    untilClosing,
  );
  router.rpc(
    Log.method.consumeStream,
    streaming(async function* (request, context) {
      const offset = offsetOrThrow(request.offset, commitLog);
      for await (const { batches } of commitLog.follow({ offset }, readerOf(context)))
        for (const batch of batches) yield* consumeResponses(batch, encodingOf(context));
    }),
    untilClosing,
  );
  router.rpc(
    Log.method.produceStream,
    streaming((requests, { signal }) =>
      pipelineAppends(
        requests,
        (request) => planProduce(request, recordLimits),
        async ({ records }) => {
          const { baseOffset } = await commitLog.append(records, { signal });
          return create(ProduceResponseSchema, { offset: BigInt(baseOffset) });
        },
        signal,
        closing,
      ),
    ),
  );
  router.rpc(
    Log.method.getServers,
    unary(async () =>
      Promise.resolve(
        create(GetServersResponseSchema, { servers: commitLog.servers().map((server) => ({ ...server })) }),
      ),
    ),
  );
  router.rpc(
    LogService.method.append,
    unary(async (request, { signal }) => {
      const { records, ...options } = planAppend(request, commitLog, recordLimits);
      return appendResponse(await commitLog.append(records, { ...options, signal }));
    }),
  );
  router.rpc(
    LogService.method.appendStream,
    streaming((requests, { signal }) =>
      pipelineAppends(
        requests,
        (request) => planAppend(request, commitLog, recordLimits),
        async ({ records, ...options }) => appendResponse(await commitLog.append(records, { ...options, signal })),
        signal,
        closing,
      ),
    ),
  );
  router.rpc(
    LogService.method.read,
    unary(async (request, context) => {
      const { from, options } = planRead(request, commitLog, readBytesMax);
      return readResponse(await commitLog.read(from, { ...options, ...readerOf(context) }), encodingOf(context));
    }),
    untilClosing,
  );
  router.rpc(
    LogService.method.tail,
    streaming(async function* (request, context) {
      const { from, options } = planRead(request, commitLog, readBytesMax);
      for await (const result of commitLog.follow(from, { ...options, ...readerOf(context) }))
        yield readResponse(result, encodingOf(context));
    }),
    untilClosing,
  );
  router.rpc(
    LogService.method.getLogInfo,
    unary(async (_, context) => logInfoResponse(await commitLog.info(context.signal))),
    untilClosing,
  );
}
