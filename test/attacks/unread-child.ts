import { once } from 'node:events';
import type { ClientTls } from '../../src/client/index.js';
import { consumesOf, readsOf, UnreadCaller } from './unread-calls.js';

/** The attack, in a process of its own, so that what it costs here delays nobody else's calls. */

export interface Attack {
  readonly port: number;
  readonly calls: number;
  readonly callsPerSession: number;
  readonly tls: readonly ClientTls[];
}

const { port, calls, ...how } = JSON.parse(process.argv[2] ?? '') as Attack;
const caller = new UnreadCaller();
for (const [path, requests] of [
  ['/log.v1.Log/ConsumeStream', consumesOf(calls / 4)],
  ['/log.v1.Log/Consume', consumesOf(calls / 4)],
  ['/golog.v1.LogService/Tail', readsOf(calls / 4)],
  ['/golog.v1.LogService/Read', readsOf(calls / 4)],
] as const)
  await caller.begin(port, { path, requests, ...how });
process.stdout.write('begun\n');
await once(process.stdin.resume(), 'end');
caller.end();
