import { once } from 'node:events';
import {
  type ClientHttp2Session,
  connect,
  createServer,
  type Http2Server,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import { type AddressInfo, connect as connectTcp, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { spreadStreams } from './spread-streams.js';

const options = { turnMs: 3, waitingPerAddressMax: 10_000 };
/** More would be noticed: what a thousand calls do when they end is a tenth of a second and more. */
const endsPerTurnMax = 32;

let server: Http2Server;
let client: ClientHttp2Session;
let socket: Socket;
afterEach(() => {
  client.destroy();
  server.close();
});

/** A server that spreads streams, and a client with a session whose windows are closed. */
async function serverFor(serve: (stream: ServerHttp2Stream) => void, spread: boolean): Promise<ServerHttp2Session> {
  server = createServer({ settings: { maxConcurrentStreams: 2_000 } });
  server.on('stream', serve);
  if (spread) spreadStreams(server, options);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'session') as Promise<[ServerHttp2Session]>;
  const { port } = server.address() as AddressInfo;
  client = connect(`http://127.0.0.1:${port}`, {
    settings: { initialWindowSize: 0 },
    createConnection: () => (socket = connectTcp(port, '127.0.0.1')),
  });
  client.on('error', () => undefined);
  const [session] = await accepted;
  session.on('error', () => undefined);
  await once(client, 'remoteSettings');
  return session;
}

/** Counts events by the turn of the event loop that they come in. */
class Turns {
  readonly counts = [0];
  #next = setImmediate(() => {
    this.#begin();
  });

  #begin(): void {
    this.counts.push(0);
    this.#next = setImmediate(() => {
      this.#begin();
    });
  }

  count(): void {
    this.counts[this.counts.length - 1] += 1;
  }

  get total(): number {
    return this.counts.reduce((sum, count) => sum + count, 0);
  }

  stop(): void {
    clearImmediate(this.#next);
  }
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve));
}

const unsent = (stream: ServerHttp2Stream): void => {
  stream.respond();
  stream.write('a message');
};

/** Begins so many streams, each with `begin`; counts how many close in a turn. */
async function lose(
  streams: number,
  how: (session: ServerHttp2Session) => void,
  { spread = true, begin = unsent } = {},
): Promise<Turns> {
  const begun: ServerHttp2Stream[] = [];
  const closed = new Turns();
  const session = await serverFor((stream) => {
    begun.push(stream);
    stream.on('error', () => undefined);
    stream.once('close', () => {
      closed.count();
    });
    begin(stream);
  }, spread);
  for (let count = 0; count < streams; count += 1)
    client.request({ ':method': 'POST', ':path': '/' }).on('error', () => undefined);
  await until(() => begun.length === streams);
  how(session);
  await until(() => closed.total === streams);
  closed.stop();
  return closed;
}

const losses: [string, (session: ServerHttp2Session) => void][] = [
  ['the client is gone', () => client.destroy()],
  ['the connection is reset', () => socket.destroy()],
  ['the session is destroyed', (session) => session.destroy()],
  ['the session fails', (session) => session.destroy(new Error('broken'))],
];

describe('the 1,000 streams of a session', () => {
  it.each(losses)('close a few in a turn when %s', async (_, how) => {
    const closed = await lose(1_000, how);
    expect(Math.max(...closed.counts)).toBeLessThanOrEqual(endsPerTurnMax);
  });

  it.each(losses)('close a few in a turn when %s, and they have sent nothing', async (_, how) => {
    const closed = await lose(1_000, how, { begin: () => undefined });
    expect(Math.max(...closed.counts)).toBeLessThanOrEqual(endsPerTurnMax);
  });

  it('would close in one turn without it', async () => {
    const closed = await lose(1_000, (session) => session.destroy(), { spread: false });
    expect(Math.max(...closed.counts)).toBeGreaterThan(endsPerTurnMax);
  });
});

describe('a stream', () => {
  it('that is lost fails all of its unsent writes with one error', async () => {
    const failures: unknown[] = [];
    const writes = 100;
    let stream: ServerHttp2Stream | undefined;
    await serverFor((begun) => {
      stream = begun;
      stream.on('error', () => undefined).respond();
      for (let count = 0; count < writes; count += 1) stream.write('a message', (error) => failures.push(error));
    }, true);
    client.request({ ':path': '/' }).on('error', () => undefined);
    await until(() => stream !== undefined);
    client.destroy();
    await until(() => failures.length === writes);
    // The session was already sending the first. Newer versions of Node report that it was cancelled.
    expect(new Set(failures.slice(1))).toEqual(new Set([new Error('the stream ended before all was sent')]));
  });

  it('that has sent all closes at once, and without an error', async () => {
    const events: unknown[] = [];
    await serverFor((stream) => {
      stream.on('error', (error) => events.push(error));
      stream.once('close', () => events.push('close', stream.errored));
      stream.respond(undefined, { endStream: true });
    }, true);
    const request = client.request({ ':path': '/' });
    await once(request, 'close');
    await until(() => events.length > 0);
    expect(events).toEqual(['close', null]);
  });
});
