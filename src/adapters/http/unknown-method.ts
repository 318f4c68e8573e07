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

/**
 * Answers a call of a service or method that does not exist as its protocol says UNIMPLEMENTED: gRPC and gRPC-Web by
 * trailers only, Connect by its error. Answers false, and does nothing, when the request is no call.
 */
export function respondUnimplemented(request: HttpRequest, response: HttpResponse, path: string): boolean {
  const contentType = request.headers['content-type'] ?? '';
  const mediaType = contentType.split(';', 1)[0].trim().toLowerCase();
  if (request.method !== 'POST') return false;
  // Headers carry printable ASCII only; a path that is a URL's has nothing else, but it may be long.
  const message = `there is no method ${path.slice(0, 256)}`;
  if (/^application\/grpc(-web|-web-text)?(\+|$)/.test(mediaType)) {
    const status = { 'grpc-status': String(Code.Unimplemented), 'grpc-message': message.replaceAll('%', '%25') };
    respond(request, response, 200, { 'content-type': contentType, ...status }, '');
    return true;
  }
  if (!/^\/[^/]+\/[^/]+$/.test(path)) return false;
  const error = { code: 'unimplemented', message };
  if (mediaType.startsWith('application/connect+')) {
    const end = enveloped(endOfStreamFlag, JSON.stringify({ error }));
    respond(request, response, 200, { 'content-type': contentType }, end);
    return true;
  }
  if (mediaType !== 'application/json' && mediaType !== 'application/proto') return false;
  respond(request, response, 501, { 'content-type': 'application/json' }, JSON.stringify(error));
  return true;
}
