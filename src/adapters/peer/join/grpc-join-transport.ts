import { create, toBinary } from '@bufbuild/protobuf';
import { Client, Metadata } from '@grpc/grpc-js';
import { UnavailableError } from '../../../application/errors.js';
import type { JoinAnswer, Joiner, JoinTransport } from '../../../application/ports/join-transport.js';
import { InvalidInputError } from '../../../domain/log/errors.js';
import { JoinRequestSchema, JoinResponseSchema, PeerService } from '../../../gen/golog/peer/v1/peer_service_pb.js';
import { ask, pathOf } from '../ask.js';
import { answerOf, joinerMessage } from './join-messages.js';
import { peerChannelOptions } from '../messages/peer-dial.js';
import { inClear, type PeerCredentials } from '../identity/peer-credentials.js';
import { peerMessage } from '../messages/peer-message.js';

/** A join request without an answer for this long fails; the joining node retries. */
const answerMs = 10_000;

/** Sends join requests over `golog.peer.v1.PeerService`, with one connection per request. */
export class GrpcJoinTransport implements JoinTransport {
  constructor(private readonly credentials: PeerCredentials = inClear) {}

  async ask(rpcAddr: string, joiner: Joiner, signal: AbortSignal): Promise<JoinAnswer> {
    signal.throwIfAborted();
    const client = new Client(rpcAddr, this.credentials(), peerChannelOptions);
    const request = Buffer.from(
      toBinary(JoinRequestSchema, create(JoinRequestSchema, { joiner: joinerMessage(joiner) })),
    );
    const question = { path: pathOf(PeerService.method.join), request, metadata: new Metadata(), deadlineMs: answerMs };
    try {
      return answerOf(peerMessage(JoinResponseSchema, await ask(client, question, signal)));
    } catch (error) {
      if (error instanceof InvalidInputError)
        throw new UnavailableError(`${rpcAddr} sent an invalid answer: ${error.message}`);
      if (error instanceof UnavailableError) throw new UnavailableError(`${rpcAddr} does not answer: ${error.message}`);
      throw error;
    } finally {
      client.close();
    }
  }
}
