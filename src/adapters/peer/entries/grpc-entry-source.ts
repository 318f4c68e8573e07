import { create, toBinary } from '@bufbuild/protobuf';
import type { ClientReadableStream } from '@grpc/grpc-js';
import { Client, Metadata } from '@grpc/grpc-js';
import { SupersededError, UnavailableError } from '../../../application/errors.js';
import type { EntrySource, LogEnd } from '../../../application/ports/entry-source.js';
import type { Peer } from '../../../application/ports/peer-transport.js';
import type { RecordBatch, BatchChecksum } from '../../../domain/log/record-batch.js';
import {
  GetLogEndRequestSchema,
  GetLogEndResponseSchema,
  PeerService,
  ReadEntriesRequestSchema,
} from '../../../gen/golog/peer/v1/peer_service_pb.js';
import { ask, pathOf, same } from '../ask.js';
import { decodeEntries } from './entry-wire.js';
import { peerChannelOptions } from '../messages/peer-dial.js';
import { inClear, type PeerCredentials } from '../identity/peer-credentials.js';
import { generationOf, identityMetadata } from '../identity/peer-identity.js';
import { peerMessage } from '../messages/peer-message.js';
import { safeNumber } from '../safe-number.js';

const answerMs = 3_000;

/**
 * Reads entries over `golog.peer.v1.PeerService`, with one connection per call. Keepalive detects a dead connection.
 * The end of a log is asked for at every address of the peer; entries are read at the address that answered.
 */
export class GrpcEntrySource implements EntrySource {
  /** The address at which a peer answered last, by Raft id. */
  readonly #answeredAt = new Map<number, string>();

  constructor(
    private readonly checksum: BatchChecksum,
    private readonly self: Peer,
    private readonly credentials: PeerCredentials = inClear,
    /** The generation of this node's log. */
    private readonly generation = 0,
  ) {}

  async logEnd(peer: Peer, term: number, signal: AbortSignal): Promise<LogEnd> {
    signal.throwIfAborted();
    const settled = new AbortController();
    const unneeded = AbortSignal.any([signal, settled.signal]);
    const addresses = [...new Set([peer.rpcAddr, ...(peer.seenAt ?? [])])];
    try {
      return await Promise.any(addresses.map((rpcAddr) => this.#logEndAt(rpcAddr, peer, term, unneeded)));
    } catch (error) {
      signal.throwIfAborted();
      // The error of the configured address matters most.
      throw error instanceof AggregateError ? error.errors[0] : error;
    } finally {
      settled.abort(new UnavailableError('another address has answered'));
    }
  }

  async #logEndAt(rpcAddr: string, peer: Peer, term: number, signal: AbortSignal): Promise<LogEnd> {
    const client = new Client(rpcAddr, this.credentials(peer.name), peerChannelOptions);
    try {
      const request = toBinary(GetLogEndRequestSchema, create(GetLogEndRequestSchema, { term: BigInt(term) }));
      const question = { path: pathOf(PeerService.method.getLogEnd), request: Buffer.from(request) };
      const metadata = this.#metadata(peer);
      const bytes = await ask(client, { ...question, metadata, deadlineMs: answerMs }, signal);
      const end = peerMessage(GetLogEndResponseSchema, bytes);
      this.#answeredAt.set(peer.id, rpcAddr);
      return {
        term: safeNumber(end.term),
        leads: end.leads,
        startIndex: safeNumber(end.startIndex),
        commitIndex: safeNumber(end.commitIndex),
        lastIndex: safeNumber(end.lastIndex),
      };
    } finally {
      client.close();
    }
  }

  #metadata(peer: Peer): Metadata {
    const { id, rpcAddr, name = '', uuid = '' } = this.self;
    const { checksum, generation } = this;
    const [from, to, toUuid] = [id, peer.id, peer.uuid ?? ''];
    return identityMetadata({ clusterId: checksum.logId, from, rpcAddr, to, name, uuid, toUuid, generation });
  }

  async *read(
    peer: Peer,
    from: number,
    until: number,
    signal: AbortSignal,
  ): AsyncGenerator<readonly RecordBatch[], void, void> {
    signal.throwIfAborted();
    const rpcAddr = this.#answeredAt.get(peer.id) ?? peer.rpcAddr;
    const client = new Client(rpcAddr, this.credentials(peer.name), peerChannelOptions);
    const range = create(ReadEntriesRequestSchema, { fromIndex: BigInt(from), untilIndex: BigInt(until) });
    const stream: ClientReadableStream<Buffer> = client.makeServerStreamRequest(
      pathOf(PeerService.method.readEntries),
      same,
      same,
      Buffer.from(toBinary(ReadEntriesRequestSchema, range)),
      this.#metadata(peer),
    );
    yield* receive(client, stream, signal, (bytes) => decodeEntries(bytes, this.checksum));
  }
}

/**
 * Yields the decoded messages of a call that has its own connection, and closes both when the reader ends. Rejects with
 * the signal's reason on an abort, else as the ports do.
 */
export async function* receive<Value>(
  client: Client,
  stream: ClientReadableStream<Buffer>,
  signal: AbortSignal,
  decode: (bytes: Buffer) => Value,
): AsyncGenerator<Value, void, void> {
  const abort = (): void => {
    stream.cancel();
  };
  signal.addEventListener('abort', abort, { once: true });
  try {
    for await (const bytes of stream as AsyncIterable<Buffer>) yield decode(bytes);
  } catch (error) {
    throw signal.aborted ? signal.reason : toPortError(error);
  } finally {
    signal.removeEventListener('abort', abort);
    stream.on('error', () => undefined);
    stream.cancel();
    client.close();
  }
}

/**
 * Returns the `UnavailableError` for a failed call, or the `SupersededError` of a peer that has a later generation; any
 * other error is returned unchanged.
 */
export function toPortError(error: unknown): unknown {
  if (typeof error !== 'object' || error === null || !('details' in error)) return error;
  const generation = 'metadata' in error && error.metadata instanceof Metadata ? generationOf(error.metadata) : 0;
  return generation > 0 ? new SupersededError(generation) : new UnavailableError(String(error.details));
}
