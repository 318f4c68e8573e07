import { create, toBinary } from '@bufbuild/protobuf';
import { Client, Metadata, status } from '@grpc/grpc-js';
import { UnavailableError } from '../../../application/errors.js';
import type { JoinAnswer, Joiner, JoinTransport } from '../../../application/ports/join-transport.js';
import type { VouchAnswer, VouchRequest } from '../../../application/ports/vouching.js';
import { InvalidInputError } from '../../../domain/log/errors.js';
import { JoinRequestSchema, JoinResponseSchema, PeerService } from '../../../gen/golog/peer/v1/peer_service_pb.js';
import { ask, pathOf, type Question } from '../ask.js';
import { decodeVouch, encodeVouchRequest } from '../vouching/vouch-messages.js';
import { answerOf, joinerMessage } from './join-messages.js';
import { peerChannelOptions } from '../messages/peer-dial.js';
import { inClear, type PeerChannelCredentials, type PeerCredentials } from '../identity/peer-credentials.js';
import { peerMessage } from '../messages/peer-message.js';

/** A join request without an answer for this long fails; the joining node retries. */
const answerMs = 10_000;

/** A peer that is asked to vouch for this node has the answer at hand. */
const vouchMs = 3_000;

/** Makes the calls over `golog.peer.v1.PeerService`, with one connection per call. */
export class GrpcJoinTransport implements JoinTransport {
  constructor(private readonly credentials: PeerCredentials = inClear) {}

  async ask(rpcAddr: string, joiner: Joiner, signal: AbortSignal): Promise<JoinAnswer> {
    const request = Buffer.from(
      toBinary(JoinRequestSchema, create(JoinRequestSchema, { joiner: joinerMessage(joiner) })),
    );
    const question = { path: pathOf(PeerService.method.join), request, metadata: new Metadata(), deadlineMs: answerMs };
    return this.#ask(rpcAddr, question, signal, (answer) => answerOf(peerMessage(JoinResponseSchema, answer)));
  }

  async vouch(rpcAddr: string, request: VouchRequest, signal: AbortSignal): Promise<VouchAnswer> {
    const path = pathOf(PeerService.method.vouch);
    const question = { path, request: encodeVouchRequest(request), metadata: new Metadata(), deadlineMs: vouchMs };
    try {
      return await this.#ask(rpcAddr, question, signal, (answer, { peerNames }) => ({
        ...decodeVouch(answer),
        ...(peerNames && { certifiedAs: peerNames }),
      }));
    } catch (error) {
      if (error instanceof UnavailableError && isUnimplemented(error.cause)) return 'unsupported';
      throw error;
    }
  }

  async #ask<Answer>(
    rpcAddr: string,
    question: Question,
    signal: AbortSignal,
    decode: (answer: Buffer, credentials: PeerChannelCredentials) => Answer,
  ): Promise<Answer> {
    signal.throwIfAborted();
    const credentials = this.credentials();
    const client = new Client(rpcAddr, credentials, peerChannelOptions);
    try {
      return decode(await ask(client, question, signal), credentials);
    } catch (error) {
      if (error instanceof InvalidInputError)
        throw new UnavailableError(`${rpcAddr} sent an invalid answer: ${error.message}`);
      if (error instanceof UnavailableError)
        throw new UnavailableError(`${rpcAddr} does not answer: ${error.message}`, undefined, { cause: error.cause });
      throw error;
    } finally {
      client.close();
    }
  }
}

/** Whether a node of a release without the call has answered. */
function isUnimplemented(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && cause.code === status.UNIMPLEMENTED;
}
