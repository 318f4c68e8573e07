import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Client } from '@grpc/grpc-js';
import { setTimeout as delay } from 'node:timers/promises';
import { fromServiceError, isServiceError, RpcError, UnreachableError } from '../../src/client/errors.js';
import { channelCredentials, type ClientTls } from '../../src/client/tls.js';
import { AppendRequestSchema, AppendResponseSchema, LogService } from '../../src/gen/golog/v1/log_service_pb.js';
import { eventually } from './deadline.js';

export interface Acknowledged {
  readonly value: string;
  readonly offset: number;
}

export type AppendOutcome =
  | { readonly kind: 'acknowledged'; readonly baseOffset: number; readonly syncedOn: readonly string[] }
  /** Surely not in the log, now or later. */
  | { readonly kind: 'refused'; readonly error: Error }
  | { readonly kind: 'unknown'; readonly error: Error };

const path = `/${LogService.typeName}/${LogService.method.append.name}`;
const same = (bytes: Buffer): Buffer => bytes;
const channelOptions = { 'grpc.initial_reconnect_backoff_ms': 100, 'grpc.max_reconnect_backoff_ms': 500 };

/** Appends to one node. */
export class Appender {
  readonly #client: Client;

  constructor(
    readonly address: string,
    readonly tls?: ClientTls,
  ) {
    this.#client = new Client(address, channelCredentials(tls), channelOptions);
  }

  close(): void {
    this.#client.close();
  }

  append(values: readonly string[], deadlineMs: number): Promise<AppendOutcome> {
    const records = values.map((value) => ({ value: Buffer.from(value) }));
    const request = Buffer.from(toBinary(AppendRequestSchema, create(AppendRequestSchema, { records })));
    return new Promise((resolve) => {
      const deadline = Date.now() + deadlineMs;
      this.#client.makeUnaryRequest(path, same, same, request, { deadline }, (cause, response) => {
        if (cause === null && response !== undefined) {
          const { baseOffset, receipt } = fromBinary(AppendResponseSchema, response);
          resolve({ kind: 'acknowledged', baseOffset: Number(baseOffset), syncedOn: receipt?.syncedOn ?? [] });
        } else {
          const error = fromServiceError(cause, this.address);
          resolve({ kind: isRefusal(error) ? 'refused' : 'unknown', error });
        }
      });
    });
  }
}

/** No connection was made, or the node itself says that it appended nothing. */
function isRefusal(error: Error): boolean {
  if (error instanceof UnreachableError) return true;
  if (!(error instanceof RpcError) || !isServiceError(error.cause)) return false;
  const isNodeError = error.cause.metadata.get('grpc-status-details-bin').length > 0;
  return isNodeError && error.code !== 'ABORTED' && error.code !== 'DEADLINE_EXCEEDED' && error.code !== 'CANCELLED';
}

const retryable: ReadonlySet<string> = new Set([
  'UNAVAILABLE',
  'ABORTED',
  'RESOURCE_EXHAUSTED',
  'DEADLINE_EXCEEDED',
  'CANCELLED',
]);

export function isRetryable(error: Error): boolean {
  return error instanceof UnreachableError || (error instanceof RpcError && retryable.has(error.code));
}

const attemptMs = 1_000;
const recordsPerBatch = 3;
const fewRecords = 60;
const padding = '.'.repeat(80);

/**
 * Producers that append without a pause, each one batch after the other, and move on to the next node after an error.
 * Every attempt has values of its own, so that what became of each can be told from the log.
 */
export class Load {
  readonly acknowledged: Acknowledged[][] = [];
  readonly refused: string[] = [];
  readonly unknown: string[] = [];
  /** How often each error came, and the first that no client should get. */
  readonly errors = new Map<string, number>();
  unexpected: Error | undefined;
  longestGapMs = 0;
  #lastAckMs = performance.now();
  #stopped = false;
  #gate = Promise.resolve();
  #open = (): void => undefined;
  #acknowledgedEnd = 0;
  readonly #producers: Promise<void>[];

  constructor(
    private readonly addresses: () => readonly string[],
    producers = 4,
    /** The TLS of the next append (default: in clear). */
    private readonly tls: () => ClientTls | undefined = () => undefined,
  ) {
    this.#producers = Array.from({ length: producers }, (_, number) => this.#produce(number));
  }

  /** Records acknowledged. */
  get count(): number {
    return this.acknowledged.reduce((sum, each) => sum + each.length, 0);
  }

  /** One past the highest offset acknowledged so far. */
  get acknowledgedEnd(): number {
    return this.#acknowledgedEnd;
  }

  get errorCount(): number {
    return [...this.errors.values()].reduce((sum, count) => sum + count, 0);
  }

  /** Resolves when so many more records are acknowledged, however slowly; with the milliseconds that this took. */
  async more(records = fewRecords): Promise<number> {
    const [startMs, end] = [performance.now(), this.count + records];
    for (let goal = this.count; goal < end;) {
      goal = Math.min(goal + fewRecords, end);
      await eventually(
        () => `${goal} acknowledgements, of ${end}; there were ${this.count}, errors: ${this.describeErrors()}`,
        () => (this.count >= goal ? true : undefined),
      );
    }
    return performance.now() - startMs;
  }

  /** Begins no further append until `goOn`. */
  pause(): void {
    this.#gate = new Promise((resolve) => (this.#open = resolve));
  }

  goOn(): void {
    this.#open();
    this.#gate = Promise.resolve();
  }

  /** Resolves when nothing is under way; rejects with an error that no client should have got. */
  async stop(): Promise<void> {
    await this.end();
    if (this.unexpected) throw this.unexpected;
  }

  async end(): Promise<void> {
    this.#stopped = true;
    this.goOn();
    await Promise.all(this.#producers);
  }

  describeErrors(): string {
    return [...this.errors].map(([text, count]) => `${count} × ${text}`).join('; ') || 'none';
  }

  describe(): string {
    const gap = Math.round(this.longestGapMs);
    return `${this.count} records acknowledged, longest gap ${gap} ms, errors: ${this.describeErrors()}`;
  }

  /** An append of a test's own, accounted for like those of the producers. */
  async append(appender: Appender, value: string, deadlineMs: number): Promise<AppendOutcome> {
    const outcome = await appender.append([value], deadlineMs);
    if (outcome.kind === 'acknowledged') this.acknowledged.push([{ value, offset: outcome.baseOffset }]);
    else (outcome.kind === 'refused' ? this.refused : this.unknown).push(value);
    return outcome;
  }

  async #produce(number: number): Promise<void> {
    const appenders = new Map<string, Appender>();
    const acknowledged: Acknowledged[] = [];
    this.acknowledged.push(acknowledged);
    let failures = 0;
    for (let batch = 0, turn = number; !this.#stopped; batch += 1) {
      await this.#gate;
      const addresses = this.addresses();
      const address = addresses[turn % addresses.length];
      const appender = this.#appenderOf(address, appenders);
      const values = Array.from({ length: recordsPerBatch }, (_, place) => `${number}-${batch}-${place} ${padding}`);
      const outcome = await appender.append(values, attemptMs);
      if (outcome.kind === 'acknowledged') {
        failures = 0;
        this.#acknowledge(outcome.baseOffset, values, acknowledged);
        continue;
      }
      (outcome.kind === 'refused' ? this.refused : this.unknown).push(...values);
      this.#count(outcome.error);
      turn += 1;
      failures += 1;
      if (failures > addresses.length) await delay(20);
    }
    for (const appender of appenders.values()) appender.close();
  }

  #appenderOf(address: string, appenders: Map<string, Appender>): Appender {
    const [stored, tls] = [appenders.get(address), this.tls()];
    if (stored !== undefined && stored.tls === tls) return stored;
    stored?.close();
    const appender = new Appender(address, tls);
    appenders.set(address, appender);
    return appender;
  }

  #acknowledge(baseOffset: number, values: readonly string[], into: Acknowledged[]): void {
    values.forEach((value, place) => into.push({ value, offset: baseOffset + place }));
    this.#acknowledgedEnd = Math.max(this.#acknowledgedEnd, baseOffset + values.length);
    const nowMs = performance.now();
    this.longestGapMs = Math.max(this.longestGapMs, nowMs - this.#lastAckMs);
    this.#lastAckMs = nowMs;
  }

  #count(error: Error): void {
    // What grpc-js adds in detail (times, ports, its last error) tells errors apart that are the same.
    const message = error.message.replace(/ (after \d+\.\d+s|established\.).*/, '');
    const text = error instanceof RpcError ? `${error.code} ${message}` : message;
    this.errors.set(text, (this.errors.get(text) ?? 0) + 1);
    if (!isRetryable(error)) this.unexpected ??= error;
  }
}
