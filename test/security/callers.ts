import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { request as httpsRequest } from 'node:https';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { Client, Metadata, status } from '@grpc/grpc-js';
import type { ClientTls } from '../../src/client/index.js';
import { channelCredentials } from '../../src/client/tls.js';

const same = (bytes: Buffer): Buffer => bytes;
/** The first byte of a message, as gRPC, gRPC-Web and Connect's streams frame it; what ends an answer has another. */
const messageFlag = 0;
const emptyMessage = Buffer.alloc(5, messageFlag);

/** How a gRPC call with one request, empty if none is given, is answered: a code's name, or `open` where it has a message first. */
export async function grpcCode(
  address: string,
  tls: ClientTls | undefined,
  path: string,
  metadata = new Metadata(),
  request: Buffer = Buffer.alloc(0),
): Promise<string> {
  const client = new Client(address, channelCredentials(tls), { 'grpc.use_local_subchannel_pool': 1 });
  const call = client.makeBidiStreamRequest(path, same, same, metadata, { deadline: Date.now() + 25_000 });
  try {
    return await new Promise((resolve) => {
      call.on('error', () => undefined);
      call.once('data', () => resolve('open'));
      call.once('status', ({ code }) => {
        resolve(status[code]);
      });
      call.write(request);
      call.end();
    });
  } finally {
    call.cancel();
    client.close();
  }
}

interface Answer {
  readonly httpStatus: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: Buffer;
}

/** The answer, as far as it has come when it ends or has its first message. */
function post(port: number, tls: ClientTls, path: string, contentType: string, body: Buffer): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpsRequest(
      { ...tls, host: '127.0.0.1', port, path, method: 'POST', headers: { 'content-type': contentType }, agent: false },
      (response) => {
        const chunks: Buffer[] = [];
        const settle = (): void => {
          resolve({ httpStatus: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) });
          request.destroy();
        };
        response.on('data', (chunk: Buffer) => {
          chunks.push(chunk);
          if (chunks[0][0] === messageFlag) settle();
        });
        response.on('error', () => undefined);
        response.on('end', settle);
      },
    );
    request.on('error', reject);
    request.end(body);
  });
}

/** As `grpcCode`, over gRPC-Web: the status is in the headers or in the trailers that end the body. */
export async function grpcWebCode(port: number, tls: ClientTls, path: string): Promise<string> {
  const { headers, body } = await post(port, tls, path, 'application/grpc-web+proto', emptyMessage);
  const code = headers['grpc-status'] ?? /grpc-status: ?(\d+)/.exec(body.toString('latin1'))?.[1];
  return code === undefined ? 'open' : status[Number(code)];
}

/** As `grpcCode`, over Connect: of a unary call the code is in the body, of a stream in its last envelope. */
export async function connectCode(port: number, tls: ClientTls, path: string, isStream: boolean): Promise<string> {
  const contentType = isStream ? 'application/connect+json' : 'application/json';
  const message = Buffer.from('{}');
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  const { body } = await post(port, tls, path, contentType, isStream ? Buffer.concat([head, message]) : message);
  const code = /"code":"([a-z_]+)"/.exec(body.toString('latin1'))?.[1];
  return code === undefined ? 'open' : code.toUpperCase();
}

/** The HTTP status of a JSON route or a page; a POST has a record. */
export function routeStatus(port: number, tls: ClientTls, method: string, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = httpsRequest({ ...tls, host: '127.0.0.1', port, path, method, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    request.on('error', reject);
    request.end(method === 'POST' ? '{"record": {"value": "a record"}}' : undefined);
  });
}

export const hasCurl = spawnSync('curl', ['--version']).status === 0;

/** What curl prints, and its exit code. */
export async function curl(...args: string[]): Promise<{ code: number; stdout: string }> {
  const child = spawn('curl', ['--silent', '--max-time', '10', ...args], { stdio: ['ignore', 'pipe', 'ignore'] });
  let stdout = '';
  child.stdout.on('data', (text: Buffer) => (stdout += text.toString()));
  const [code] = (await once(child, 'close')) as [number];
  return { code, stdout };
}

/** How a connection ended that asked for nothing: `open` where it was let in, `resumed` where a ticket was taken. */
export async function handshake(port: number, options: ConnectionOptions): Promise<string> {
  const socket = connectTls({ port, host: '127.0.0.1', ALPNProtocols: ['h2'], ...options });
  return new Promise((resolve) => {
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.on('close', () => resolve('closed'));
    // HTTP/2: the server's SETTINGS are the first sign that the client's certificate was taken.
    socket.on('secureConnect', () => socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0'));
    socket.on('data', () => {
      resolve(socket.isSessionReused() ? 'resumed' : 'open');
      socket.destroy();
    });
  });
}
