import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { callFor } from './loads.js';
import { run, versionOf } from './processes.js';
import type { Load } from './rounds.js';

const sessions = 8;
const streamsASession = 32;

export interface UnaryTarget {
  readonly address: string;
  readonly path: string;
  readonly contentType: string;
  /** As it goes over the wire: with its frame for gRPC, without for Connect. */
  readonly body: Buffer;
  readonly seconds: number;
}

export const hasH2load = async (): Promise<boolean> => (await versionOf('h2load')) !== undefined;

/** 256 calls in flight, 32 on each of 8 connections: servers cap the streams of a session at about 100. */
export async function h2load(target: UnaryTarget, directory: string): Promise<Load> {
  const file = join(directory, 'h2load-body');
  await writeFile(file, target.body);
  const output = await run({
    file: 'h2load',
    args: [
      ...['-c', String(sessions), '-m', String(streamsASession), '-D', String(target.seconds), '-d', file],
      ...['-H', `content-type: ${target.contentType}`, '-H', 'te: trailers'],
      `http://${target.address}${target.path}`,
    ],
  });
  const counts = /(\d+) done, (\d+) succeeded, (\d+) failed/.exec(output);
  const rate = /finished in [^,]+, ([\d.]+) req\/s/.exec(output);
  if (counts === null || rate === null) throw new Error(`h2load printed no figures: ${output}`);
  if (Number(counts[3]) > 0 || Number(counts[2]) === 0) throw new Error(`h2load had failures: ${output}`);
  return { units: Number(counts[2]), seconds: Number(counts[2]) / Number(rate[1]) };
}

/** The same load from Node, for machines without h2load; gRPC only. It costs more than the server that it measures. */
export async function ownUnaryLoad(target: UnaryTarget): Promise<Load> {
  const limits = { inFlight: streamsASession, seconds: target.seconds };
  const loads = await Promise.all(
    Array.from({ length: sessions }, () => callFor(target.address, target.path, () => target.body, limits)),
  );
  const units = loads.reduce((sum, load) => sum + load.units, 0);
  return { units, seconds: Math.max(...loads.map((load) => load.seconds)) };
}
