import { spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import type { Bench } from './bench.js';
import type { Server } from './processes.js';

const outputKept = 4_000;

/** Runs a server that says nothing of its start; what it prints is for the error when it ends too early. */
export function startProgram(bench: Bench, file: string, args: readonly string[]): Server {
  const child = spawn(file, [...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output = (output + text).slice(-outputKept)));
  let stopping = false;
  const ended = new Promise<void>((resolve) => {
    child.once('error', () => resolve());
    child.once('close', (code, signal) => {
      if (!stopping) bench.notice(`${file} ended (${code ?? signal}): ${output}`);
      resolve();
    });
  });
  return bench.track({
    pid: child.pid ?? -1,
    serving: {},
    startMs: 0,
    stop: async (signal = 'SIGTERM') => {
      stopping = true;
      child.kill(signal);
      await ended;
    },
  });
}

/** Tries again while it rejects. */
export async function untilDone<T>(what: string, attempt: () => Promise<T>, withinMs = 20_000): Promise<T> {
  const endsAt = performance.now() + withinMs;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() > endsAt) throw new Error(`not ${what} within ${withinMs} ms`, { cause: error });
      await delay(100);
    }
  }
}
