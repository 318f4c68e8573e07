import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../cluster/deadline.js';
import type { AppendEvent, HistoryFile } from './history.js';
import { type Endpoint, type HttpCaller, RefusedError, UnreachedError } from './http-caller.js';
import type { Random } from './random.js';
import { makeValue } from './value.js';

const producers = 4;
const appendTimeoutMs = 2_000;
/** Between two appends of a producer: the checker wants many faults, not many records. */
const pauseMs = 8;
const afterErrorMs = 30;
const paddingMax = 200;

/** The errors that say that nothing was appended. An append with another error may be in the log. */
const refusals: ReadonlySet<string> = new Set([
  'unavailable',
  'resource_exhausted',
  'failed_precondition',
  'invalid_argument',
  'permission_denied',
  'unauthenticated',
]);

/** Producers that append without end, and go to another node after an error. No value is ever sent twice. */
export class Load {
  readonly counts = { acknowledged: 0, refused: 0, unknown: 0 };
  /** How often each error came. */
  readonly errors = new Map<string, number>();
  #longestGapMs = 0;
  #lastAcknowledgedMs = performance.now();
  #lastInvokedMs = 0;
  /** One past the highest offset that was acknowledged. */
  #end = 0;
  #isStopped = false;
  readonly #producers: Promise<void>[];

  constructor(
    private readonly caller: HttpCaller,
    private readonly endpoints: () => readonly Endpoint[],
    private readonly history: HistoryFile,
    random: Random,
  ) {
    this.#producers = Array.from({ length: producers }, (_, i) => this.#produce(`p${i + 1}`, random.fork(`p${i + 1}`)));
  }

  /** One past the highest offset that was acknowledged. */
  get end(): number {
    return this.#end;
  }

  /** The longest time without an acknowledgement since this was asked last. */
  takeLongestGapMs(): number {
    const gapMs = Math.max(this.#longestGapMs, performance.now() - this.#lastAcknowledgedMs);
    this.#longestGapMs = 0;
    return gapMs;
  }

  /** Resolves when an append that began after this call is acknowledged, with the milliseconds that this took. */
  async goesOn(timeoutMs: number): Promise<number> {
    const sinceMs = performance.now();
    const isOn = (): true | undefined => this.#lastInvokedMs >= sinceMs || undefined;
    await eventually(`an acknowledged append; errors so far: ${this.describeErrors()}`, isOn, timeoutMs);
    return performance.now() - sinceMs;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all(this.#producers);
  }

  describeErrors(): string {
    const errors = [...this.errors].sort(([, one], [, other]) => other - one);
    return errors.map(([text, count]) => `${count} × ${text}`).join('; ') || 'none';
  }

  async #produce(name: string, random: Random): Promise<void> {
    let endpoint: Endpoint | undefined;
    for (let i = 0; !this.#isStopped; i += 1) {
      const endpoints = this.endpoints();
      if (!endpoints.some(({ host }) => host === endpoint?.host)) endpoint = undefined;
      endpoint ??= random.pick(endpoints);
      const value = makeValue(`${name}-${i}`, random.below(paddingMax));
      const isAcknowledged = await this.#append(endpoint, value, random);
      if (!isAcknowledged) endpoint = undefined;
      await delay(isAcknowledged ? pauseMs : afterErrorMs);
    }
  }

  async #append({ name: node, host }: Endpoint, value: string, random: Random): Promise<boolean> {
    const expectedOffset = random.percent(10) ? this.#end : undefined;
    const isPlain = expectedOffset === undefined && random.percent(80);
    const invokedMs = performance.now();
    const append = { kind: 'append', node, value, ...(expectedOffset !== undefined && { expectedOffset }) } as const;
    try {
      const send = isPlain
        ? this.#appendPlain(host, node, value)
        : this.#appendByConnect(host, node, value, expectedOffset);
      const offset = await send;
      const endedMs = performance.now();
      this.history.write({ ...append, invokedMs, endedMs, outcome: 'acknowledged', offset });
      this.#acknowledge(offset, invokedMs, endedMs);
      return true;
    } catch (error) {
      const outcome = outcomeOf(error);
      const detail = error instanceof RefusedError ? `${error.code}: ${error.message}` : String(error);
      this.history.write({ ...append, invokedMs, endedMs: performance.now(), outcome, detail });
      this.counts[outcome] += 1;
      const text = error instanceof RefusedError ? error.code : detail;
      this.errors.set(text, (this.errors.get(text) ?? 0) + 1);
      return false;
    }
  }

  async #appendPlain(host: string, name: string, value: string): Promise<number> {
    const { offset } = await this.caller.post({ host, name }, '/', { record: { value } }, appendTimeoutMs);
    return Number(offset);
  }

  async #appendByConnect(host: string, name: string, value: string, expectedOffset?: number): Promise<number> {
    const records = [{ value: Buffer.from(value).toString('base64') }];
    const condition = expectedOffset === undefined ? {} : { expectedOffset: String(expectedOffset) };
    const path = '/golog.v1.LogService/Append';
    const { baseOffset = 0 } = await this.caller.post({ host, name }, path, { records, ...condition }, appendTimeoutMs);
    return Number(baseOffset);
  }

  #acknowledge(offset: number, invokedMs: number, endedMs: number): void {
    this.counts.acknowledged += 1;
    this.#end = Math.max(this.#end, offset + 1);
    this.#longestGapMs = Math.max(this.#longestGapMs, endedMs - this.#lastAcknowledgedMs);
    this.#lastAcknowledgedMs = endedMs;
    this.#lastInvokedMs = Math.max(this.#lastInvokedMs, invokedMs);
  }
}

function outcomeOf(error: unknown): Exclude<AppendEvent['outcome'], 'acknowledged'> {
  if (error instanceof UnreachedError) return 'refused';
  return error instanceof RefusedError && refusals.has(error.code) ? 'refused' : 'unknown';
}
