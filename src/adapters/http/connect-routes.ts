import { create } from '@bufbuild/protobuf';
import type { ConnectRouter, HandlerContext } from '@connectrpc/connect';
import type { CommitLog, ReadOptions, ReadResult } from '../../application/ports/commit-log.js';
import type { Logger } from '../../application/ports/logger.js';
import { OffsetOutOfRangeError } from '../../domain/log/errors.js';
import type { Offset } from '../../domain/log/offsets.js';
import type { RecordLimits } from '../../domain/log/records.js';
import {
  type AppendResponse,
  CloseProducerResponseSchema,
  LogService,
  type ReadRequest,
  ReadResponseSchema,
} from '../../gen/golog/v1/log_service_pb.js';
import {
  type ConsumeResponse,
  ConsumeResponseSchema,
  Log,
  type ProduceResponse,
  ProduceResponseSchema,
} from '../../gen/log/v1/log_pb.js';
import { type AppendPlan, planAppend, planProduce } from '../wire/append-plan.js';
import { openedResponse, planClosing, planOpening } from '../wire/producers.js';
import { logInfoResponse, serversResponse } from '../wire/log-messages.js';
import { offsetOrThrow } from '../wire/offset.js';
import { consumeResponsesBytes, readResponseBytes } from '../wire/responses.js';
import { planRead, type ReadPlan } from '../wire/read-plan.js';
import { type PlannedRequest, pipelineAppends } from './append-pipeline.js';
import { appendRequestsKey } from './append-requests.js';
import { addressKey, memoryKey } from './call-guard.js';
import { toConnectError } from './connect-errors.js';
import { jsonConsumeResponses, jsonReadResponse } from './json-answers.js';
import { appendResponse, encodedMessage } from './log-messages.js';
import { sendConsumeResponses, sendReadResponses } from './stream-messages.js';
import { readInTurn, type Turns } from './turns.js';

/** Most payload bytes of one read: a response is in memory several times over while it is encoded. */
export const readBytesMax = 1024 * 1024;

/**
 * Most records of one answer that is JSON: a page, whose end says where the next begins. Of a batch with 500,000 of them
 * 110 bytes could ask for much work.
 */
export const jsonRecordsMax = 4_096;

const binaryReadLimits = { bytesMax: readBytesMax };
const jsonReadLimits = { bytesMax: readBytesMax, recordsMax: jsonRecordsMax };

export interface ConnectRoutesOptions {
  readonly recordLimits: RecordLimits;
  /** Aborts, with an `UnavailableError`, when the server begins to shut down. */
  readonly closing: AbortSignal;
  /** The turns of answers that are JSON. */
  readonly turns: Turns;
}

function isJson(context: HandlerContext): boolean {
  return context.responseHeader.get('content-type')?.includes('json') === true;
}

/** What a read is told of the call that it is for. */
type Reader = Pick<ReadOptions, 'signal' | 'memory'>;

function readerOf({ signal, values }: HandlerContext): Reader {
  return { signal, memory: values.get(memoryKey) };
}

/**
 * Registers `log.v1.Log` and `golog.v1.LogService`. Calls that only read end with UNAVAILABLE as soon as the server
 * begins to shut down; appends are let finish, since to give up on one would leave its outcome unknown.
 */
export function connectRoutes(
  router: ConnectRouter,
  commitLog: CommitLog,
  logger: Logger,
  { recordLimits, closing, turns }: ConnectRoutesOptions,
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

  // Connect parses nothing of what is appended: see `AppendRequests`.
  const taken = (context: HandlerContext, plan: (message: Uint8Array) => AppendPlan): PlannedRequest => {
    const { message, bytes } = context.values.get(appendRequestsKey)?.take() ?? {
      message: new Uint8Array(0),
      bytes: 0,
    };
    return { plan: plan(message), requestBytes: bytes };
  };
  const takenRecord = (context: HandlerContext): PlannedRequest =>
    taken(context, (message) => planProduce(message, recordLimits));
  const takenRecords = (context: HandlerContext): PlannedRequest =>
    taken(context, (message) => planAppend(message, commitLog, recordLimits));

  const produced = async ({ records }: AppendPlan): Promise<ProduceResponse> => {
    const { baseOffset } = await commitLog.append(records);
    return create(ProduceResponseSchema, { offset: BigInt(baseOffset) });
  };

  const appended = async ({ records, ...options }: AppendPlan): Promise<AppendResponse> =>
    appendResponse(await commitLog.append(records, options), options.producer);

  const pipelined = <Request, Answer>(
    requests: AsyncIterable<Request>,
    plan: () => PlannedRequest,
    append: (plan: AppendPlan) => Promise<Answer>,
    { signal, values }: HandlerContext,
  ): AsyncIterable<Answer> => pipelineAppends(requests, plan, append, signal, closing, values.get(memoryKey));

  /** Makes an answer that is JSON; `reader` has the read wait for its turn, which `begin` does by itself. */
  const inTurn = <Response>(
    context: HandlerContext,
    answer: (reader: Reader, begin: () => Promise<void>) => Promise<Response>,
  ): Promise<Response> => {
    const { signal, memory } = readerOf(context);
    return turns.run(context.values.get(addressKey), signal, (begin) =>
      answer({ signal, memory: readInTurn(begin, memory) }, begin),
    );
  };

  const consume = async (offset: Offset, context: HandlerContext): Promise<ConsumeResponse> => {
    const answer = async (reader: Reader): Promise<ConsumeResponse> => {
      const read = await commitLog.read({ offset }, { ...reader, maxRecords: 1, maxBytes: 1 });
      const [batch] = read.batches;
      if (batch !== undefined) {
        if (isJson(context)) for await (const response of jsonConsumeResponses(batch)) return response;
        else for (const bytes of consumeResponsesBytes(batch)) return encodedMessage(ConsumeResponseSchema, bytes);
      }
      throw new OffsetOutOfRangeError(offset, read.logStartOffset, read.highWatermark);
    };
    return isJson(context) ? inTurn(context, answer) : answer(readerOf(context));
  };

  const readPlan = (request: ReadRequest, context: HandlerContext): ReadPlan =>
    planRead(request, commitLog, isJson(context) ? jsonReadLimits : binaryReadLimits);

  const untilClosing = { shutdownSignal: closing };
  router.rpc(
    Log.method.produce,
    unary((_, context) => produced(takenRecord(context).plan)),
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
      for await (const result of commitLog.follow({ offset }, readerOf(context)))
        if (isJson(context)) for (const batch of result.batches) yield* jsonConsumeResponses(batch);
        else yield* sendConsumeResponses(result, context);
    }),
    untilClosing,
  );
  router.rpc(
    Log.method.produceStream,
    streaming((requests, context) => pipelined(requests, () => takenRecord(context), produced, context)),
  );
  router.rpc(
    Log.method.getServers,
    unary(async () => Promise.resolve(serversResponse(commitLog.servers()))),
  );
  router.rpc(
    LogService.method.append,
    unary((_, context) => appended(takenRecords(context).plan)),
  );
  router.rpc(
    LogService.method.appendStream,
    streaming((requests, context) => pipelined(requests, () => takenRecords(context), appended, context)),
  );
  router.rpc(
    LogService.method.openProducer,
    unary(async (request) => openedResponse(await commitLog.openProducer(planOpening(request)))),
  );
  router.rpc(
    LogService.method.closeProducer,
    unary(async (request) => {
      const { id, epoch } = planClosing(request);
      await commitLog.closeProducer(id, epoch);
      return create(CloseProducerResponseSchema);
    }),
  );
  router.rpc(
    LogService.method.read,
    unary(async (request, context) => {
      const { from, options } = readPlan(request, context);
      const read = (reader: Reader): Promise<ReadResult> => commitLog.read(from, { ...options, ...reader });
      if (!isJson(context)) return encodedMessage(ReadResponseSchema, readResponseBytes(await read(readerOf(context))));
      return inTurn(context, async (reader) => jsonReadResponse(await read(reader)));
    }),
    untilClosing,
  );
  router.rpc(
    LogService.method.tail,
    streaming(async function* (request, context) {
      const { from, options } = readPlan(request, context);
      for await (const result of commitLog.follow(from, { ...options, ...readerOf(context) }))
        if (isJson(context))
          yield await inTurn(context, async (_, begin) => {
            await begin();
            return jsonReadResponse(result);
          });
        else yield* sendReadResponses(result, context);
    }),
    untilClosing,
  );
  router.rpc(
    LogService.method.getLogInfo,
    unary(async (_, context) => logInfoResponse(await commitLog.info(context.signal), recordLimits)),
    untilClosing,
  );
}
