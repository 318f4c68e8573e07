import { describe, expect, it } from '@jest/globals';
import { FaultyDirectory } from '../../src/adapters/memory/faulty-directory.js';
import type { FaultPlan } from '../../src/adapters/memory/faulty-disk.js';
import type { Directory } from '../../src/domain/log/directory.js';
import { Log } from '../../src/domain/log/log.js';
import { toIndex, toOffset, toTerm } from '../../src/domain/log/offsets.js';
import type { LogBoundary } from '../../src/domain/log/log-boundary.js';
import type { RecordBatch } from '../../src/domain/log/record-batch.js';
import { verifyLog } from '../../src/domain/log/inspect/verify.js';
import { logOptions, makeBatch } from './workload.js';

interface Scenario {
  readonly name: string;
  /** The record counts of the batches in the follower's log; 0 is a control batch. */
  readonly batches: readonly number[];
  /** The number of batches that the last sync covers, and the number of committed batches. */
  readonly synced: number;
  readonly committed: number;
  readonly boundary: LogBoundary;
}

const boundary = (offset: number, index: number, term: number): LogBoundary => ({
  offset: toOffset(offset),
  index: toIndex(index),
  term: toTerm(term),
});

/** A segment holds about two of these batches. */
const many = [3, 3, 3, 3, 3, 3, 3, 3, 3, 3];

const scenarios: readonly Scenario[] = [
  { name: 'far after the end', batches: many, synced: 10, committed: 10, boundary: boundary(300, 200, 5) },
  { name: 'after an unsynced end', batches: many, synced: 7, committed: 6, boundary: boundary(300, 200, 5) },
  {
    name: 'at the end, with more control batches',
    batches: many,
    synced: 10,
    committed: 10,
    boundary: boundary(30, 14, 5),
  },
  {
    name: 'under the name of the active segment',
    batches: [3, 3, 3],
    synced: 2,
    committed: 2,
    boundary: boundary(6, 9, 5),
  },
  {
    name: 'under the name of a segment with only control batches',
    batches: [3, 3, 0, 0, 0],
    synced: 5,
    committed: 4,
    boundary: boundary(6, 9, 5),
  },
  {
    name: 'under the name of a log with only control batches',
    batches: [0, 0],
    synced: 2,
    committed: 2,
    boundary: boundary(0, 9, 5),
  },
  { name: 'within a conflicting suffix', batches: many, synced: 10, committed: 4, boundary: boundary(14, 7, 5) },
  {
    name: 'within a conflicting suffix with more records',
    batches: many,
    synced: 9,
    committed: 3,
    boundary: boundary(10, 20, 5),
  },
  { name: 'under the name of a sealed segment', batches: many, synced: 10, committed: 2, boundary: boundary(6, 5, 5) },
  { name: 'with the base of a sealed segment', batches: many, synced: 10, committed: 2, boundary: boundary(6, 3, 5) },
  { name: 'in an empty log', batches: [], synced: 0, committed: 0, boundary: boundary(50, 30, 5) },
  { name: 'at the origin', batches: many, synced: 10, committed: 0, boundary: boundary(0, 1, 0) },
];

interface Follower {
  readonly directory: FaultyDirectory;
  readonly log: Log;
  readonly sent: readonly RecordBatch[];
}

async function follower({ batches, synced }: Scenario, plan: FaultPlan = {}): Promise<Follower> {
  const directory = FaultyDirectory.create(plan);
  const log = await Log.open(directory, logOptions);
  const sent: RecordBatch[] = [];
  let offset = 0;
  for (const [number, count] of batches.entries()) {
    const batch = makeBatch(number + 1, offset, count, 450, 0);
    await log.append([batch]);
    sent.push(batch);
    offset += count;
    if (sent.length === synced) await log.sync();
  }
  return { directory, log, sent };
}

const identity = ({ header, payload }: RecordBatch): string =>
  `${Buffer.from(header).toString('hex')} ${Buffer.from(payload).toString('hex')}`;

async function entries(log: Log): Promise<string[]> {
  const found: string[] = [];
  const until = toIndex(log.lastIndex + 1);
  while (log.startIndex + found.length <= log.lastIndex)
    found.push(
      ...(await log.readEntries(toIndex(log.startIndex + found.length), { until, bytesMax: 5000 })).map(identity),
    );
  return found;
}

async function expectNoProblems(directory: Directory): Promise<void> {
  for await (const { problems } of verifyLog(directory, logOptions)) expect(problems).toEqual([]);
}

type Outcome = 'old' | 'new';

/**
 * Checks that the log is the old one with all committed entries, or the new one, intact, and that a second reset
 * succeeds.
 */
async function checkRecovered(
  directory: FaultyDirectory,
  scenario: Scenario,
  sent: readonly RecordBatch[],
): Promise<Outcome> {
  const { boundary, committed } = scenario;
  await expectNoProblems(directory);
  let log = await Log.open(directory, { ...logOptions, durableIndex: toIndex(committed) });
  expect(log.quarantined).toEqual([]);
  const isNew =
    log.startIndex === boundary.index && log.lastTerm === boundary.term && log.lastIndex === boundary.index - 1;
  if (!isNew) {
    expect(log.startIndex).toBe(1);
    expect(log.lastIndex).toBeGreaterThanOrEqual(committed);
    expect(await entries(log)).toEqual(sent.slice(0, log.lastIndex).map(identity));
  }
  await log.reset(boundary);
  await log.close();
  log = await Log.open(directory, { ...logOptions, durableIndex: toIndex(boundary.index - 1) });
  await expectNew(log, boundary);
  const more = Array.from({ length: 5 }, (_, n) => makeBatch(boundary.index + n, boundary.offset + n * 3, 3, 450, 8));
  await log.append(more);
  await log.sync();
  const survivor = directory.afterCrash({ keep: 'none' });
  log = await Log.open(survivor, logOptions);
  expect(await entries(log)).toEqual(more.map(identity));
  const stores = (await survivor.list()).filter((name) => name.endsWith('.store'));
  expect(stores).toHaveLength(log.segments);
  await log.close();
  await expectNoProblems(survivor);
  return isNew ? 'new' : 'old';
}

async function expectNew(log: Log, { offset, index, term }: LogBoundary): Promise<void> {
  expect([log.startOffset, log.startIndex, log.endOffset, log.lastIndex]).toEqual([offset, index, offset, index - 1]);
  expect([log.lastTerm, await log.termAt(toIndex(index - 1)), log.segments]).toEqual([term, term, 1]);
  expect(log.quarantined).toEqual([]);
}

/** Runs `task` for a crash at every operation of the reset. */
async function forEachCrash(
  scenario: Scenario,
  task: (crashed: Follower, name: string, operation: number) => Promise<void>,
): Promise<void> {
  const before = (await follower(scenario)).directory.operations;
  for (let operation = 1; ; operation++) {
    const crashed = await follower(scenario, { crashAtOperation: before + operation });
    const finished = await crashed.log.reset(scenario.boundary).then(
      () => true,
      () => false,
    );
    const name = `crash at operation ${operation} of the reset, ${crashed.directory.lastOperation}`;
    try {
      if (finished) return expect(operation).toBeGreaterThan(10);
      await task(crashed, name, operation);
    } catch (cause) {
      throw new Error(`${name}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    }
  }
}

describe.each(scenarios)('a crash at every operation of a reset $name', (scenario) => {
  it.each(['none', 'all', 'random'] as const)(
    'leaves the old log or the new one when the disk keeps %s of the unsynced writes',
    async (keep) => {
      const outcomes = new Set<Outcome>();
      await forEachCrash(scenario, async ({ directory, sent }, _name, operation) => {
        outcomes.add(await checkRecovered(directory.afterCrash({ keep, seed: operation }), scenario, sent));
      });
      expect([...outcomes].sort()).toEqual(['new', 'old']);
    },
    60_000,
  );

  it('leaves the old log or the new one when the machine crashes again during recovery', async () => {
    await forEachCrash(scenario, async ({ directory, sent }, _name, operation) => {
      for (let second = 1 + (operation % 3); second <= 12; second += 3) {
        const options = { keep: 'random', seed: operation * 100 + second } as const;
        const recovering = directory.afterCrash({ ...options, plan: { crashAtOperation: second } });
        await Log.open(recovering, { ...logOptions, durableIndex: toIndex(scenario.committed) }).catch(() => undefined);
        await checkRecovered(recovering.afterCrash(options), scenario, sent);
      }
    });
  }, 60_000);
});
