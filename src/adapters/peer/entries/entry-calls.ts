import { create, toBinary } from '@bufbuild/protobuf';
import type { sendUnaryData, ServerWritableStream } from '@grpc/grpc-js';
import { status } from '@grpc/grpc-js';
import { UnavailableError } from '../../../application/errors.js';
import type { EntryHandler } from '../../../application/ports/entry-source.js';
import type { Logger } from '../../../application/ports/logger.js';
import {
  GetLogEndRequestSchema,
  GetLogEndResponseSchema,
  ReadEntriesRequestSchema,
} from '../../../gen/golog/peer/v1/peer_service_pb.js';
import { statusOfEntryError } from './entry-errors.js';
import { encodeEntries } from './entry-wire.js';
import { peerMessage } from '../messages/peer-message.js';
import { safeNumber } from '../safe-number.js';

type Stream = ServerWritableStream<Buffer, Buffer>;

/** Serves `GetLogEnd` and `ReadEntries` to admitted members. */
export class EntryCalls {
  readonly #streams = new Set<Stream>();
  #handler: EntryHandler | undefined;

  constructor(private readonly logger: Logger) {}

  setHandler(handler: EntryHandler): void {
    this.#handler = handler;
  }

  /** Ends all reads in progress. */
  endAll(): void {
    this.#handler = undefined;
    for (const stream of this.#streams) fail(stream, status.UNAVAILABLE, 'this node is closing its peer connections');
    this.#streams.clear();
  }

  logEnd(from: number, request: Buffer, respond: sendUnaryData<Buffer>): void {
    try {
      const { term } = peerMessage(GetLogEndRequestSchema, request);
      const end = this.#handlerOrThrow().logEnd(from, safeNumber(term));
      const response = create(GetLogEndResponseSchema, {
        term: BigInt(end.term),
        leads: end.leads,
        startIndex: BigInt(end.startIndex),
        commitIndex: BigInt(end.commitIndex),
        lastIndex: BigInt(end.lastIndex),
      });
      respond(null, Buffer.from(toBinary(GetLogEndResponseSchema, response)));
    } catch (error) {
      respond(statusOfEntryError(error, this.logger));
    }
  }

  read(call: Stream): void {
    this.#streams.add(call);
    const cancelled = new Promise<'cancelled'>((resolve) => {
      call.once('cancelled', () => {
        this.#streams.delete(call);
        resolve('cancelled');
      });
    });
    this.#send(call, cancelled).then(
      () => {
        if (this.#streams.delete(call)) call.end();
      },
      (error: unknown) => {
        const { code, details } = statusOfEntryError(error, this.logger);
        if (this.#streams.delete(call)) fail(call, code, details);
      },
    );
  }

  /** Sends one message at a time: the next is read after the connection has accepted the previous one. */
  async #send(call: Stream, cancelled: Promise<'cancelled'>): Promise<void> {
    const { fromIndex, untilIndex } = peerMessage(ReadEntriesRequestSchema, call.request);
    for await (const batches of this.#handlerOrThrow().read(safeNumber(fromIndex), safeNumber(untilIndex))) {
      if (!this.#streams.has(call)) return;
      const accepted = new Promise<void>((resolve) => {
        call.write(encodeEntries(batches), () => {
          resolve();
        });
      });
      if ((await Promise.race([accepted, cancelled])) === 'cancelled') return;
    }
  }

  #handlerOrThrow(): EntryHandler {
    if (this.#handler === undefined) throw new UnavailableError('this node is starting');
    return this.#handler;
  }
}

function fail(call: Stream, code: status, details: string): void {
  call.emit('error', { code, details });
}
