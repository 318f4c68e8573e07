import { Code } from '@connectrpc/connect';
import { type HttpRequest, type HttpResponse, respond } from './http-message.js';

const endOfStreamFlag = 2;

function enveloped(flags: number, text: string): Buffer {
  const message = Buffer.from(text);
  const head = Buffer.alloc(5);
  head.writeUInt8(flags);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** Errors that a call may get before it has a handler, with the HTTP status that Connect gives each. */
const httpStatuses = { unimplemented: 501, resource_exhausted: 429 } as const;
const codes = { unimplemented: Code.Unimplemented, resource_exhausted: Code.ResourceExhausted } as const;

/**
 * Answers a call that gets no handler as its protocol tells errors: gRPC and gRPC-Web by trailers only, Connect by its
 * error. Answers false, and does nothing, when the request is not a call. The message is printable ASCII, as headers are.
 */
export function respondEarlyError(
  request: HttpRequest,
  response: HttpResponse,
  path: string,
  { code, message }: { readonly code: keyof typeof codes; readonly message: string },
): boolean {
  const contentType = request.headers['content-type'] ?? '';
  const mediaType = contentType.split(';', 1)[0].trim().toLowerCase();
  if (request.method !== 'POST') return false;
  if (/^application\/grpc(-web|-web-text)?(\+|$)/.test(mediaType)) {
    const status = { 'grpc-status': String(codes[code]), 'grpc-message': message.replaceAll('%', '%25') };
    respond(request, response, 200, { 'content-type': contentType, ...status }, '');
    return true;
  }
  if (!/^\/[^/]+\/[^/]+$/.test(path)) return false;
  const error = { code, message };
  if (mediaType.startsWith('application/connect+')) {
    const end = enveloped(endOfStreamFlag, JSON.stringify({ error }));
    respond(request, response, 200, { 'content-type': contentType }, end);
    return true;
  }
  if (mediaType !== 'application/json' && mediaType !== 'application/proto') return false;
  respond(request, response, httpStatuses[code], { 'content-type': 'application/json' }, JSON.stringify(error));
  return true;
}
