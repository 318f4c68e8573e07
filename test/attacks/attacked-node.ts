import { readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ClientTls } from '../../src/client/index.js';
import { eventually, generousMs, tell } from '../cluster/deadline.js';
import { compile, Scratch, ServerProcess } from '../end-to-end/golog-process.js';
import { HonestClient, honestCallsMin } from './honest-client.js';
import { endHostility } from './hostile-client.js';
import { type Account, accountOf, type ListenerLimits, measured, takePeakBytes } from './measured-process.js';

export const mebibyte = 1024 * 1024;

/** What may stay of an attack: compiled code, pools. A thousand sessions that leak are more. */
const liveSlackBytes = 8 * mebibyte;
/** What the allocator has not given back of it; nothing of it is in use. */
const residentSlackBytes = 384 * mebibyte;
/** A loop that is idle wakes up this soon, or soon after that it does, on a machine that others use as well. */
const idleLoopDelayMs = 50;
/** No handler takes longer without a pause, whatever the attack. */
const handlerCpuMsMax = 50;
/** So often a loop is looked at that never does; what is found then is what it has to come back to. */
const looksMax = 20;
/** The node is left alone from one account to the next, for so many times as long as the account took. */
const restPerAccount = 4;
const restMsMin = 50;

/** One for each of his protocols, and as many that he may have given up. What is left without him is looked at last. */
const honestConnectionsMax = 6;

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
    loopDelayP999Ms: Infinity,
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
    const started = ServerProcess.spawn(scratch.folder('data'), '0', flags, { through: measured(limits) });
    const node = new AttackedNode(scratch, await started.served(), tls);
    const { sockets } = node;
    node.#honest.start();
    await eventually('honest work', () => node.#honest.calls > 600 || undefined, 2 * generousMs);
    node.#peacefulP99Ms = node.honestP99Ms();
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
      spanCpuMsMax = handlerCpuMsMax,
      turnCpuMsMax = Infinity,
    } = {},
  ): Promise<void> {
    await this.#account();
    takePeakBytes(this.#pid);
    const honest = this.#honest;
    [honest.calls, honest.slowestMs, honest.latenciesMs.length] = [0, 0, 0];
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
    const { loopDelayMaxMs, loopDelayP999Ms, spanCpuMaxMs, turnCpuMaxMs, turnCpuWithCollectionsMaxMs } =
      await this.#account();
    const { calls } = honest;
    await eventually(leftBehind, async () => (await this.#isAsBefore()) || undefined, withinMs);
    const residentBytes = takePeakBytes(this.#pid);
    const peakBytes = residentBytes - this.#baseline.residentBytes;
    const inMebibytes = (bytes: number): string => `${(bytes / mebibyte).toFixed(0)} MiB`;
    tell(
      `${name}: ${attackedMs.toFixed(0)} ms, ${descriptorsMax.value} descriptors gone in ${reapedMs.toFixed(0)} ms, ` +
        `loop ${loopDelayMaxMs.toFixed(0)} ms (p99.9 ${loopDelayP999Ms.toFixed(0)} ms), a callback ${spanCpuMaxMs.toFixed(0)} ms, ` +
        `a turn ${turnCpuMaxMs.toFixed(0)} ms (${turnCpuWithCollectionsMaxMs.toFixed(0)} with collections), ` +
        `memory + ${inMebibytes(peakBytes)} = ${inMebibytes(residentBytes)}, ${calls} honest calls, ` +
        `p99 ${honest.p99Ms.toFixed(0)} ms, the slowest ${honest.slowestMs.toFixed(0)} ms`,
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

  #peacefulP99Ms = 0;

  /** What 99 of 100 honest calls did not exceed before any attack, in ms: much of it is the disk. */
  get peacefulP99Ms(): number {
    return this.#peacefulP99Ms;
  }

  /** Resident bytes after a collection, now and before any attack. */
  async residentBytes(): Promise<{ readonly now: number; readonly before: number }> {
    return { now: (await this.#account()).residentBytes, before: this.#baseline.residentBytes };
  }

  /** The 99th percentile of the honest calls so far, in ms; those after it are counted anew. */
  honestP99Ms(): number {
    const { p99Ms } = this.#honest;
    this.#honest.latenciesMs.length = 0;
    return p99Ms;
  }

  /** What is in use now beyond what was in use before anybody attacked. What took long so far is forgotten. */
  async liveGrowth(): Promise<number> {
    return (await this.#account()).liveBytes - this.#baseline.liveBytes;
  }

  #restMs = restMsMin;

  async #isAsBefore(): Promise<boolean> {
    await delay(this.#restMs);
    const askedMs = performance.now();
    const { loopDelayMaxMs, liveBytes, residentBytes } = await this.#account();
    // An account collects all garbage first, which on a busy machine may take most of the time of the process.
    this.#restMs = Math.max(restMsMin, restPerAccount * (performance.now() - askedMs));
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

  async #account(): Promise<Account> {
    this.#last = await accountOf(this.process);
    return this.#last;
  }
}
