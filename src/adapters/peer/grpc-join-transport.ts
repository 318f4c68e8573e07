import { create, toBinary } from '@bufbuild/protobuf';
import { Client, Metadata } from '@grpc/grpc-js';
import { UnavailableError } from '../../application/errors.js';
import type { JoinAnswer, Joiner, JoinTransport } from '../../application/ports/join-transport.js';
import { InvalidInputError } from '../../domain/log/errors.js';
import { JoinRequestSchema, JoinResponseSchema, PeerService } from '../../gen/golog/peer/v1/peer_service_pb.js';
import { answerOf } from './join-messages.js';
import { peerChannelOptions } from './peer-connection.js';
import { inClear, type PeerCredentials } from './peer-credentials.js';
import { peerMessage } from './peer-message.js';

/** A node that has not answered after this long is asked again by whoever wants to join. */
const answerMs = 10_000;

/** Joins over `golog.peer.v1.PeerService`, with a connection for each question. */
export class GrpcJoinTransport implements JoinTransport {
  constructor(private readonly credentials: PeerCredentials = inClear) {}

  async ask(rpcAddr: string, joiner: Joiner, signal: AbortSignal): Promise<JoinAnswer> {
    signal.throwIfAborted();
    const client = new Client(rpcAddr, this.credentials(), peerChannelOptions);
    try {
      return await ask(client, rpcAddr, joiner, signal);
    } finally {
      client.close();
    }
  }
}

function ask(client: Client, rpcAddr: string, joiner: Joiner, signal: AbortSignal): Promise<JoinAnswer> {
  return new Promise((resolve, reject) => {
    const call = client.makeUnaryRequest(
      `/${PeerService.typeName}/${PeerService.method.join.name}`,
      (request: Uint8Array) => Buffer.from(request),
      (response: Uint8Array) => response,
      toBinary(JoinRequestSchema, create(JoinRequestSchema, { joiner })),
      new Metadata(),
      { deadline: Date.now() + answerMs },
      (error, response) => {
        signal.removeEventListener('abort', abort);
        if (signal.aborted) reject(signal.reason as Error);
        else if (error) reject(new UnavailableError(`${rpcAddr} does not answer: ${error.details}`));
        else if (response) settle(response);
      },
    );
    const settle = (response: Uint8Array): void => {
      try {
        resolve(answerOf(peerMessage(JoinResponseSchema, response)));
      } catch (error) {
        const isMalformed = error instanceof InvalidInputError;
        reject(isMalformed ? new UnavailableError(`${rpcAddr} answers nonsense: ${error.message}`) : error);
      }
    };
    const abort = (): void => {
      call.cancel();
    };
    signal.addEventListener('abort', abort);
  });
}
