import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { spawn } from 'node:child_process';
import type { Bench } from './bench.js';
import { freePort, run, type Server } from './processes.js';
import type { Load } from './rounds.js';
import { recordValueBytes } from './wire.js';

const program = 'redis-server';
const value = 'x'.repeat(recordValueBytes);

/** One inline command, one line of answer. */
function ask(port: number, command: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(`${command}\r\n`));
    socket.once('error', reject);
    socket.once('data', (answer) => {
      socket.destroy();
      resolve(answer.toString('utf8').trim());
    });
  });
}

export interface Redis {
  readonly pid: number;
  /** Appends that many entries, 1,000 deep over each of 50 connections. */
  xadd(entries: number): Promise<Load>;
  stop(): Promise<void>;
}

/** A Redis that syncs its append-only file before it answers, and writes no snapshots. */
export async function startRedis(bench: Bench): Promise<Redis> {
  const directory = await bench.temporaryDirectory();
  const port = await freePort();
  const startedAt = performance.now();
  const child = spawn(
    program,
    [
      ...['--port', String(port), '--bind', '127.0.0.1', '--dir', directory, '--daemonize', 'no', '--save', ''],
      ...['--appendonly', 'yes', '--appendfsync', 'always', '--auto-aof-rewrite-percentage', '0'],
    ],
    { stdio: 'ignore' },
  );
  const exited = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const server: Server = bench.track({
    pid: child.pid ?? -1,
    serving: {},
    startMs: 0,
    stop: async (signal = 'SIGTERM') => {
      child.kill(signal);
      await exited;
    },
  });
  while ((await ask(port, 'PING').catch(() => '')) !== '+PONG') {
    if (child.exitCode !== null || performance.now() - startedAt > 10_000)
      throw new Error('redis-server does not answer');
    await delay(20);
  }
  return {
    pid: server.pid,
    xadd: async (entries) => {
      const args = ['-h', '127.0.0.1', '-p', String(port), '-P', '1000', '-c', '50', '-n', String(entries), '--csv'];
      const output = await run({ file: 'redis-benchmark', args: [...args, 'XADD', 'bench', '*', 'f', value] });
      const rate = /"(?:XADD[^"]*)","([\d.]+)"/.exec(output)?.[1];
      if (rate === undefined) throw new Error(`redis-benchmark printed no rate: ${output}`);
      const length = await ask(port, 'XLEN bench');
      if (Number(length.slice(1)) < entries) throw new Error(`${entries} entries sent, XLEN says ${length}`);
      await ask(port, 'UNLINK bench');
      return { units: entries, seconds: entries / Number(rate) };
    },
    stop: async () => {
      await server.stop();
      await bench.remove(directory);
    },
  };
}
