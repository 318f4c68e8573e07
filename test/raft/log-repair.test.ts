import { describe, expect, it } from '@jest/globals';
import { crc32c } from '../../src/adapters/checksum/crc32c.js';
import { FaultyDirectory } from '../../src/adapters/memory/faulty-directory.js';
import { ManualClock } from '../../src/adapters/memory/manual-clock.js';
import type { Member } from '../../src/application/configuration/configuration.js';
import { ConfigurationFile } from '../../src/application/configuration/configuration-file.js';
import { isDamaged } from '../../src/application/repair/damaged-node.js';
import { DiskReserve } from '../../src/application/storage/disk-reserve.js';
import { UnavailableError } from '../../src/application/errors.js';
import { LogRepair } from '../../src/application/repair/log-repair.js';
import type { EntrySource, LogEnd } from '../../src/application/ports/entry-source.js';
import type { Logger } from '../../src/application/ports/logger.js';
import { HardStateFile } from '../../src/domain/log/hard-state-file.js';
import { Log } from '../../src/domain/log/log.js';
import { toIndex, toOffset, toTerm } from '../../src/domain/log/offsets.js';
import { boundaryAfter } from '../../src/domain/log/log-boundary.js';
import type { RecordBatch } from '../../src/domain/log/record-batch.js';
import { confState } from '../../src/domain/raft/conf-state.js';
import { logOptions, makeBatch } from '../crash/workload.js';

const silent: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const forever = new AbortController().signal;

function run(count: number, generationOf: (index: number) => number): RecordBatch[] {
  const batches: RecordBatch[] = [];
  for (let index = 1; index <= count; index++) {
    const offset = batches.length === 0 ? 0 : boundaryAfter(batches[batches.length - 1]).offset;
    batches.push(makeBatch(index, offset, index % 10 === 0 ? 0 : 2, 150, generationOf(index)));
  }
  return batches;
}

/** The entries that the cluster has committed: a leader of term 2 continues after entry 30. */
const truth = run(44, (index) => (index > 30 ? 1 : 0));
/** The entries that the node acknowledged; 31 to 36 came from the previous leader and were never committed. */
const acknowledged = run(36, () => 0);
const committedAtNode = 20;

const members: Member[] = [1, 2, 3].map((id) => ({ id, name: `n${id}`, uuid: `uuid-${id}`, rpcAddr: `n${id}:8400` }));
const configuration = { index: 0, confState: confState({ voters: [1, 2, 3] }), members, lastId: 3, settings: {} };

const identity = ({ header, payload }: RecordBatch): string =>
  `${Buffer.from(header).toString('hex')} ${Buffer.from(payload).toString('hex')}`;

/** The other two members; `ends` is by id. */
class Peers implements EntrySource {
  readonly ends = new Map<number, LogEnd>();
  readonly reads: string[] = [];
  change: (batch: RecordBatch, peer: number) => RecordBatch = (batch) => batch;

  constructor() {
    for (const id of [2, 3])
      this.ends.set(id, { term: 2, leads: id === 3, startIndex: 1, commitIndex: 44, lastIndex: 44 });
  }

  tell(id: number, end: Partial<LogEnd> | undefined): void {
    const before = this.ends.get(id);
    this.ends.delete(id);
    if (before && end) this.ends.set(id, { ...before, ...end });
  }

  logEnd({ id }: { id: number }): Promise<LogEnd> {
    const end = this.ends.get(id);
    return end ? Promise.resolve(end) : Promise.reject(new UnavailableError(`n${id} is away`));
  }

  async *read({ id }: { id: number }, from: number, until: number): AsyncGenerator<RecordBatch[]> {
    this.reads.push(`${from} to ${until} of n${id}`);
    for (let next = from; next < until; next += 4)
      yield truth.slice(next - 1, Math.min(next + 3, until - 1)).map((batch) => this.change(batch, id));
  }
}

interface Opened {
  readonly log: Log;
  readonly configuration: ConfigurationFile;
  readonly hardState: HardStateFile;
  readonly repair: LogRepair | undefined;
  readonly clock: ManualClock;
}

/** Prepares a repair as a starting node does. */
async function open(disk: FaultyDirectory, source: EntrySource = new Peers()): Promise<Opened> {
  const raft = await disk.subdirectory('raft');
  const directory = await disk.subdirectory('log');
  const hardState = await HardStateFile.open(raft, crc32c);
  const file = await ConfigurationFile.open(raft, crc32c);
  const log = await Log.open(directory, { ...logOptions, durableIndex: hardState.current.commit });
  const clock = new ManualClock();
  const diskReserve = await DiskReserve.open(directory, 0, clock, () => {});
  const files = { log, hardState, configuration: file };
  const repair = await LogRepair.prepare({ ...files, id: 1, source, diskReserve, clock, logger: silent });
  return { ...files, repair, clock };
}

/** Returns all readable entries, by index. */
async function readAll(log: Log): Promise<Map<number, string>> {
  const found = new Map<number, string>();
  for (let from: number = log.startIndex; from <= log.lastIndex; from++)
    try {
      const [batch] = await log.readEntries(toIndex(from), { until: toIndex(from + 1), bytesMax: 1 });
      found.set(from, identity(batch));
    } catch {
      continue;
    }
  return found;
}

/** Returns the disk of a node that was shut down properly. */
async function whole(): Promise<FaultyDirectory> {
  const disk = FaultyDirectory.create();
  const raft = await disk.subdirectory('raft');
  const hardState = await HardStateFile.open(raft, crc32c);
  await hardState.save({ term: toTerm(1), vote: 0, commit: toIndex(committedAtNode) });
  await hardState.close();
  const file = await ConfigurationFile.open(raft, crc32c);
  await file.write({ id: 1, contacts: [], history: [configuration] });
  const log = await Log.open(await disk.subdirectory('log'), logOptions);
  await log.append(acknowledged);
  await log.sync();
  await log.close();
  return disk;
}

/** Returns the stores by name, and the positions of their batches. */
async function stores(disk: FaultyDirectory): Promise<{ name: string; size: number }[]> {
  const directory = await disk.subdirectory('log');
  const names = (await directory.list()).filter((name) => name.endsWith('.store')).sort();
  const found: { name: string; size: number }[] = [];
  for (const name of names) found.push({ name, size: await (await directory.open(name)).size() });
  return found;
}

async function zero(disk: FaultyDirectory, name: string, from: number, bytes: number): Promise<void> {
  const file = await (await disk.subdirectory('log')).open(name);
  await file.write(from, [new Uint8Array(bytes)]);
  await file.sync();
  await file.close();
}

const damages: Record<string, (disk: FaultyDirectory) => Promise<void>> = {
  'a flipped bit in the middle of the last segment': async (disk) => {
    const { name, size } = (await stores(disk)).at(-1)!;
    (await disk.subdirectory('log')).corrupt(name, size >> 1, 4);
  },
  'a zeroed end of the last segment': async (disk) => {
    const { name, size } = (await stores(disk)).at(-1)!;
    await zero(disk, name, size - 500, 500);
  },
  'a lost end of the last segment': async (disk) => {
    const { name, size } = (await stores(disk)).at(-1)!;
    const file = await (await disk.subdirectory('log')).open(name);
    await file.truncate(size - 700);
    await file.sync();
  },
  'a zeroed header of the last segment': async (disk) => zero(disk, (await stores(disk)).at(-1)!.name, 0, 52),
};
const kinds = Object.keys(damages);

async function expectRepaired({ log, configuration: file }: Opened): Promise<void> {
  expect(log.lastIndex).toBeGreaterThanOrEqual(acknowledged.length);
  expect([...(await readAll(log)).values()]).toEqual(truth.slice(0, log.lastIndex).map(identity));
  expect(log.quarantined).toEqual([]);
  expect(isDamaged(log)).toBe(false);
  expect(file.stored).toEqual({ id: 1, contacts: [], history: [configuration] });
}

describe('a member with a damaged log', () => {
  it.each(kinds)('replaces %s with what the cluster has committed', async (kind) => {
    const disk = await whole();
    await damages[kind](disk);
    const peers = new Peers();
    const node = await open(disk, peers);
    await node.repair!.run(forever);
    await expectRepaired(node);
    expect(node.hardState.current).toEqual({ term: 1, vote: 0, commit: node.log.lastIndex });
    expect(peers.reads).toHaveLength(2);
    const again = await open(disk.afterCrash({ keep: 'none' }));
    expect(again.repair).toBeUndefined();
    await expectRepaired(again);
  });

  it.each(kinds)(
    'never runs Raft with less than it acknowledged, wherever the power fails: %s',
    async (kind) => {
      const damaged = await whole();
      await damages[kind](damaged);
      const first = damaged.afterCrash({ keep: 'all' });
      await (await open(first, new Peers())).repair!.run(forever);
      expect(first.operations).toBeGreaterThan(10);
      for (const keep of ['none', 'all', 'random'] as const)
        for (let crashAtOperation = 1; crashAtOperation <= first.operations; crashAtOperation++) {
          const disk = damaged.afterCrash({ keep: 'all', plan: { crashAtOperation }, seed: crashAtOperation });
          const life = async (): Promise<void> => (await open(disk, new Peers())).repair!.run(forever);
          await expect(life()).rejects.toThrow();
          const where = `${kind}, kept ${keep}, ${disk.lastOperation}`;
          const survivor = disk.afterCrash({ keep, seed: crashAtOperation });
          const next = await open(survivor, new Peers());
          try {
            await next.repair?.run(forever);
            await expectRepaired(next);
          } catch (error) {
            throw new Error(`after a crash: ${where}`, { cause: error });
          }
        }
    },
    60_000,
  );

  it.each(kinds)('treats nothing as durable that a failed sync has lost: %s', async (kind) => {
    for (let nth = 1; ; nth++) {
      const disk = await whole();
      await damages[kind](disk);
      const node = await open(disk, new Peers());
      for (const { name } of await stores(disk))
        for (const fileName of [name, `${name}.tmp`]) disk.inject({ operation: 'sync', nth, fileName });
      const failed = await node.repair!.run(forever).then(
        () => false,
        () => true,
      );
      if (!failed) return expect(nth).toBeGreaterThan(1);
      // The process ends, and its writes are still in the page cache.
      const survivor = disk.afterCrash({ keep: 'all' });
      const next = await open(survivor);
      await next.repair!.run(forever);
      await expectRepaired(next);
      const again = await open(survivor.afterCrash({ keep: 'none' }));
      expect(again.repair).toBeUndefined();
      await expectRepaired(again);
    }
  });

  it.each([30, 33, 36])('replaces the end of an older copy of the log, which never was committed (%d)', async (end) => {
    const disk = await whole();
    const raft = await disk.subdirectory('raft');
    const hardState = await HardStateFile.open(raft, crc32c);
    await hardState.save({ ...hardState.current, commit: toIndex(44) });
    await hardState.close();
    const log = await Log.open(await disk.subdirectory('log'), logOptions);
    await log.truncateSuffix(toIndex(end + 1));
    await log.close();
    const node = await open(disk);
    expect(node.repair!.readableEnd).toBe(node.log.startOffset);
    await node.repair!.run(forever);
    await expectRepaired(node);
    expect(node.log.lastIndex).toBe(44);
  });

  it('serves what is committed before the damage in the meantime', async () => {
    const disk = await whole();
    await damages[kinds[1]](disk);
    const { repair } = await open(disk);
    expect(repair!.readableEnd).toBe(boundaryAfter(acknowledged[committedAtNode - 1]).offset);
  });
});

describe('a repair', () => {
  async function damagedNode(
    kind = kinds[0],
  ): Promise<Opened & { peers: Peers; ended: () => boolean; step(): Promise<void> }> {
    const disk = await whole();
    await damages[kind](disk);
    const peers = new Peers();
    peers.tell(2, undefined);
    peers.tell(3, undefined);
    const node = await open(disk, peers);
    let ended = false;
    const running = node.repair!.run(forever).then(() => (ended = true));
    running.catch(() => undefined);
    const step = async (): Promise<void> => {
      for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
      node.clock.advance(5_000);
      for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
    };
    await step();
    return { ...node, peers, ended: () => ended, step };
  }

  it('waits for a leader of its term or a later one, and for entries committed up to the end of its log', async () => {
    const { peers, repair, ended, step, log } = await damagedNode(kinds[1]);
    const lastIndex = log.lastIndex;
    expect(repair!.progress).toContain('no leader answered (n2: n2 is away; n3: n3 is away)');
    const end = { term: 2, leads: true, startIndex: 1, commitIndex: 43, lastIndex: 44 };
    peers.ends.set(3, { ...end, term: 0 });
    await step();
    expect(repair!.progress).toContain('no leader answered');
    peers.ends.set(3, end);
    await step();
    expect(repair!.progress).toContain('no member has committed entry 44 yet');
    // Nothing is removed until there is a member to read from.
    expect(log.lastIndex).toBe(lastIndex);
    expect(ended()).toBe(false);
    peers.tell(3, undefined);
    peers.ends.set(2, { ...end, leads: false, commitIndex: 44 });
    await step();
    expect(ended()).toBe(true);
    expect(log.lastIndex).toBe(44);
  });

  it('waits for no leader if the end of the log is readable, but for a member that has committed that much', async () => {
    const { peers, repair, ended, step } = await damagedNode();
    const end = { term: 2, leads: false, startIndex: 1, commitIndex: 35, lastIndex: 44 };
    peers.ends.set(3, end);
    await step();
    expect(repair!.progress).toContain('no leader answered');
    peers.ends.set(3, { ...end, commitIndex: 36 });
    await step();
    expect(ended()).toBe(true);
  });

  it('cannot succeed if its entries are no longer stored, and says what to do', async () => {
    const { peers, repair, ended, step } = await damagedNode();
    const end = { term: 2, leads: true, startIndex: 35, commitIndex: 44, lastIndex: 44 };
    peers.ends.set(3, end);
    await step();
    expect(ended()).toBe(false);
    expect(repair!.progress).toMatch(/no member still stores entry \d+ .* rejoin as a new member/);
  });

  it('ends at once on a stop, and continues at the next start', async () => {
    const disk = await whole();
    await damages[kinds[0]](disk);
    const stop = new AbortController();
    const peers = new Peers();
    peers.change = (batch) => {
      if (batch.index >= 34) stop.abort(new Error('stopped'));
      return batch;
    };
    const node = await open(disk, peers);
    await expect(node.repair!.run(stop.signal)).rejects.toThrow('stopped');
    await node.log.close();
    const again = await open(disk.afterCrash({ keep: 'none' }), new Peers());
    expect(again.configuration.stored?.repairing).toEqual({ until: 37 });
    await again.repair!.run(forever);
    await expectRepaired(again);
  });

  it('accepts only the next entries, and asks another member otherwise', async () => {
    const disk = await whole();
    await damages[kinds[0]](disk);
    const peers = new Peers();
    peers.change = (batch, id) =>
      id === 2 && batch.index === 33 ? { ...batch, baseOffset: toOffset(batch.baseOffset + 1) } : batch;
    const node = await open(disk, peers);
    await node.repair!.run(forever);
    await expectRepaired(node);
    expect(peers.reads.map((read) => read.slice(-2))).toEqual(['n2', 'n2', 'n3']);
  });

  it('finds the damage itself, where reading it later would end every start', async () => {
    const disk = await whole();
    // An entry of a sealed segment that is not known to be committed here.
    const raft = await disk.subdirectory('raft');
    const hardState = await HardStateFile.open(raft, crc32c);
    await hardState.save({ ...hardState.current, commit: toIndex(3) });
    await zero(disk, (await stores(disk))[1].name, 600, 512);
    const node = await open(disk);
    await node.repair!.run(forever);
    await expectRepaired(node);
  });

  it('is not made in a group of one', async () => {
    const disk = await whole();
    await damages[kinds[0]](disk);
    const raft = await disk.subdirectory('raft');
    const file = await ConfigurationFile.open(raft, crc32c);
    const alone = { ...configuration, confState: confState({ voters: [1] }), members: [members[0]] };
    await file.write({ id: 1, contacts: [], history: [alone] });
    const node = await open(disk);
    expect(node.repair).toBeUndefined();
    expect(isDamaged(node.log)).toBe(true);
  });
});
