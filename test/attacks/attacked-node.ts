import { createClient, type Client } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node';
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:http';
import { Agent as TlsAgent } from 'node:https';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { GrpcServerOptions } from '../../src/adapters/grpc/index.js';
import type { HttpServerOptions } from '../../src/adapters/http/index.js';
import type { ClientTls } from '../../src/client/index.js';
import { Log } from '../../src/gen/log/v1/log_pb.js';
import { eventually, generousMs, tell } from '../cluster/deadline.js';
import { compile, Scratch, ServerProcess } from '../end-to-end/golog-process.js';
import { root } from '../foundation/checkout.js';
import { endHostility } from './hostile-client.js';

export interface ListenerLimits {
  readonly grpc: Partial<GrpcServerOptions>;
  readonly http: Partial<HttpServerOptions>;
}

/** What a process says of itself. */
interface Account {
  /** The longest that the event loop was held up since the account before. */
  readonly loopDelayMaxMs: number;
  /**
   * The most time of the processor that one callback, or one continuation of a promise, took since then, and so any
   * handler without a pause; collections of garbage are taken off.
   */
  readonly spanCpuMaxMs: number;
  /** The same for a whole turn of the event loop, in which many of them may run. */
  readonly turnCpuMaxMs: number;
  /** The same with them. */
  readonly turnCpuWithCollectionsMaxMs: number;
  readonly residentBytes: number;
  /** What is in use after a full collection: the heap, and buffers outside of it. */
  readonly liveBytes: number;
}

export const mebibyte = 1024 * 1024;

/** What may stay of an attack: compiled code, pools. A thousand sessions that leak are more. */
const liveSlackBytes = 8 * mebibyte;
/** What the allocator has not given back of it; nothing of it is in use. */
const residentSlackBytes = 384 * mebibyte;
/** A loop that is idle wakes up this soon, or soon after that it does, on a machine that others use as well. */
const idleLoopDelayMs = 50;
/** So often a loop is looked at that never does; what is found then is what it has to come back to. */
const looksMax = 20;
/** A call of somebody honest may take so long while the node is attacked. */
const honestDeadlineMs = 10_000;

/** One for each of his protocols, and as many that he may have given up. What is left without him is looked at last. */
const honestConnectionsMax = 6;
/** So many calls of somebody honest come through before an attack is over. */
const honestCallsMin = 12;

/** Calls both listeners over and over, by all protocols. */
class HonestClient {
  calls = 0;
  slowestMs = 0;
  readonly failures: unknown[] = [];
  readonly #clients: Client<typeof Log>[];
  readonly #sessions: Http2SessionManager[];
  readonly #agent: Agent;
  #working = false;
  #work: Promise<unknown> = Promise.resolve();

  constructor(grpcPort: number, httpPort: number, tls?: ClientTls) {
    const [grpc, http] = [grpcPort, httpPort].map((port) => `http${tls ? 's' : ''}://127.0.0.1:${port}`);
    this.#sessions = [grpc, http].map((url) => new Http2SessionManager(url, {}, { ...tls }));
    // Else a call may find the connection of the one before still busy, and open another.
    const stored = { keepAlive: true, maxSockets: 1 };
    this.#agent = tls ? new TlsAgent({ ...stored, ...tls }) : new Agent(stored);
    this.#clients = [
      createGrpcTransport({ baseUrl: grpc, sessionManager: this.#sessions[0] }),
      createGrpcTransport({ baseUrl: http, sessionManager: this.#sessions[1] }),
      createConnectTransport({ baseUrl: http, httpVersion: '1.1', nodeOptions: { agent: this.#agent } }),
    ].map((transport) => createClient(Log, transport));
  }

  start(): void {
    this.#working = true;
    this.#work = Promise.all(this.#clients.map((client) => this.#workWith(client)));
  }

  /** Hangs up as well: what is left then is not his. */
  async stop(): Promise<void> {
    this.#working = false;
    await this.#work;
    for (const session of this.#sessions) session.abort();
    this.#agent.destroy();
  }

  async #workWith(client: Client<typeof Log>): Promise<void> {
    const record = { value: Buffer.from('honest') };
    while (this.#working) {
      const startedMs = performance.now();
      try {
        const { offset } = await client.produce({ record }, { timeoutMs: honestDeadlineMs });
        await client.consume({ offset }, { timeoutMs: honestDeadlineMs });
        this.calls += 2;
      } catch (error) {
        this.failures.push(error);
      }
      this.slowestMs = Math.max(this.slowestMs, performance.now() - startedMs);
      await delay(5);
    }
  }
}

/** A `golog serve` process under attack, and somebody who goes on working with it. */
export class AttackedNode {
  readonly grpcPort: number;
  readonly httpPort: number;
  readonly #honest: HonestClient;
  #baseline = {
    descriptors: 0,
    residentBytes: 0,
    liveBytes: 0,
    loopDelayMaxMs: Infinity,
    spanCpuMaxMs: Infinity,
    turnCpuMaxMs: Infinity,
    turnCpuWithCollectionsMaxMs: Infinity,
  };

  private constructor(
    private readonly scratch: Scratch,
    readonly process: ServerProcess,
    tls?: ClientTls,
  ) {
    this.grpcPort = Number(process.rpcAddr.split(':').at(-1));
    this.httpPort = Number(process.httpAddr.split(':').at(-1));
    this.#honest = new HonestClient(this.grpcPort, this.httpPort, tls);
  }

  static async start(limits: ListenerLimits, flags: readonly string[] = [], tls?: ClientTls): Promise<AttackedNode> {
    compile();
    const scratch = new Scratch();
    const through = [process.execPath, join(root, 'test/attacks/serve-child.js'), JSON.stringify(limits)];
    const started = ServerProcess.spawn(scratch.folder('data'), '0', flags, through);
    const node = new AttackedNode(scratch, await started.served(), tls);
    const { sockets } = node;
    node.#honest.start();
    await eventually('honest work', () => node.#honest.calls > 600 || undefined);
    await node.#honest.stop();
    await eventually('his connections to end', () => node.sockets <= sockets || undefined);
    const { descriptors } = node;
    await node.#account();
    for (let looks = 0; looks < looksMax && node.#baseline.loopDelayMaxMs > idleLoopDelayMs; looks += 1) {
      await delay(100);
      const account = await node.#account();
      if (account.loopDelayMaxMs < node.#baseline.loopDelayMaxMs) node.#baseline = { descriptors, ...account };
    }
    return node;
  }

  get descriptors(): number {
    return readdirSync(this.#descriptorsFolder).length;
  }

  get sockets(): number {
    return readdirSync(this.#descriptorsFolder).filter((name) => this.#isSocket(name)).length;
  }

  #isSocket(name: string): boolean {
    try {
      return readlinkSync(join(this.#descriptorsFolder, name)).startsWith('socket:');
    } catch {
      // Closed since it was listed.
      return false;
    }
  }

  get #descriptorsFolder(): string {
    return `/proc/${this.#pid}/fd`;
  }

  /** Descriptors beyond those of a node that nobody attacks. */
  get intruders(): number {
    return this.descriptors - this.#baseline.descriptors;
  }

  /**
   * Attacks while honest work goes on, until within `withinMs` nothing of it is left: no descriptor, though the hostile
   * connections are not given up, no memory, no delay of the event loop beyond that of before. Meanwhile the memory may
   * grow by `peakBytesMax` and to `residentBytesMax`; a callback may take `spanCpuMsMax` of the processor, and a turn of
   * the event loop `turnCpuMsMax`.
   */
  async withstands(
    name: string,
    attack: () => Promise<unknown>,
    {
      withinMs = generousMs,
      peakBytesMax = 384 * mebibyte,
      residentBytesMax = Infinity,
      spanCpuMsMax = Infinity,
      turnCpuMsMax = Infinity,
    } = {},
  ): Promise<void> {
    await this.#account();
    this.#takePeakBytes();
    const honest = this.#honest;
    [honest.calls, honest.slowestMs] = [0, 0];
    honest.start();
    const startedMs = performance.now();
    const descriptorsMax = { value: 0 };
    const watching = setInterval(() => {
      descriptorsMax.value = Math.max(descriptorsMax.value, this.intruders);
    }, 20);
    try {
      await attack();
      await eventually('honest work', () => honest.calls >= honestCallsMin || undefined);
    } catch (error) {
      clearInterval(watching);
      await honest.stop();
      throw error;
    }
    const attackedMs = performance.now() - startedMs;
    clearInterval(watching);
    const leftBehind = (): string =>
      `${name} to pass: ${this.intruders} descriptors, ${JSON.stringify(this.#last)}, at first ${JSON.stringify(this.#baseline)}`;
    try {
      await eventually(leftBehind, () => this.intruders <= honestConnectionsMax || undefined, withinMs);
    } finally {
      await honest.stop();
    }
    const reapedMs = performance.now() - startedMs - attackedMs;
    const { loopDelayMaxMs, spanCpuMaxMs, turnCpuMaxMs, turnCpuWithCollectionsMaxMs } = await this.#account();
    const { calls } = honest;
    await eventually(leftBehind, async () => (await this.#isAsBefore()) || undefined, withinMs);
    const residentBytes = this.#takePeakBytes();
    const peakBytes = residentBytes - this.#baseline.residentBytes;
    const inMebibytes = (bytes: number): string => `${(bytes / mebibyte).toFixed(0)} MiB`;
    tell(
      `${name}: ${attackedMs.toFixed(0)} ms, ${descriptorsMax.value} descriptors gone in ${reapedMs.toFixed(0)} ms, ` +
        `loop ${loopDelayMaxMs.toFixed(0)} ms, a callback ${spanCpuMaxMs.toFixed(0)} ms, ` +
        `a turn ${turnCpuMaxMs.toFixed(0)} ms (${turnCpuWithCollectionsMaxMs.toFixed(0)} with collections), ` +
        `memory + ${inMebibytes(peakBytes)} = ${inMebibytes(residentBytes)}, ${calls} honest calls, ` +
        `the slowest ${honest.slowestMs.toFixed(0)} ms`,
    );
    endHostility();
    if (honest.failures.length > 0) throw new AggregateError(honest.failures.splice(0), `${name}: honest calls failed`);
    if (spanCpuMaxMs > spanCpuMsMax)
      throw new Error(`${name}: a callback took ${spanCpuMaxMs.toFixed(0)} ms of the processor`);
    if (turnCpuMaxMs > turnCpuMsMax)
      throw new Error(`${name}: a turn of the event loop took ${turnCpuMaxMs.toFixed(0)} ms of the processor`);
    if (peakBytes > peakBytesMax) throw new Error(`${name}: memory grew by ${inMebibytes(peakBytes)}`);
    if (residentBytes > residentBytesMax) throw new Error(`${name}: memory grew to ${inMebibytes(residentBytes)}`);
  }

  async #isAsBefore(): Promise<boolean> {
    await delay(50);
    const { loopDelayMaxMs, liveBytes, residentBytes } = await this.#account();
    const before = this.#baseline;
    return (
      this.intruders <= 0 &&
      loopDelayMaxMs < Math.max(idleLoopDelayMs, 2 * before.loopDelayMaxMs) &&
      liveBytes < before.liveBytes + liveSlackBytes &&
      residentBytes < before.residentBytes + residentSlackBytes
    );
  }

  async stop(): Promise<void> {
    endHostility();
    const code = await this.process.stop();
    this.scratch.remove();
    if (code !== 0) throw new Error(`golog ended with ${code}: ${this.process.stderr}`);
  }

  #last: Account | undefined;

  get #pid(): number {
    return this.process.child.pid ?? 0;
  }

  /** The most memory that was resident since it was last asked. */
  #takePeakBytes(): number {
    const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.#pid}/status`, 'utf8'))?.[1];
    writeFileSync(`/proc/${this.#pid}/clear_refs`, '5');
    return Number(kibibytes) * 1024;
  }

  async #account(): Promise<Account> {
    const { process } = this;
    const before = process.stdout.length;
    process.child.stdin?.write('\n');
    await eventually('its account', () => process.stdout.indexOf('\n', before) > 0 || undefined);
    this.#last = JSON.parse(process.stdout.slice(before)) as Account;
    return this.#last;
  }
}
