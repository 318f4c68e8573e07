import { mkdir, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Bench } from './bench.js';
import { freePort, type Server } from './processes.js';
import { startProgram, untilDone } from './program.js';
import type { Load } from './rounds.js';
import { recordValueBytes } from './wire.js';

const program = 'nats-server';
const subject = 'bench';
const inbox = '_INBOX.bench';
const servers = 3;
const publish = Buffer.from(`PUB ${subject} ${inbox} ${recordValueBytes}\r\n${'x'.repeat(recordValueBytes)}\r\n`);
const lineEnd = Buffer.from('\r\n');

/** The text protocol of NATS, as much of it as publishing to a stream takes. */
class NatsConnection {
  private rest: Buffer = Buffer.alloc(0);
  private failure: Error | undefined;
  onMessage: (payload: Buffer) => void = () => {};
  onFailure: (error: Error) => void = () => {};

  private constructor(readonly socket: Socket) {
    socket.on('data', (chunk: Buffer) => this.take(chunk));
    socket.on('error', (error) => this.fail(error));
    socket.on('close', () => this.fail(new Error('the server ended the connection')));
    socket.write(`CONNECT {"verbose":false,"pedantic":false}\r\nSUB ${inbox} 1\r\n`);
  }

  static async connect(port: number): Promise<NatsConnection> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', () => resolve());
      socket.once('error', reject);
    });
    return new NatsConnection(socket);
  }

  /** A request to the JetStream API, and its answer. */
  async ask(api: string, request: object): Promise<Record<string, unknown>> {
    const body = JSON.stringify(request);
    this.socket.write(`PUB $JS.API.${api} ${inbox} ${Buffer.byteLength(body)}\r\n${body}\r\n`);
    const payload = await new Promise<Buffer>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${api} is not answered`)), 3_000);
      this.onFailure = reject;
      this.onMessage = (answer) => {
        clearTimeout(timer);
        resolve(answer);
      };
    });
    const answer = JSON.parse(payload.toString('utf8')) as Record<string, unknown>;
    if (answer['error'] !== undefined) throw new Error(`${api}: ${JSON.stringify(answer['error'])}`);
    return answer;
  }

  close(): void {
    this.socket.destroy();
  }

  private take(chunk: Buffer): void {
    let bytes = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
    for (;;) {
      const end = bytes.indexOf(lineEnd);
      if (end < 0) break;
      const line = bytes.toString('latin1', 0, end);
      if (!line.startsWith('MSG ')) {
        if (line === 'PING') this.socket.write('PONG\r\n');
        else if (line.startsWith('-ERR')) this.fail(new Error(line));
        bytes = bytes.subarray(end + 2);
        continue;
      }
      const length = Number(line.slice(line.lastIndexOf(' ') + 1));
      if (bytes.length < end + 4 + length) break;
      this.onMessage(bytes.subarray(end + 2, end + 2 + length));
      bytes = bytes.subarray(end + 4 + length);
    }
    this.rest = bytes;
  }

  private fail(error: Error): void {
    this.failure ??= error;
    this.onFailure(this.failure);
  }
}

export interface Nats {
  readonly pids: readonly number[];
  /** Publishes to the leader of the stream, that many not acknowledged yet at a time. */
  publish(seconds: number, inFlight: number): Promise<Load>;
  stop(): Promise<void>;
}

/** Three servers with a stream of three replicas in files. They acknowledge before they sync. */
export async function startNats(bench: Bench): Promise<Nats> {
  const directory = await bench.temporaryDirectory();
  const ports = await Promise.all(Array.from({ length: servers * 2 }, freePort));
  const [clientPorts, routePorts] = [ports.slice(0, servers), ports.slice(servers)];
  const routes = routePorts.map((port) => `nats://127.0.0.1:${port}`).join(', ');
  const running: Server[] = [];
  for (const [place, port] of clientPorts.entries()) {
    const file = join(directory, `n${place + 1}.conf`);
    const store = join(directory, `n${place + 1}`);
    await mkdir(store);
    const lines = [
      `server_name: n${place + 1}`,
      `listen: 127.0.0.1:${port}`,
      `jetstream { store_dir: "${store}", max_file_store: 32GB }`,
      `cluster { name: bench, listen: 127.0.0.1:${routePorts[place]}, routes: [${routes}] }`,
    ];
    await writeFile(file, `${lines.join('\n')}\n`);
    running.push(startProgram(bench, program, ['-c', file]));
  }
  const stream = { name: 'BENCH', subjects: [subject], num_replicas: servers, storage: 'file' };
  const withConnection = async <T>(port: number, use: (connection: NatsConnection) => Promise<T>): Promise<T> => {
    const connection = await NatsConnection.connect(port);
    try {
      return await use(connection);
    } finally {
      connection.close();
    }
  };
  const [anyPort] = clientPorts;
  await untilDone('a stream of three replicas', () =>
    withConnection(anyPort, (connection) => connection.ask('STREAM.CREATE.BENCH', stream)),
  );
  const info = (): Promise<StreamInfo> =>
    withConnection(anyPort, async (connection) => {
      const { cluster, state } = await connection.ask('STREAM.INFO.BENCH', {});
      return { cluster: cluster as StreamInfo['cluster'], state: state as StreamInfo['state'] };
    });
  let published = 0;
  return {
    pids: running.map(({ pid }) => pid),
    publish: async (seconds, inFlight) => {
      const { cluster } = await untilDone('led', async () => {
        const found = await info();
        if (found.cluster.leader === undefined) throw new Error('the stream has no leader');
        return found;
      });
      const port = clientPorts[Number(cluster.leader?.slice(1)) - 1] ?? anyPort;
      const load = await withConnection(port, (connection) => publishFor(connection, seconds, inFlight));
      published += load.units;
      const { messages } = (await info()).state;
      if (messages < published) throw new Error(`${published} messages acknowledged, the stream has ${messages}`);
      return load;
    },
    stop: async () => {
      await Promise.all(running.map((server) => server.stop()));
      await bench.remove(directory);
    },
  };
}

interface StreamInfo {
  readonly cluster: { readonly leader?: string };
  readonly state: { readonly messages: number };
}

function publishFor(connection: NatsConnection, seconds: number, inFlight: number): Promise<Load> {
  const many = Buffer.concat(Array.from({ length: inFlight }, () => publish));
  return new Promise((resolve, reject) => {
    let sent = 0;
    let acknowledged = 0;
    let waiting = 0;
    const startedAt = performance.now();
    const soFar = (): number => (performance.now() - startedAt) / 1000;
    const send = (count: number): void => {
      sent += count;
      connection.socket.write(many.subarray(0, count * publish.length));
    };
    connection.onFailure = reject;
    connection.onMessage = (payload) => {
      if (payload.includes('"error"')) {
        reject(new Error(payload.toString('utf8')));
        return;
      }
      acknowledged++;
      waiting++;
      if (soFar() >= seconds) {
        if (acknowledged === sent) resolve({ units: acknowledged, seconds: soFar() });
        return;
      }
      if (waiting === 1)
        setImmediate(() => {
          const count = waiting;
          waiting = 0;
          if (soFar() < seconds) send(count);
          else if (acknowledged === sent) resolve({ units: acknowledged, seconds: soFar() });
        });
    };
    send(inFlight);
  });
}
