import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { GrpcServerOptions } from '../../src/adapters/grpc/index.js';
import type { HttpServerOptions } from '../../src/adapters/http/index.js';
import { eventually } from '../cluster/deadline.js';
import type { ServerProcess } from '../end-to-end/golog-process.js';
import { root } from '../foundation/checkout.js';

export interface ListenerLimits {
  readonly grpc: Partial<GrpcServerOptions>;
  readonly http: Partial<HttpServerOptions>;
}

/** The command that becomes a `golog serve` process that measures itself. */
export function measured(limits: ListenerLimits): string[] {
  return [process.execPath, join(root, 'test/attacks/serve-child.js'), JSON.stringify(limits)];
}

/** What a process says of itself. */
export interface Account {
  /** The longest that the event loop was held up since the account before. */
  readonly loopDelayMaxMs: number;
  /** What 999 of 1,000 of its delays did not exceed. */
  readonly loopDelayP999Ms: number;
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

/** Asks a process that measures itself; the next account begins here. */
export async function accountOf(process: ServerProcess): Promise<Account> {
  const before = process.stdout.length;
  process.child.stdin?.write('\n');
  await eventually('its account', () => process.stdout.indexOf('\n', before) > 0 || undefined);
  return JSON.parse(process.stdout.slice(before)) as Account;
}

/** The most memory that was resident in the process since it started, or since `takePeakBytes`. */
export function peakBytesOf(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}

/** The same; from here on it is measured again. */
export function takePeakBytes(pid: number): number {
  const bytes = peakBytesOf(pid);
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
  return bytes;
}
