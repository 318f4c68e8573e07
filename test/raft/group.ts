import { crc32c } from '../../src/adapters/checksum/crc32c.js';
import { ManualClock } from '../../src/adapters/memory/manual-clock.js';
import { MemoryDirectory } from '../../src/adapters/memory/memory-directory.js';
import { MemoryGossipNetwork } from '../../src/adapters/memory/memory-gossip.js';
import { MemoryPeerNetwork } from '../../src/adapters/memory/memory-peer-network.js';
import { seededRandom } from '../../src/adapters/memory/seeded-random.js';
import type { ClusterService } from '../../src/application/cluster/cluster-service.js';
import type { CommitLog } from '../../src/application/ports/commit-log.js';
import type { ClusterSettings } from '../../src/application/configuration/cluster-settings.js';
import {
  firstConfiguration,
  type StoredConfiguration,
  type Member,
} from '../../src/application/configuration/configuration.js';
import { ConfigurationFile } from '../../src/application/configuration/configuration-file.js';
import { UnavailableError } from '../../src/application/errors.js';
import type { MemberWork } from '../../src/application/node/member-life.js';
import { startMember } from '../../src/application/node/start-member.js';
import type { StartedNode } from '../../src/application/node/started-node.js';
import type { DataDirectory } from '../../src/application/ports/data-directory.js';
import type { JoinAnswer, JoinTransport } from '../../src/application/ports/join-transport.js';
import type { Readiness } from '../../src/application/ports/readiness.js';
import type { ReplicaHandler } from '../../src/application/ports/replica-uplink.js';
import type { Gossip } from '../../src/application/ports/gossip.js';
import type { Clock } from '../../src/application/ports/clock.js';
import { RaftNode } from '../../src/application/raft/raft-node.js';
import { defaultTiming } from '../../src/application/raft/raft-options.js';
import type { Retention } from '../../src/domain/log/retention.js';
import type { Log } from '../../src/domain/log/log.js';
import { toEpochMs, toIndex, toOffset, toTerm } from '../../src/domain/log/offsets.js';
import { BatchKind, type Records, sealBatch } from '../../src/domain/log/record-batch.js';
import type { Entry } from '../../src/domain/raft/entry.js';
import { entryOfBatch } from '../../src/application/raft/batch-entry.js';
import { encodeRecord } from '../../src/domain/log/record.js';
import { defaultRecordLimits, forEachRecord, frameRecords } from '../../src/domain/log/records.js';
import { decodeRecord } from '../../src/domain/log/record.js';
import { type LogLine, RecordingLogger } from '../logging/recording-logger.js';

/** Reaches no node. */
export const unanswered = { ask: () => Promise.reject(new UnavailableError('nobody answers')) };
/** Nobody has notes of the node that starts, and no leader answers it. */
export function noteless(group: Group): JoinTransport {
  const vouch: JoinTransport['vouch'] = async (...asked) => {
    const answer = await group.network.joinTransport.vouch(...asked);
    if (answer === 'unsupported') return answer;
    const { note: _, ...rest } = answer;
    return rest;
  };
  return { ...unanswered, vouch };
}
export const logId = new Uint8Array(16).fill(7);

export interface GroupMember {
  readonly started: StartedNode<MemberWork>;
  readonly gossip: Gossip;
  readonly member: Member;
  readonly node: RaftNode;
  readonly cluster: ClusterService;
  readonly service: CommitLog;
  readonly replicas: ReplicaHandler;
  readonly log: Log;
  readonly fatal: unknown[];
  /** The lines that it has logged. */
  readonly lines: readonly LogLine[];
}

/** A data directory of a node. */
export interface GroupDisk {
  readonly uuid: string;
  readonly raft: MemoryDirectory;
  readonly log: MemoryDirectory;
}

export interface StartOptions {
  /** The data directory to start from; by default the node's own, or an empty one if it has none. */
  readonly disk?: GroupDisk;
  readonly joinTransport?: Pick<JoinTransport, 'ask'> & Partial<JoinTransport>;
  /** The gossip of nodes to contact first; by default those of the running nodes, if the node is new. */
  readonly startJoinAddrs?: readonly string[];
  /** What the node says about itself that differs from its name, its address or the log on its disk. */
  readonly claims?: { readonly name?: string; readonly rpcAddr?: string; readonly clusterId?: Uint8Array };
}

/** A group of nodes in one process, on memory directories, a manual clock and a memory network. */
export class Group {
  readonly clock = new ManualClock();
  readonly network = new MemoryPeerNetwork(this.clock);
  readonly gossip = new MemoryGossipNetwork(this.clock);
  readonly running = new Map<string, GroupMember>();
  /** By node name: the milliseconds by which its wall clock is ahead of the others. */
  readonly aheadMs = new Map<string, number>();
  /** How ready each node was when it began to do something else. */
  readonly readinessLog: (Readiness & { readonly name: string })[] = [];
  readonly #disks = new Map<string, GroupDisk>();
  readonly #readiness = new Map<string, () => Readiness>();
  /** The gossip of nodes that have crashed: what is left of them asks nobody. */
  readonly #crashed = new WeakSet<Gossip>();
  readonly #random = seededRandom(1);

  constructor(
    private readonly options: {
      segmentBytesMax?: number;
      scrubBytesPerSecond?: number;
      /** For all nodes, or by node name. */
      retention?: Retention | ((name: string) => Retention);
      /** Those of the first configuration (default: those of a new cluster). */
      settings?: ClusterSettings;
      /** The feature level at which producers are accepted. */
      exactlyOnceLevel?: number;
      /** The disk reserve of each node (default: none). */
      diskReserveBytes?: number;
    } = {},
  ) {}

  /** Starts a group whose data directories already name these voters. It has no leader yet. */
  static async of(names: readonly string[], options: ConstructorParameters<typeof Group>[0] = {}): Promise<Group> {
    const group = new Group(options);
    const members = names.map((name, i) => memberOf(name, i + 1));
    for (const { id, name, uuid } of members) {
      const { settings = firstConfiguration(members[0]).settings } = options;
      const first = { ...firstConfiguration(members[0]), members, lastId: members.length, settings };
      const history = [{ ...first, confState: { ...first.confState, voters: members.map((each) => each.id) } }];
      const disk = emptyDisk(uuid);
      const configuration = await ConfigurationFile.open(disk.raft, crc32c);
      await configuration.write({ id, contacts: [], history });
      group.#disks.set(name, disk);
    }
    // None of them runs Raft before the others vouch for it.
    await Promise.all(names.map((name) => group.start(name)));
    return group;
  }

  /** Copies what the node's disk holds now. */
  copyDisk(name: string): Promise<GroupDisk> {
    return copyOfDisk(this.disk(name));
  }

  /** Returns a snapshot of what the node's disk holds now: the same files. */
  snapshotDisk(name: string): GroupDisk {
    const { uuid, raft, log } = this.disk(name);
    return { uuid, raft: raft.snapshot(), log: log.snapshot() };
  }

  /** Rolls the disk back to a snapshot: nothing on it shows that. The node is stopped. */
  rollBack(name: string, snapshot: GroupDisk): void {
    this.#disks.set(name, snapshot);
  }

  /** Restores an older copy of one directory or both. The node is stopped. */
  async putBack(name: string, copy: Partial<Pick<GroupDisk, 'raft' | 'log'>>): Promise<void> {
    this.#disks.set(name, await copyOfDisk({ ...this.disk(name), ...copy }));
  }

  disk(name: string): GroupDisk {
    const disk = this.#disks.get(name);
    if (disk === undefined) throw new Error(`${name} has no disk`);
    return disk;
  }

  /** The configuration that the node's disk holds. */
  async storedConfiguration(name: string): Promise<StoredConfiguration | undefined> {
    const { stored } = await ConfigurationFile.open(this.disk(name).raft, crc32c);
    return stored;
  }

  /**
   * Starts the node as its process does: a new node finds the others through gossip and joins them, a former member rejoins,
   * and a damaged log is repaired. Resolves when the node runs Raft.
   */
  async start(name: string, startOptions: StartOptions = {}): Promise<GroupMember> {
    const begun = await this.begin(name, startOptions);
    await this.until(() => begun.started.work.raft !== undefined);
    const { raft } = begun.started.work;
    const { service, replicas } = begun;
    if (raft === undefined || service === undefined || replicas === undefined)
      throw new Error(`${name} does not run Raft`);
    const { node, cluster } = raft;
    const member = { ...begun.member, id: node.leadership.status.id };
    const running: GroupMember = {
      ...begun,
      member,
      node,
      cluster,
      replicas,
      // A node that joins again is served by another one.
      get service() {
        return begun.service ?? service;
      },
    };
    this.running.set(name, running);
    return running;
  }

  /** Starts the node; it may wait for its peers. */
  async begin(name: string, startOptions: StartOptions = {}) {
    const { network, options } = this;
    const { claims = {}, joinTransport = network.joinTransport } = startOptions;
    const { rpcAddr = memberOf(name, 0).rpcAddr, clusterId } = claims;
    const disk = startOptions.disk ?? this.#disks.get(name) ?? emptyDisk(uuidOf(name));
    if (!this.running.has(name)) this.#disks.set(name, disk);
    const { uuid } = disk;
    const isNew = (await disk.raft.list()).length === 0;
    const gossip = this.gossip.node({ name, tags: new Map() });
    const startJoinAddrs =
      startOptions.startJoinAddrs ?? (isNew ? [...this.running.values()].map(({ started }) => started.gossipAddr) : []);
    const fatal: unknown[] = [];
    const logger = new RecordingLogger();
    const { lines } = logger;
    const random = this.#random;
    const crashed = this.#crashed;
    const { retention = {}, segmentBytesMax, scrubBytesPerSecond } = options;
    const served: Parameters<MemoryPeerNetwork['serve']>[1] = {};
    const serve = (more: typeof served): void => network.serve(rpcAddr, Object.assign(served, more));
    serve({});
    const answering: { service?: CommitLog; replicas?: ReplicaHandler } = {};
    this.#readiness.delete(name);
    const { exactlyOnceLevel } = options;
    const starting = startMember({
      ...(exactlyOnceLevel !== undefined && {
        startRaft: (raftOptions) => RaftNode.start({ ...raftOptions, exactlyOnceLevel }),
      }),
      settings: {
        name: claims.name ?? name,
        rpcAddr,
        httpAddr: '',
        version: '',
        startJoinAddrs,
        bootstrap: false,
        bootstrapExpect: 0,
        diskReserveBytes: options.diskReserveBytes ?? 0,
        deadMemberTimeoutMs: 0,
        timing: defaultTiming,
        retention: typeof retention === 'function' ? retention(name) : retention,
        ...(segmentBytesMax !== undefined && { segmentBytesMax }),
        ...(scrubBytesPerSecond !== undefined && { scrubBytesPerSecond }),
      },
      directory: dataDirectoryOf(uuid, disk),
      gossip,
      gates: {
        commitLog: { open: (service) => (answering.service = service), close: () => undefined },
        cluster: { open: (cluster) => serve({ cluster }), close: () => undefined },
      },
      peerService: {
        setJoinHandler: (joinHandler) => serve({ joinHandler }),
        setVouchHandler: (vouchHandler) => serve({ vouchHandler }),
        setEntries: (entries) => serve({ entries }),
        setReplicas: (replicas) => (answering.replicas = replicas),
      },
      crc32c,
      clock: this.#clockOf(name),
      signal: new AbortController().signal,
      logger,
      random: (n) => Math.floor(random() * n),
      onFatal: (error) => fatal.push(error),
      onReadiness: (ask) => {
        this.#readiness.set(name, ask);
        this.readinessLog.push({ name, ...ask() });
      },
      joinTransport: {
        ask: (to, joiner, signal) =>
          crashed.has(gossip)
            ? unanswered.ask()
            : joinTransport.ask(to, { ...joiner, ...(clusterId && { clusterId }) }, signal),
        vouch: joinTransport.vouch ?? network.joinTransport.vouch,
      },
      peerTransport: () => network.join(rpcAddr, logId),
      entrySource: (id) => network.entrySource(id),
    });
    const started = await this.settled(starting);
    this.#disks.set(name, disk);
    const member = { id: 0, name: claims.name ?? name, uuid, rpcAddr };
    const { log } = started;
    return {
      started,
      gossip,
      member,
      log,
      fatal,
      lines,
      get service() {
        return answering.service;
      },
      get replicas() {
        return answering.replicas;
      },
    };
  }

  /** The clock of a new process of the node: only its wall clock is its own. */
  #clockOf(name: string): Clock {
    const { clock, aheadMs } = this;
    const wrongMs = (): number => aheadMs.get(name) ?? 0;
    const wrongAtStartMs = wrongMs();
    return {
      now: () => clock.now(),
      wallClockMs: () => toEpochMs(clock.wallClockMs() + wrongMs()),
      steadyClockMs: () => toEpochMs(clock.steadyClockMs() + wrongAtStartMs),
      after: (ms, callback) => clock.after(ms, callback),
      soon: (callback) => clock.soon(callback),
    };
  }

  /** What `/readyz` of the node is told now, even while it starts. */
  readinessOf(name: string): Readiness {
    return this.#readiness.get(name)?.() ?? { state: 'starting' };
  }

  /** Asks the leader to admit a node, and returns its answer. */
  async ask(name: string, uuid: string, featureLevel = 1): Promise<JoinAnswer> {
    const { member } = await this.leader();
    const joiner = { name, uuid, rpcAddr: memberOf(name, 0).rpcAddr, bootstrapExpect: 0, featureLevel };
    return this.settled(this.network.joinTransport.ask(member.rpcAddr, joiner, new AbortController().signal));
  }

  /** Stops the node as SIGTERM does. */
  async stop(name: string): Promise<void> {
    const { started, member } = this.get(name);
    await this.settled(started.close());
    this.network.serve(member.rpcAddr, {});
    this.running.delete(name);
  }

  /** Stops the node as `kill -9` does: what it wrote stays, and it finishes nothing. */
  async crash(name: string): Promise<void> {
    const { member, gossip } = this.get(name);
    const left = this.snapshotDisk(name);
    this.#crashed.add(gossip);
    this.network.join(member.rpcAddr, logId);
    this.network.serve(member.rpcAddr, {});
    await gossip.close();
    this.#disks.set(name, left);
    this.running.delete(name);
  }

  get(name: string): GroupMember {
    const found = this.running.get(name);
    if (found === undefined) throw new Error(`${name} is not running`);
    return found;
  }

  /** Advances the clock until the condition holds. */
  async until(holds: () => boolean, msMax = 60_000): Promise<void> {
    for (let ms = 0; !holds(); ms += 10) {
      if (ms > msMax) throw new Error(`not within ${msMax} ms: ${holds.toString()}`);
      await turn();
      this.clock.advance(10);
    }
    await turn();
  }

  /** Advances the clock until the promise settles. */
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
    if (found === undefined) throw new Error('there is no longer a leader');
    return found;
  }

  follower(): GroupMember {
    const found = [...this.running.values()].find(({ node }) => !node.leadership.isLeader);
    if (found === undefined) throw new Error('no running node follows');
    return found;
  }
}

/** The data directory of a node; its log has the id that all logs of a group have. */
export function dataDirectoryOf(nodeId: string, { raft, log }: Pick<DataDirectory, 'raft' | 'log'>): DataDirectory {
  const [adoptLogId, close] = [(): Promise<void> => Promise.resolve(), (): Promise<void> => Promise.resolve()];
  const setLogAside = async (): Promise<undefined> => {
    for (const name of await log.list()) await log.remove(name);
  };
  return { path: undefined, nodeId, logId, adoptLogId, raft, log, setLogAside, close };
}

export function emptyDisk(uuid: string): GroupDisk {
  return { uuid, raft: new MemoryDirectory(), log: new MemoryDirectory() };
}

async function copyOfDisk({ uuid, raft, log }: GroupDisk): Promise<GroupDisk> {
  return { uuid, raft: await copyOf(raft), log: await copyOf(log) };
}

async function copyOf(directory: MemoryDirectory): Promise<MemoryDirectory> {
  const copy = new MemoryDirectory();
  for (const name of await directory.list()) {
    const [from, to] = [await directory.open(name), await copy.create(name)];
    await to.write(0, [await from.read(0, await from.size())]);
  }
  return copy;
}

/** The entry that a leader of this term would append first to the node's log. */
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
  return { id, name, uuid: uuidOf(name), rpcAddr: `${name}:8400` };
}

/** The UUID of a data directory of the node: each number gives another directory. */
export function uuidOf(name: string, disk = 0): string {
  const hex = Array.from(name, (letter) => letter.charCodeAt(0).toString(16)).join('');
  return `00000000-0000-4000-8000-${hex.padStart(8, '0').slice(-8)}${disk.toString(16).padStart(4, '0')}`;
}

/** Lets everything that is ready run. */
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
