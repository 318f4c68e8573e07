import { crc32c } from '../../src/adapters/checksum/crc32c.js';
import { ManualClock } from '../../src/adapters/memory/manual-clock.js';
import { MemoryDirectory } from '../../src/adapters/memory/memory-directory.js';
import { MemoryPeerNetwork } from '../../src/adapters/memory/memory-peer-network.js';
import { seededRandom } from '../../src/adapters/memory/seeded-random.js';
import { ClusterService } from '../../src/application/cluster-service.js';
import { CommitLogService } from '../../src/application/commit-log-service.js';
import { firstConfiguration, type KeptConfiguration, type Member } from '../../src/application/configuration.js';
import { ConfigurationFile } from '../../src/application/configuration-file.js';
import { parseTransfer } from '../../src/application/configuration-json.js';
import { DiskReserve } from '../../src/application/disk-reserve.js';
import { CommittedEntries } from '../../src/application/log-repair-desk.js';
import { LogRepair } from '../../src/application/log-repair.js';
import type { JoinAnswer } from '../../src/application/ports/join-transport.js';
import type { Logger } from '../../src/application/ports/logger.js';
import { RaftNode } from '../../src/application/raft-node.js';
import { defaultTiming } from '../../src/application/raft-options.js';
import { HardStateFile } from '../../src/domain/log/hard-state.js';
import { Log } from '../../src/domain/log/log.js';
import { toEpochMs, toIndex, toOffset, toTerm } from '../../src/domain/log/offsets.js';
import { BatchKind, type Records, sealBatch } from '../../src/domain/log/record-batch.js';
import type { Retention } from '../../src/domain/log/retention.js';
import type { Entry } from '../../src/domain/raft/entry.js';
import { entryOfBatch } from '../../src/application/batch-entry.js';
import { encodeRecord } from '../../src/domain/log/record.js';
import { defaultRecordLimits, forEachRecord, frameRecords } from '../../src/domain/log/records.js';
import { decodeRecord } from '../../src/domain/log/record.js';

const silent: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
export const logId = new Uint8Array(16).fill(7);

export interface GroupMember {
  readonly member: Member;
  readonly node: RaftNode;
  readonly cluster: ClusterService;
  readonly service: CommitLogService;
  readonly log: Log;
  readonly fatal: unknown[];
}

/** A group of nodes in one process, on memory, a manual clock and a memory network. Printed seeds repeat a run. */
export class Group {
  readonly clock = new ManualClock();
  readonly network = new MemoryPeerNetwork(this.clock);
  readonly running = new Map<string, GroupMember>();
  readonly #disks = new Map<string, { raft: MemoryDirectory; log: MemoryDirectory }>();
  readonly #random = seededRandom(1);

  constructor(
    private readonly options: {
      segmentBytesMax?: number;
      /** Of all nodes, or of the one of that name. */
      retention?: Retention | ((name: string) => Retention);
    } = {},
  ) {}

  /** A group that begins with these voters, and no leader yet. */
  static async of(names: readonly string[], options: ConstructorParameters<typeof Group>[0] = {}): Promise<Group> {
    const group = new Group(options);
    const members = names.map((name, place) => memberOf(name, place + 1));
    for (const { id, name } of members) {
      const first = { ...firstConfiguration(members[0]), members, lastId: members.length };
      const history = [{ ...first, confState: { ...first.confState, voters: members.map((each) => each.id) } }];
      await group.format(name, { id, contacts: [], history });
    }
    for (const name of names) await group.start(name);
    return group;
  }

  /** A fresh disk of a node that is in the cluster. */
  async format(name: string, kept: KeptConfiguration): Promise<void> {
    const disk = { raft: new MemoryDirectory(), log: new MemoryDirectory() };
    this.#disks.set(name, disk);
    const file = await ConfigurationFile.open(disk.raft, crc32c);
    await file.write(kept);
  }

  disk(name: string): { readonly raft: MemoryDirectory; readonly log: MemoryDirectory } {
    const disk = this.#disks.get(name);
    if (disk === undefined) throw new Error(`${name} has no disk`);
    return disk;
  }

  /** A node whose log is damaged repairs it first. */
  async start(name: string): Promise<GroupMember> {
    const disk = this.disk(name);
    const hardState = await HardStateFile.open(disk.raft, crc32c);
    const configuration = await ConfigurationFile.open(disk.raft, crc32c);
    const log = await Log.open(disk.log, {
      logId,
      crc32c,
      durableIndex: hardState.current.commit,
      ...(this.options.segmentBytesMax !== undefined && { segmentBytesMax: this.options.segmentBytesMax }),
    });
    const id = configuration.kept?.id ?? 0;
    const member = memberOf(name, id);
    const transport = this.network.join(member.rpcAddr, logId);
    const fatal: unknown[] = [];
    const random = this.#random;
    const { retention = {} } = this.options;
    const files = { log, hardState, configuration, id, clock: this.clock, logger: silent };
    const diskReserve = await DiskReserve.open(disk.log, 0, this.clock, () => {});
    const source = this.network.entrySource(id);
    const repair = await LogRepair.prepare({ ...files, source, diskReserve });
    if (repair) await this.settled(repair.run(new AbortController().signal));
    const starting = RaftNode.start({
      log,
      hardState,
      configuration,
      id,
      self: member,
      seal: { crc32c, logId },
      clock: this.clock,
      random: (n) => Math.floor(random() * n),
      transport,
      diskReserve,
      retention: typeof retention === 'function' ? retention(name) : retention,
      timing: defaultTiming,
      logger: silent,
      onFatal: (error) => fatal.push(error),
    });
    const node = await this.settled(starting);
    const cluster = new ClusterService({
      leadership: node.leadership,
      transport,
      clock: this.clock,
      logger: silent,
      self: member,
      clusterId: logId,
    });
    this.network.serve(member.rpcAddr, { desk: cluster, cluster, entries: new CommittedEntries({ node, log }) });
    const started = { member, node, cluster, service: new CommitLogService(node, log), log, fatal };
    this.running.set(name, started);
    return started;
  }

  /** What the leader answers to a node that wants to be let in. */
  async ask(name: string, uuid: string): Promise<JoinAnswer> {
    const { member } = await this.leader();
    const joiner = { name, uuid, rpcAddr: memberOf(name, 0).rpcAddr, bootstrapExpect: 0 };
    return this.settled(this.network.joinTransport.ask(member.rpcAddr, joiner, new AbortController().signal));
  }

  /** Has a node with a fresh disk let in, and starts it. */
  async join(name: string, uuid: string): Promise<void> {
    const answer = await this.ask(name, uuid);
    if (answer.kind !== 'joined') throw new Error(`${answer.kind}: ${JSON.stringify(answer)}`);
    const { configuration, contacts } = parseTransfer(answer.configuration);
    await this.format(name, { id: answer.id, contacts, history: [configuration] });
    await this.start(name);
  }

  /** As `kill -9` with nothing lost: the node takes part in nothing any more. */
  async stop(name: string): Promise<void> {
    const { node, cluster, log } = this.get(name);
    this.running.delete(name);
    await this.settled(cluster.close());
    await this.settled(node.close());
    await log.close();
  }

  /** As `kill -9`: what the node wrote stays, and it ends nothing in good order. */
  async crash(name: string): Promise<void> {
    const disk = this.#disks.get(name);
    const copies = disk && { raft: await copyOf(disk.raft), log: await copyOf(disk.log) };
    const { member } = this.get(name);
    this.network.join(member.rpcAddr, logId);
    if (copies) this.#disks.set(name, copies);
    this.running.delete(name);
  }

  get(name: string): GroupMember {
    const found = this.running.get(name);
    if (found === undefined) throw new Error(`${name} does not run`);
    return found;
  }

  /** Lets time pass until the condition holds. */
  async until(holds: () => boolean, msMax = 60_000): Promise<void> {
    for (let ms = 0; !holds(); ms += 10) {
      if (ms > msMax) throw new Error(`not within ${msMax} ms: ${holds.toString()}`);
      await turn();
      this.clock.advance(10);
    }
    await turn();
  }

  /** Lets time pass until the promise settles. */
  async settled<T>(promise: Promise<T>): Promise<T> {
    let done = false;
    const mark = (): void => {
      done = true;
    };
    promise.then(mark, mark);
    await this.until(() => done);
    return promise;
  }

  async leader(): Promise<GroupMember> {
    const leading = (): GroupMember | undefined => {
      const leaders = [...this.running.values()].filter(({ node }) => node.leadership.isLeader);
      return leaders.length === 1 ? leaders[0] : undefined;
    };
    await this.until(() => leading() !== undefined);
    const found = leading();
    if (found === undefined) throw new Error('the leader is gone');
    return found;
  }

  follower(): GroupMember {
    const found = [...this.running.values()].find(({ node }) => !node.leadership.isLeader);
    if (found === undefined) throw new Error('nobody follows');
    return found;
  }
}

async function copyOf(directory: MemoryDirectory): Promise<MemoryDirectory> {
  const copy = new MemoryDirectory();
  for (const name of await directory.list()) {
    const [from, to] = [await directory.open(name), await copy.create(name)];
    await to.write(0, [await from.read(0, await from.size())]);
  }
  return copy;
}

/** The entry that a leader of this term would begin with behind the node's log. */
export function batchAfter({ node, log }: GroupMember, term: number): Entry {
  return entryOfBatch(
    sealBatch(
      {
        kind: BatchKind.noop,
        index: toIndex(node.leadership.lastIndex + 1),
        term: toTerm(term),
        baseOffset: log.endOffset,
        recordCount: 0,
        appendTimeMs: toEpochMs(0),
        payload: new Uint8Array(0),
      },
      { crc32c, logId },
    ),
  );
}

export function memberOf(name: string, id: number): Member {
  return { id, name, uuid: `uuid-of-${name}`, rpcAddr: `${name}:8400` };
}

/** A macrotask: everything that is ready by now runs. */
async function turn(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
}

export function records(...values: string[]): Records {
  return frameRecords(
    values.map((value) => encodeRecord({ value: new TextEncoder().encode(value) })),
    defaultRecordLimits,
  );
}

/** Every record that the node serves. */
export async function valuesOf({ service, node, log }: GroupMember): Promise<string[]> {
  const values: string[] = [];
  for (let next: number = log.startOffset; next < node.highWatermark;) {
    const { batches } = await service.read({ offset: toOffset(next) }, { signal: new AbortController().signal });
    for (const { payload, recordCount, baseOffset } of batches) {
      forEachRecord(payload, (start, end) =>
        values.push(new TextDecoder().decode(decodeRecord(payload.subarray(start, end)).value)),
      );
      next = baseOffset + recordCount;
    }
  }
  return values;
}
