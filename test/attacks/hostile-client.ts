import { once } from 'node:events';
import { type Socket, connect } from 'node:net';
import { connectionPreface, flag, frame, type Frame, FrameReader, frameType, settings } from './http2-frames.js';

export interface HostileOptions {
  /** An address of the loopback to come from, so that its caps hit nobody else. */
  readonly from?: string;
  /** PINGs are answered, as of a peer that is alive. */
  readonly pongs?: boolean;
  /** What comes is left in the kernel. */
  readonly deaf?: boolean;
}

const open = new Set<HostileClient>();

/** Ends all that a test left open. */
export function endHostility(): void {
  for (const client of open) client.end();
}

/** A connection that says what it is told to, and keeps what it is answered. */
export class HostileClient {
  readonly frames: Frame[] = [];
  /** What came before the connection was known to speak HTTP/2, or when it never did. */
  text = '';
  closed = false;
  /** It was the server that ended it. */
  hungUp = false;
  readonly #reader = new FrameReader();
  #speaksHttp2 = false;

  private constructor(
    readonly socket: Socket,
    private readonly pongs: boolean,
  ) {}

  static async connect(port: number, { from = '127.0.0.2', pongs = false, deaf = false }: HostileOptions = {}) {
    const socket = connect({ port, host: '127.0.0.1', localAddress: from, noDelay: true });
    const client = new HostileClient(socket, pongs);
    open.add(client);
    socket.on('error', () => undefined);
    socket.on('close', () => {
      client.closed = true;
      client.hungUp = open.has(client);
      open.delete(client);
    });
    if (deaf) socket.pause();
    else
      socket.on('data', (chunk: Buffer) => {
        client.#take(chunk);
      });
    await Promise.race([once(socket, 'connect'), once(socket, 'close')]);
    return client;
  }

  /** Connects and begins a session. */
  static async greet(port: number, options: HostileOptions = {}, ...pairs: readonly (readonly [number, number])[]) {
    const client = await HostileClient.connect(port, options);
    client.http2(settings(...pairs));
    return client;
  }

  /** The preface, and frames. */
  http2(...frames: readonly Buffer[]): void {
    this.#speaksHttp2 = true;
    this.send(connectionPreface, ...frames);
  }

  send(...bytes: readonly (Buffer | string)[]): void {
    for (const each of bytes) if (!this.closed) this.socket.write(each);
  }

  /** Sends as fast as it is taken; ends early when the server hangs up. Answers how often it was sent. */
  async flood(bytes: Buffer, times: number): Promise<number> {
    for (let sent = 0; sent < times; sent += 1) {
      if (this.closed || this.socket.writableEnded) return sent;
      if (this.socket.write(bytes)) continue;
      await Promise.race([once(this.socket, 'drain'), once(this.socket, 'close')]).catch(() => undefined);
    }
    return times;
  }

  /** The error code of GOAWAY, once there is one. */
  get goaway(): number | undefined {
    return this.frames.find(({ type }) => type === frameType.goaway)?.payload.readUInt32BE(4);
  }

  end(): void {
    open.delete(this);
    this.socket.destroy();
  }

  #take(chunk: Buffer): void {
    if (!this.#speaksHttp2) {
      this.text += chunk.toString('latin1');
      return;
    }
    for (const each of this.#reader.push(chunk)) {
      if (this.pongs && each.type === frameType.ping && (each.flags & flag.ack) === 0)
        this.send(frame(frameType.ping, flag.ack, 0, each.payload));
      this.frames.push(each);
    }
  }
}
