import { crc32c } from '../../src/adapters/checksum/crc32c.js';
import { ManualClock } from '../../src/adapters/memory/manual-clock.js';
import { MemoryDirectory } from '../../src/adapters/memory/memory-directory.js';
import { MemoryGossipNetwork } from '../../src/adapters/memory/memory-gossip.js';
import { MemoryPeerNetwork } from '../../src/adapters/memory/memory-peer-network.js';
import { seededRandom } from '../../src/adapters/memory/seeded-random.js';
import type { ClusterService } from '../../src/application/cluster/cluster-service.js';
import type { CommitLog } from '../../src/application/ports/commit-log.js';
import {
  firstConfiguration,
  type StoredConfiguration,
  type Member,
} from '../../src/application/configuration/configuration.js';
import { ConfigurationFile } from '../../src/application/configuration/configuration-file.js';
import { parseTransfer } from '../../src/application/configuration/configuration-json.js';
import { UnavailableError } from '../../src/application/errors.js';
import { startMember } from '../../src/application/node/start-member.js';
import type { StartedNode } from '../../src/application/node/started-node.js';
import type { DataDirectory } from '../../src/application/ports/data-directory.js';
import type { JoinAnswer, JoinTransport } from '../../src/application/ports/join-transport.js';
import type { ReplicaHandler } from '../../src/application/ports/replica-uplink.js';
import type { Logger } from '../../src/application/ports/logger.js';
import type { RaftNode } from '../../src/application/raft/raft-node.js';
import { defaultTiming } from '../../src/application/raft/raft-options.js';
import type { Retention } from '../../src/domain/log/retention.js';
import { rejoinCluster } from '../../src/application/join/rejoin-cluster.js';
import { HardStateFile } from '../../src/domain/log/hard-state-file.js';
import { Log } from '../../src/domain/log/log.js';
import { toEpochMs, toIndex, toOffset, toTerm } from '../../src/domain/log/offsets.js';
import { BatchKind, type Records, sealBatch } from '../../src/domain/log/record-batch.js';
import type { Entry } from '../../src/domain/raft/entry.js';
import { entryOfBatch } from '../../src/application/raft/batch-entry.js';
import { encodeRecord } from '../../src/domain/log/record.js';
import { defaultRecordLimits, forEachRecord, frameRecords } from '../../src/domain/log/records.js';
import { decodeRecord } from '../../src/domain/log/record.js';
import { type LogLine, RecordingLogger } from '../logging/recording-logger.js';

const unanswered: JoinTransport = { ask: () => Promise.reject(new UnavailableError('nobody answers')) };
const silent: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
export const logId = new Uint8Array(16).fill(7);

export interface GroupMember {
  readonly started: StartedNode;
  readonly member: Member;
  readonly node: RaftNode;
  readonly cluster: ClusterService;
  readonly service: CommitLog;
  readonly replicas: ReplicaHandler;
  readonly log: Log;
  readonly fatal: unknown[];
  /** What it has logged. */
  readonly lines: readonly LogLine[];
}

/** A data directory of a node. */
interface GroupDisk {
  readonly uuid: string;
  readonly raft: MemoryDirectory;
  readonly log: MemoryDirectory;
}

/** A group of nodes in one process, on memory, a manual clock and a memory network. Printed seeds repeat a run. */
export class Group {
  readonly clock = new ManualClock();
  readonly network = new MemoryPeerNetwork(this.clock);
  readonly gossip = new MemoryGossipNetwork(this.clock);
  readonly running = new Map<string, GroupMember>();
  readonly #disks = new Map<string, GroupDisk>();
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
  async format(name: string, stored: StoredConfiguration, uuid = memberOf(name, stored.id).uuid): Promise<void> {
    const disk = { uuid, raft: new MemoryDirectory(), log: new MemoryDirectory() };
    this.#disks.set(name, disk);
    const file = await ConfigurationFile.open(disk.raft, crc32c);
    await file.write(stored);
  }

  /** What is on the disk of the node now, to be put back later. */
  async copyDisk(name: string): Promise<{ readonly raft: MemoryDirectory; readonly log: MemoryDirectory }> {
    const { raft, log } = this.disk(name);
    return { raft: await copyOf(raft), log: await copyOf(log) };
  }

  /** Puts an older copy back, of one directory or of both; the node is stopped. */
  async putBack(
    name: string,
    copy: { readonly raft?: MemoryDirectory; readonly log?: MemoryDirectory },
  ): Promise<void> {
    const disk = this.disk(name);
    const [raft, log] = [await copyOf(copy.raft ?? disk.raft), await copyOf(copy.log ?? disk.log)];
    this.#disks.set(name, { ...disk, raft, log });
  }

  disk(name: string): GroupDisk {
    const disk = this.#disks.get(name);
    if (disk === undefined) throw new Error(`${name} has no disk`);
    return disk;
  }

  /**
   * As a process does: a node that was in the cluster says that it is back, and one whose log is damaged repairs it.
   * One that `hears` nobody gets no answer when it asks whether it is a member.
   */
  async start(name: string, { hears = 'others' }: { hears?: 'others' | 'nobody' } = {}): Promise<GroupMember> {
    const { clock, network, options } = this;
    const { rpcAddr } = memberOf(name, 0);
    const disk = this.disk(name);
    const { uuid } = disk;
    const fatal: unknown[] = [];
    const logger = new RecordingLogger();
    const { lines } = logger;
    const random = this.#random;
    const { retention = {}, segmentBytesMax } = options;
    const served: Parameters<MemoryPeerNetwork['serve']>[1] = {};
    const serve = (more: typeof served): void => network.serve(rpcAddr, Object.assign(served, more));
    serve({});
    const answering: { service?: CommitLog; replicas?: ReplicaHandler } = {};
    const starting = startMember({
      settings: {
        ...{ name, rpcAddr, httpAddr: '', version: '', startJoinAddrs: [], bootstrap: false, bootstrapExpect: 0 },
        ...{ diskReserveBytes: 0, deadMemberTimeoutMs: 0, timing: defaultTiming },
        retention: typeof retention === 'function' ? retention(name) : retention,
        ...(segmentBytesMax !== undefined && { segmentBytesMax }),
      },
      directory: dataDirectoryOf(uuid, disk),
      gossip: this.gossip.node({ name, tags: new Map() }),
      gates: {
        commitLog: { open: (service) => (answering.service = service) },
        cluster: { open: (cluster) => serve({ cluster }) },
      },
      peerService: {
        setJoinHandler: (desk) => serve({ desk }),
        setEntries: (entries) => serve({ entries }),
        setReplicas: (replicas) => (answering.replicas = replicas),
      },
      ...{ crc32c, clock, signal: new AbortController().signal },
      logger,
      random: (n) => Math.floor(random() * n),
      onFatal: (error) => fatal.push(error),
      joinTransport: hears === 'nobody' ? unanswered : network.joinTransport,
      peerTransport: () => network.join(rpcAddr, logId),
      entrySource: (id) => network.entrySource(id),
    });
    const started = await this.settled(starting);
    await this.until(() => started.work.raft !== undefined);
    const { raft } = started.work;
    const { service, replicas } = answering;
    if (raft === undefined || service === undefined || replicas === undefined)
      throw new Error(`${name} does not run Raft`);
    const { node, cluster } = raft;
    const member = { ...memberOf(name, node.leadership.status.id), uuid };
    const running = { started, member, node, cluster, service, replicas, log: started.log, fatal, lines };
    this.running.set(name, running);
    return running;
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
    await this.format(name, { id: answer.id, contacts, history: [configuration] }, uuid);
    await this.start(name);
  }

  /** As SIGTERM. */
  async stop(name: string): Promise<void> {
    const { started } = this.get(name);
    const { member } = this.get(name);
    await this.settled(started.close());
    this.network.serve(member.rpcAddr, {});
    this.running.delete(name);
  }

  /** As `kill -9`: what the node wrote stays, and it ends nothing in good order. */
  async crash(name: string): Promise<void> {
    const disk = this.#disks.get(name);
    const copies = disk && { ...disk, raft: await copyOf(disk.raft), log: await copyOf(disk.log) };
    const { member } = this.get(name);
    this.network.join(member.rpcAddr, logId);
    this.network.serve(member.rpcAddr, {});
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

/** What the node `name` does before it is started again: see `rejoinCluster`. */
export async function rejoin(
  group: Group,
  name: string,
  options: {
    readonly clusterId?: Uint8Array;
    readonly transport?: JoinTransport;
    /** What it says of itself that is not as it was. */
    readonly as?: { readonly name?: string; readonly rpcAddr?: string };
  } = {},
): Promise<{ readonly answered: boolean; readonly id: number | undefined }> {
  const disk = group.disk(name);
  const configuration = await ConfigurationFile.open(disk.raft, crc32c);
  const { stored } = configuration;
  if (stored === undefined) throw new Error(`${name} is in no cluster`);
  const hardState = await HardStateFile.open(disk.raft, crc32c);
  const log = await Log.open(disk.log, { logId, crc32c, durableIndex: hardState.current.commit });
  const { transport = group.network.joinTransport, clusterId = logId } = options;
  const { signal } = new AbortController();
  const answered = await group.settled(
    rejoinCluster({
      ...{ configuration, stored, log, hardState, transport, clock: group.clock, logger: silent, signal },
      addresses: () => [...group.running.keys()].map((each) => `${each}:8400`),
      joiner: { name, uuid: `uuid-of-${name}`, rpcAddr: `${name}:8400`, bootstrapExpect: 0, clusterId, ...options.as },
    }),
  );
  await log.close();
  await hardState.close();
  return { answered, id: configuration.stored?.id };
}

/** The data directory of a node whose log has the id of all logs of a group. */
export function dataDirectoryOf(nodeId: string, { raft, log }: Pick<DataDirectory, 'raft' | 'log'>): DataDirectory {
  const [adoptLogId, close] = [(): Promise<void> => Promise.resolve(), (): Promise<void> => Promise.resolve()];
  return { path: undefined, nodeId, logId, adoptLogId, raft, log, close };
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
