import type { Client, Metadata } from '@grpc/grpc-js';
import { UnavailableError } from '../../application/errors.js';
import { PeerService } from '../../gen/golog/peer/v1/peer_service_pb.js';

export const same = (bytes: Buffer): Buffer => bytes;
export const pathOf = ({ name }: { readonly name: string }): string => `/${PeerService.typeName}/${name}`;

export interface Question {
  readonly path: string;
  readonly request: Buffer;
  readonly metadata: Metadata;
  readonly deadlineMs: number;
}

/**
 * Makes one unary call to a peer, in bytes. Rejects with the signal's reason if it aborts, otherwise with
 * `UnavailableError`.
 */
export function ask(
  client: Client,
  { path, request, metadata, deadlineMs }: Question,
  signal: AbortSignal,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const options = { deadline: Date.now() + deadlineMs };
    const call = client.makeUnaryRequest(path, same, same, request, metadata, options, (error, response) => {
      signal.removeEventListener('abort', abort);
      if (signal.aborted) reject(signal.reason as Error);
      else if (error === null && response !== undefined) resolve(response);
      else reject(new UnavailableError(error?.details ?? 'no answer', undefined, { cause: error }));
    });
    const abort = (): void => {
      call.cancel();
    };
    signal.addEventListener('abort', abort, { once: true });
  });
}
