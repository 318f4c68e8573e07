import type { IncomingHttpHeaders } from 'node:http';
import { connect, constants, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';

const windowBytes = 16 * 1024 * 1024;

export class GrpcStatusError extends Error {
  constructor(
    readonly path: string,
    readonly status: string,
    statusMessage: string,
  ) {
    super(`${path}: grpc-status ${status}: ${statusMessage}`);
    this.name = 'GrpcStatusError';
  }
}

/** Takes the bytes of a call's answer as they come. */
export interface ChunkSink {
  push(chunk: Buffer): void;
}

/** Counts the bytes of an answer, frames included, and looks at none of them. */
export class ByteCounter implements ChunkSink {
  bytes = 0;

  constructor(private readonly onBytes: (bytes: number) => unknown) {}

  push(chunk: Buffer): void {
    this.bytes += chunk.length;
    this.onBytes(this.bytes);
  }
}

/** Splits a stream of gRPC frames into messages; a message is valid only inside `onMessage`. */
export class MessageReader implements ChunkSink {
  private readonly head = Buffer.alloc(5);
  private headBytes = 0;
  private body = Buffer.allocUnsafe(64 * 1024);
  private bodyBytes = 0;

  constructor(private readonly onMessage: (message: Buffer) => unknown) {}

  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.headBytes < 5) {
        const taken = Math.min(5 - this.headBytes, chunk.length - at);
        chunk.copy(this.head, this.headBytes, at, at + taken);
        this.headBytes += taken;
        at += taken;
        if (this.headBytes < 5) return;
        this.bodyBytes = 0;
      }
      const length = this.head.readUInt32BE(1);
      if (this.bodyBytes === 0 && chunk.length - at >= length) {
        this.headBytes = 0;
        this.onMessage(chunk.subarray(at, at + length));
        at += length;
        continue;
      }
      if (this.body.length < length) this.body = Buffer.allocUnsafe(length);
      const taken = Math.min(length - this.bodyBytes, chunk.length - at);
      chunk.copy(this.body, this.bodyBytes, at, at + taken);
      this.bodyBytes += taken;
      at += taken;
      if (this.bodyBytes === length) {
        this.headBytes = 0;
        this.onMessage(this.body.subarray(0, length));
      }
    }
  }
}

const textOf = (header: string | string[] | undefined): string | undefined =>
  Array.isArray(header) ? header.join() : header;

export interface GrpcCall {
  readonly stream: ClientHttp2Stream;
  /** Settles when the call ends: rejects with `GrpcStatusError` unless its status is 0, or when the stream breaks. */
  readonly done: Promise<void>;
  /** Ends the call from this side; `done` then resolves. */
  cancel(): void;
}

/** What a client shows, and whom it takes for a server; PEM. */
export interface SessionTls {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export const grpcContentType = 'application/grpc';

/** A gRPC client on bare `node:http2`: cheaper than grpc-js, since it shares the machine with what it measures. */
export class GrpcSession {
  private constructor(private readonly session: ClientHttp2Session) {}

  static async connect(address: string, tls?: SessionTls): Promise<GrpcSession> {
    const session = connect(`${tls === undefined ? 'http' : 'https'}://${address}`, {
      ...tls,
      settings: { enablePush: false, initialWindowSize: windowBytes },
      maxSessionMemory: 256,
    });
    await new Promise<void>((resolve, reject) => {
      session.once('connect', () => resolve());
      session.once('error', reject);
    });
    session.setLocalWindowSize(windowBytes);
    session.removeAllListeners('error');
    session.on('error', () => {});
    return new GrpcSession(session);
  }

  get isOpen(): boolean {
    return !this.session.closed && !this.session.destroyed;
  }

  /** Streams of Connect have the same frames; theirs end without a gRPC status, so only `cancel` ends them well. */
  open(path: string, sink: ChunkSink, contentType = grpcContentType): GrpcCall {
    const stream = this.session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': contentType,
      te: 'trailers',
    });
    let cancelled = false;
    const done = new Promise<void>((resolve, reject) => {
      let status = '';
      let statusMessage = '';
      const note = (headers: IncomingHttpHeaders): void => {
        status = textOf(headers['grpc-status']) ?? status;
        statusMessage = textOf(headers['grpc-message']) ?? statusMessage;
      };
      stream.on('response', note);
      stream.on('trailers', note);
      stream.on('data', (chunk: Buffer) => {
        try {
          sink.push(chunk);
        } catch (error) {
          reject(error);
          stream.close(constants.NGHTTP2_CANCEL);
        }
      });
      stream.on('error', reject);
      stream.on('close', () => {
        if (cancelled || status === '0') resolve();
        else reject(new GrpcStatusError(path, status || 'missing', statusMessage));
      });
    });
    const cancel = (): void => {
      cancelled = true;
      stream.close(constants.NGHTTP2_CANCEL);
    };
    return { stream, done, cancel };
  }

  /** One unary call; takes the framed request, resolves with a copy of the answer. */
  async unary(path: string, framedRequest: Buffer): Promise<Buffer> {
    let answer: Buffer | undefined;
    const reader = new MessageReader((message) => {
      answer = Buffer.from(message);
    });
    const call = this.open(path, reader);
    call.stream.end(framedRequest);
    await call.done;
    if (answer === undefined) throw new Error(`${path} ended without an answer`);
    return answer;
  }

  close(): void {
    this.session.destroy();
  }
}
