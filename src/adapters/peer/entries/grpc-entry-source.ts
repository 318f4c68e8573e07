import { create, toBinary } from '@bufbuild/protobuf';
import type { ClientReadableStream, Metadata } from '@grpc/grpc-js';
import { Client } from '@grpc/grpc-js';
import { UnavailableError } from '../../../application/errors.js';
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
import { peerChannelOptions } from '../messages/peer-connection.js';
import { inClear, type PeerCredentials } from '../identity/peer-credentials.js';
import { identityMetadata } from '../identity/peer-identity.js';
import { peerMessage } from '../messages/peer-message.js';
import { safeNumber } from '../safe-number.js';

const answerMs = 3_000;

/**
 * Reads entries over `golog.peer.v1.PeerService`, with one connection per call. Keepalive detects a dead connection.
 */
export class GrpcEntrySource implements EntrySource {
  constructor(
    private readonly checksum: BatchChecksum,
    private readonly self: Peer,
    private readonly credentials: PeerCredentials = inClear,
  ) {}

  async logEnd(peer: Peer, term: number, signal: AbortSignal): Promise<LogEnd> {
    signal.throwIfAborted();
    const client = new Client(peer.rpcAddr, this.credentials(peer.name), peerChannelOptions);
    try {
      const request = toBinary(GetLogEndRequestSchema, create(GetLogEndRequestSchema, { term: BigInt(term) }));
      const question = { path: pathOf(PeerService.method.getLogEnd), request: Buffer.from(request) };
      const metadata = this.#metadata(peer);
      const bytes = await ask(client, { ...question, metadata, deadlineMs: answerMs }, signal);
      const end = peerMessage(GetLogEndResponseSchema, bytes);
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
    const { id, rpcAddr, name = '' } = this.self;
    return identityMetadata({ clusterId: this.checksum.logId, from: id, rpcAddr, to: peer.id, name });
  }

  async *read(
    peer: Peer,
    from: number,
    until: number,
    signal: AbortSignal,
  ): AsyncGenerator<readonly RecordBatch[], void, void> {
    signal.throwIfAborted();
    const client = new Client(peer.rpcAddr, this.credentials(peer.name), peerChannelOptions);
    const range = create(ReadEntriesRequestSchema, { fromIndex: BigInt(from), untilIndex: BigInt(until) });
    const stream: ClientReadableStream<Buffer> = client.makeServerStreamRequest(
      pathOf(PeerService.method.readEntries),
      same,
      same,
      Buffer.from(toBinary(ReadEntriesRequestSchema, range)),
      this.#metadata(peer),
    );
    const abort = (): void => {
      stream.cancel();
    };
    signal.addEventListener('abort', abort, { once: true });
    try {
      for await (const bytes of stream as AsyncIterable<Buffer>) yield decodeEntries(bytes, this.checksum);
    } catch (error) {
      throw signal.aborted ? signal.reason : toPortError(error);
    } finally {
      signal.removeEventListener('abort', abort);
      stream.on('error', () => undefined);
      stream.cancel();
      client.close();
    }
  }
}

/** Returns the `UnavailableError` for a failed call; any other error is returned unchanged. */
export function toPortError(error: unknown): unknown {
  const isCallError = typeof error === 'object' && error !== null && 'details' in error;
  return isCallError ? new UnavailableError(String(error.details)) : error;
}
