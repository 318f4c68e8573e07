import { Code, ConnectError } from '@connectrpc/connect';
import type { UniversalHandler, UniversalServerRequest } from '@connectrpc/connect/protocol';
import { InvalidInputError } from '../../domain/log/errors.js';
import { checkNumbersExact } from './strict-json.js';

const envelopeBytes = 5;

function check(text: string): void {
  try {
    checkNumbersExact(text);
  } catch (error) {
    if (error instanceof InvalidInputError) throw new ConnectError(error.message, Code.InvalidArgument);
    throw error;
  }
}

async function* checked(body: AsyncIterable<Uint8Array>, skip: number, bytesMax: number): AsyncGenerator<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.byteLength;
    // Connect refuses a message that is too large; there is no need to keep more of it.
    if (size <= bytesMax) chunks.push(chunk);
    yield chunk;
  }
  if (size > bytesMax) return;
  check(Buffer.concat(chunks).subarray(skip).toString());
}

function checkQuery(query: URLSearchParams): void {
  if (query.get('encoding') !== 'json' || query.has('compression')) return;
  const message = query.get('message') ?? '';
  check(query.get('base64') === '1' ? Buffer.from(message, 'base64url').toString() : message);
}

/**
 * Connect reads JSON with `JSON.parse`, which rounds numbers beyond 2^53 - 1: an offset would become another. The
 * request as Connect gets it here fails with INVALID_ARGUMENT instead; for GET this throws that `ConnectError`. Streams of requests and compressed bodies pass
 * unchecked.
 */
export function withExactNumbers(
  { method: { methodKind } }: UniversalHandler,
  request: UniversalServerRequest,
  bytesMax: number,
): UniversalServerRequest {
  if (request.method === 'GET') checkQuery(new URL(request.url).searchParams);
  const contentType = request.header.get('content-type') ?? '';
  const { header, body } = request;
  const compressed = ['content-encoding', 'connect-content-encoding', 'grpc-encoding'].some(
    (name) => (header.get(name) ?? 'identity') !== 'identity',
  );
  if (!/^application\/([a-z-]+\+)?json\b/i.test(contentType) || compressed) return request;
  if (methodKind === 'bidi_streaming' || methodKind === 'client_streaming') return request;
  if (typeof body !== 'object' || body === null || !(Symbol.asyncIterator in body)) return request;
  const skip = contentType.includes('+') ? envelopeBytes : 0;
  return { ...request, body: checked(body, skip, bytesMax + envelopeBytes) };
}
