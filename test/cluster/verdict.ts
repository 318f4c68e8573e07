import { expect } from '@jest/globals';
import type { LogClient } from '../../src/client/index.js';
import { sha256Of } from '../end-to-end/corpus.js';
import { runGolog } from '../end-to-end/golog-process.js';
import { loggedLines } from '../logging/logged-lines.js';
import type { LiveCluster } from './live-cluster.js';
import type { Load } from './load.js';

/** All records of a node's log from an offset on, as it reads them by itself. */
async function readFrom(log: LogClient, start: number): Promise<string[]> {
  const values: string[] = [];
  for (;;) {
    const { batches, highWatermark } = await log.read({ from: { offset: start + values.length } });
    for (const batch of batches) {
      let offset = batch.baseOffset;
      for (const { value } of batch.records()) {
        // The first batch may begin before the start.
        if (offset >= start) expect(offset).toBe(start + values.push(Buffer.from(value).toString()) - 1);
        offset += 1;
      }
    }
    if (start + values.length >= highWatermark) return values;
  }
}

/** What is wrong with the records of a log from `start` on, after a load, if anything; at most ten lines. */
export function faultsOf(
  values: readonly string[],
  load: Pick<Load, 'acknowledged' | 'refused' | 'unknown'>,
  start = 0,
): string[] {
  const offsets = new Map<string, number>();
  const faults: string[] = [];
  values.forEach((value, i) => {
    const offset = start + i;
    if (offsets.has(value)) faults.push(`"${value}" is at ${offsets.get(value)} and again at ${offset}`);
    offsets.set(value, offset);
  });
  let accounted = 0;
  for (const producer of load.acknowledged) {
    let last = -1;
    for (const { value, offset } of producer) {
      const found = offsets.get(value);
      if (found !== offset && (offset >= start || found !== undefined))
        faults.push(`"${value}" was acknowledged at ${offset} and is at ${found ?? 'no offset'}`);
      if (offset <= last) faults.push(`"${value}" has offset ${offset}, after ${last}`);
      last = offset;
      if (offset >= start) accounted += 1;
    }
  }
  for (const value of load.refused) if (offsets.has(value)) faults.push(`"${value}" was refused and is there`);
  accounted += load.unknown.filter((value) => offsets.has(value)).length;
  if (accounted < values.length) faults.push(`${values.length - accounted} records are nobody’s`);
  return faults.slice(0, 10);
}

/** No term may have two leaders, in whatever process of a node. */
export function expectOneLeaderATerm({ nodes }: LiveCluster): void {
  const leaders = new Map<unknown, Set<string>>();
  for (const { name, output } of nodes)
    for (const { term } of loggedLines(output, 'leader_elected'))
      leaders.set(term, (leaders.get(term) ?? new Set()).add(name));
  expect([...leaders].filter(([, names]) => names.size > 1).map(([term, names]) => [term, ...names])).toEqual([]);
}

/**
 * What must hold after every test: the load's acknowledged records are at each node, once and at their offsets, no term
 * had two leaders, and the stores of all nodes are byte-identical up to the watermark. Ends the load and the nodes.
 */
export async function expectAllKept(cluster: LiveCluster, load: Load): Promise<void> {
  await expectKept(cluster, load);
  await expectIdentical(cluster, load.count);
}

/** What `expectAllKept` expects, from an offset on and without a comparison of the stores; the nodes go on. */
export async function expectKept(cluster: LiveCluster, load: Load, start = 0): Promise<void> {
  await load.stop();
  expect(load.count).toBeGreaterThan(0);
  await cluster.converged();
  for (const node of cluster.nodes) {
    const faults = faultsOf(await readFrom(node.log, start), load, start);
    expect({ node: node.name, faults }).toEqual({ node: node.name, faults: [] });
  }
  expectOneLeaderATerm(cluster);
}

/** Stops the nodes; their stores must be the same up to the watermark, with at least so many records compared. */
export async function expectIdentical(cluster: LiveCluster, recordsMin: number): Promise<void> {
  const { comparison, differences, directories } = await cluster.compareStopped();
  expect(differences).toEqual([]);
  expect(directories.flatMap(({ problems }) => problems)).toEqual([]);
  expect(comparison?.common?.firstIndex).toBe(1);
  expect(comparison?.records).toBeGreaterThanOrEqual(recordsMin);
}

/** Each node gives the lines of this file, as `golog consume` with these flags reads them to `copy`. */
export async function expectFileAtEachNode(
  nodes: LiveCluster,
  copy: string,
  sha256: string,
  flags: readonly string[],
): Promise<void> {
  for (const { name, address } of nodes.nodes) {
    const consume = ['consume', '--addr', address, '--from', 'earliest', '--consistency', 'linearizable', ...flags];
    const { code, stderr } = await runGolog(consume, '', copy);
    expect({ name, code, stderr, sha256: await sha256Of(copy) }).toEqual({ name, code: 0, stderr: '', sha256 });
  }
}
