import { toBinary } from '@bufbuild/protobuf';
import type {
  handleBidiStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { status as grpcCodes } from '@grpc/grpc-js';
import type { CommitLog, ReadResult } from '../../application/ports/commit-log.js';
import type { AppendReceipt } from '../../application/ports/consensus.js';
import type { Logger } from '../../application/ports/logger.js';
import { OffsetOutOfRangeError } from '../../domain/log/errors.js';
import type { Offset } from '../../domain/log/offsets.js';
import type { RecordLimits } from '../../domain/log/records.js';
import {
  CloseProducerRequestSchema,
  GetLogInfoRequestSchema,
  GetLogInfoResponseSchema,
  OpenProducerRequestSchema,
  OpenProducerResponseSchema,
  ReadRequestSchema,
} from '../../gen/golog/v1/log_service_pb.js';
import { ConsumeRequestSchema, GetServersRequestSchema, GetServersResponseSchema } from '../../gen/log/v1/log_pb.js';
import { planAppend, planProduce } from '../wire/append-plan.js';
import { logInfoResponse, serversResponse } from '../wire/log-messages.js';
import { offsetOrThrow } from '../wire/offset.js';
import { openedResponse, planClosing, planOpening } from '../wire/producers.js';
import { planRead, type ReadPlan } from '../wire/read-plan.js';
import { serveAppends } from './append-stream.js';
import { failCall } from './call-errors.js';
import { callSignal } from './call-signal.js';
import { serveFollow } from './follow-stream.js';
import { parseRequest } from './parse-request.js';
import { memoryOf } from './pipelined-call.js';
import {
  appendResponseBytes,
  consumeResponsesBytes,
  produceResponseBytes,
  readResponseBytes,
} from '../wire/responses.js';

export interface LogHandlerOptions {
  readonly limits: RecordLimits;
  /** Most payload bytes that a reader may ask for in one response. */
  readonly readBytesMax: number;
  /** Aborts when the server begins to shut down. */
  readonly closing: AbortSignal;
}

type UnaryCall = Parameters<handleUnaryCall<Buffer, Buffer>>[0];

/** What a stream of single records reads at a time: each record costs a message, so bigger runs only cost memory. */
const consumeStreamBytes = 256 * 1024;

/** The handlers of `log.v1.Log` and `golog.v1.LogService`: bytes in, bytes out, errors by `statusOf`. */
export class LogHandlers {
  constructor(
    private readonly options: LogHandlerOptions,
    private readonly commitLog: CommitLog,
    private readonly logger: Logger,
  ) {}

  /** Handlers of `log.v1.Log`. */
  log(): UntypedServiceImplementation {
    return {
      produce: this.#unary('Produce', (request) => this.#produce(request)),
      consume: this.#unary('Consume', (request, call) => this.#consume(request, call)),
      consumeStream: this.#follow(
        'ConsumeStream',
        (request) => ({
          from: { offset: this.#consumeOffset(request) },
          options: { maxBytes: consumeStreamBytes },
        }),
        consumeMessages,
      ),
      produceStream: this.#appendStream('ProduceStream', (request) => this.#produce(request)),
      getServers: this.#unary('GetServers', (request) => this.#getServers(request)),
    };
  }

  /** Handlers of `golog.v1.LogService`. */
  logService(): UntypedServiceImplementation {
    const limits = { bytesMax: this.options.readBytesMax };
    const plan = (request: Buffer): ReadPlan =>
      planRead(parseRequest(ReadRequestSchema, request), this.commitLog, limits);
    return {
      append: this.#unary('Append', (request) => this.#append(request)),
      appendStream: this.#appendStream('AppendStream', (request) => this.#append(request)),
      openProducer: this.#unary('OpenProducer', (request) => this.#openProducer(request)),
      closeProducer: this.#unary('CloseProducer', (request) => this.#closeProducer(request)),
      read: this.#unary('Read', (request, call) => this.#read(plan(request), call)),
      tail: this.#follow('Tail', plan, (result) => [readResponseBytes(result)]),
      getLogInfo: this.#unary('GetLogInfo', (request, call) => this.#getLogInfo(request, call)),
    };
  }

  #produce(request: Buffer): Promise<Buffer> {
    const { records } = planProduce(request, this.options.limits);
    return this.commitLog.append(records).then(({ baseOffset }) => produceResponseBytes(baseOffset));
  }

  #append(request: Buffer): Promise<Buffer> {
    const { records, ...options } = planAppend(request, this.commitLog, this.options.limits);
    const answer = (receipt: AppendReceipt): Buffer => appendResponseBytes(receipt, options.producer);
    return this.commitLog.append(records, options).then(answer);
  }

  async #openProducer(request: Buffer): Promise<Buffer> {
    const opened = await this.commitLog.openProducer(planOpening(parseRequest(OpenProducerRequestSchema, request)));
    return Buffer.from(toBinary(OpenProducerResponseSchema, openedResponse(opened)));
  }

  async #closeProducer(request: Buffer): Promise<Buffer> {
    const { id, epoch } = planClosing(parseRequest(CloseProducerRequestSchema, request));
    await this.commitLog.closeProducer(id, epoch);
    return Buffer.alloc(0);
  }

  #consumeOffset(request: Buffer): Offset {
    return offsetOrThrow(parseRequest(ConsumeRequestSchema, request).offset, this.commitLog);
  }

  async #consume(request: Buffer, call: UnaryCall): Promise<Buffer> {
    const offset = this.#consumeOffset(request);
    const signal = callSignal(call);
    const memory = memoryOf(call);
    const result = await this.commitLog.read({ offset }, { maxRecords: 1, maxBytes: 1, signal, memory });
    const [batch] = result.batches;
    const [message] = batch === undefined ? [] : consumeResponsesBytes(batch);
    if (message === undefined) throw new OffsetOutOfRangeError(offset, result.logStartOffset, result.highWatermark);
    return message;
  }

  async #read({ from, options }: ReadPlan, call: UnaryCall): Promise<Buffer> {
    const memory = memoryOf(call);
    return readResponseBytes(await this.commitLog.read(from, { ...options, signal: callSignal(call), memory }));
  }

  #getServers(request: Buffer): Buffer {
    parseRequest(GetServersRequestSchema, request);
    return Buffer.from(toBinary(GetServersResponseSchema, serversResponse(this.commitLog.servers())));
  }

  async #getLogInfo(request: Buffer, call: UnaryCall): Promise<Buffer> {
    parseRequest(GetLogInfoRequestSchema, request);
    const info = await this.commitLog.info(callSignal(call));
    return Buffer.from(toBinary(GetLogInfoResponseSchema, logInfoResponse(info, this.options.limits)));
  }

  #unary(
    method: string,
    handle: (request: Buffer, call: UnaryCall) => Promise<Buffer> | Buffer,
  ): handleUnaryCall<Buffer, Buffer> {
    const fail = failCall(this.logger, method);
    return (call, respond) => {
      const onError = (error: unknown): void => {
        respond(call.cancelled ? { code: grpcCodes.CANCELLED } : fail(error));
      };
      try {
        const answer = handle(call.request, call);
        if (answer instanceof Promise)
          answer.then((message) => {
            respond(null, message);
          }, onError);
        else respond(null, answer);
      } catch (error) {
        onError(error);
      }
    };
  }

  #follow(
    method: string,
    plan: (request: Buffer) => ReadPlan,
    messagesOf: (result: ReadResult) => Iterable<Buffer>,
  ): handleServerStreamingCall<Buffer, Buffer> {
    const fail = failCall(this.logger, method);
    return (call) => void serveFollow(call, this.commitLog, plan, messagesOf, fail, memoryOf(call));
  }

  #appendStream(method: string, append: (request: Buffer) => Promise<Buffer>): handleBidiStreamingCall<Buffer, Buffer> {
    const fail = failCall(this.logger, method);
    return (call) => {
      serveAppends(call, append, this.options.closing, fail, memoryOf(call));
    };
  }
}

function* consumeMessages(result: ReadResult): Iterable<Buffer> {
  for (const batch of result.batches) yield* consumeResponsesBytes(batch);
}
