import { crc32c } from '../../src/adapters/checksum/crc32c.js';
import type { Cluster } from '../../src/application/ports/cluster.js';
import type { CommitLog } from '../../src/application/ports/commit-log.js';
import type {
  MemberDependencies,
  MemberSettings,
  NodeDependencies,
} from '../../src/application/node/node-dependencies.js';
import type { MemberWork } from '../../src/application/node/member-life.js';
import { startMember } from '../../src/application/node/start-member.js';
import { type ReplicaWork, startReplica } from '../../src/application/node/start-replica.js';
import type { StartedNode } from '../../src/application/node/started-node.js';
import type { LogEvent } from '../../src/application/ports/log-events.js';
import type { Logger } from '../../src/application/ports/logger.js';
import { RaftNode } from '../../src/application/raft/raft-node.js';
import type { RaftNodeOptions } from '../../src/application/raft/raft-options.js';
import type { Directory } from '../../src/domain/log/directory.js';
import { Log } from '../../src/domain/log/log.js';
import type { BatchChecksum } from '../../src/domain/log/record-batch.js';
import { toIndex } from '../../src/domain/log/offsets.js';
import type { Chance } from './chance.js';
import { asEarlierRelease } from './earlier-release.js';
import type { DiskRot } from './disk-rot.js';
import type { Listener, Network } from './network.js';
import type { RecordAges } from './record-ages.js';
import type { SimulatedDisk } from './simulated-disk.js';
import { SimulatedEntrySource } from './simulated-entry-source.js';
import { SimulatedGossip } from './simulated-gossip.js';
import type { SimulatedProcess } from './simulated-process.js';
import { SimulatedTransport } from './simulated-transport.js';
import { SimulatedUplink } from './simulated-uplink.js';
import { StoreMirror } from './store-mirror.js';
import type { Witness } from './witness.js';
import { InvariantError, type World } from './world.js';

/** Shared by all machines of a run. */
export interface Surroundings {
  readonly world: World;
  readonly network: Network;
  readonly witness: Witness;
  readonly ages: RecordAges;
  readonly checksum: BatchChecksum;
  /** Changes the parts that a process is built from: this is how negative controls plant their bug. */
  readonly tamper: (options: RaftNodeOptions) => RaftNodeOptions;
  /** Whether nodes run Raft without a repair. */
  readonly forgetsDamage: boolean;
  /** Changes what a member is started with. */
  readonly tamperMember: (deps: MemberDependencies) => MemberDependencies;
  /** Changes the services of a process. */
  readonly tamperNode: (node: RaftNode) => RaftNode;
}

/** The environment of a process. */
export interface LifeOptions {
  readonly around: Surroundings;
  readonly process: SimulatedProcess;
  readonly listener: Listener;
  readonly chance: Chance;
  readonly disk: SimulatedDisk;
  readonly rot: DiskRot;
  readonly uuid: string;
  readonly settings: MemberSettings;
  readonly isReplica: boolean;
  /** Set if the program is of the release before feature levels: takes the files which that did not have. */
  readonly unknownFiles?: Directory;
  /** Whether the disk is not as it was left. */
  readonly isFalse: () => boolean;
  readonly onFatal: (error: unknown) => void;
  /** Called with the member id under which the node finds that it has less than it had shown. */
  readonly onLoss: (id: number) => void;
  /** Called with the member id under which the node is about to run Raft. */
  readonly onRaft: (options: RaftNodeOptions) => void;
}

/** One life of the program on a machine: the shipped code, started on simulated parts. */
export class Life {
  readonly stopping = new AbortController();
  readonly process: SimulatedProcess;
  readonly listener: Listener;
  service: CommitLog | undefined;
  log: Log | undefined;
  mirror: StoreMirror | undefined;
  started: StartedNode | undefined;
  member: MemberWork | undefined;
  replica: ReplicaWork['consensus'] | undefined;
  #starting: Promise<StartedNode> | undefined;
  #hidesItsEnd = false;
  #raftStarts = false;

  constructor(private readonly options: LifeOptions) {
    this.process = options.process;
    this.listener = options.listener;
  }

  get cluster(): Cluster | undefined {
    return this.listener.cluster;
  }

  get highWatermark(): number | undefined {
    return this.member?.raft?.node.highWatermark ?? this.replica?.highWatermark;
  }

  async start(): Promise<void> {
    this.#starting = this.#start();
    this.started = await this.#starting;
  }

  /** Stops as a process does that is asked to end. */
  async stop(): Promise<void> {
    this.stopping.abort();
    const started = await this.#starting?.catch(() => undefined);
    await started?.close();
  }

  async #start(): Promise<StartedNode> {
    const { around, process, listener, chance, uuid, settings, isReplica, disk, onFatal, onLoss } = this.options;
    const { network, checksum } = around;
    const root = disk.directoryFor(process);
    const transport = new SimulatedTransport(network, listener);
    const deps: NodeDependencies = {
      settings,
      directory: {
        path: undefined,
        nodeId: uuid,
        logId: checksum.logId,
        // All clusters of a run have the same log id: a second one shows by what it commits.
        adoptLogId: () => Promise.resolve(),
        raft: await root.subdirectory('raft'),
        log: await root.subdirectory('log'),
        setLogAside: () => Promise.reject(new Error('no simulated cluster is recovered')),
        close: () => Promise.resolve(),
      },
      gossip: new SimulatedGossip(network, listener, transport),
      gates: {
        commitLog: { open: (service) => this.#serve(service), close: () => (this.service = undefined) },
        cluster: { open: (cluster) => (listener.cluster = cluster), close: () => delete listener.cluster },
      },
      peerService: {
        setJoinHandler: (handler) => (listener.joinHandler = handler),
        setVouchHandler: (handler) => (listener.vouchHandler = handler),
        setEntries: (handler) => (listener.entries = handler),
        setReplicas: (handler) => (listener.replicas = handler),
      },
      crc32c,
      clock: process.clock,
      random: chance.fork(process.name).below,
      logger: loggerOf(process, onLoss),
      onFatal,
      signal: this.stopping.signal,
      openLog: (...how) => this.#openLog(...how),
    };
    if (isReplica) {
      const replica = await startReplica({ ...deps, uplink: () => new SimulatedUplink(transport, checksum) });
      this.replica = replica.work.consensus;
      around.world.mark('replica started');
      return replica;
    }
    const { unknownFiles } = this.options;
    const current: MemberDependencies = {
      ...deps,
      settings,
      joinTransport: transport,
      // A node that was removed closes its links, and opens others when it joins again.
      peerTransport: () => new SimulatedTransport(network, listener),
      entrySource: (id) =>
        new SimulatedEntrySource(transport, listener, id, checksum, chance.fork(`${process.name} source`)),
      startRaft: (options) => this.#startRaft(options),
    };
    const release = unknownFiles === undefined ? current : asEarlierRelease(current, unknownFiles);
    const member = await startMember(around.tamperMember(release));
    this.member = member.work;
    if (member.work.raft === undefined && member.work.repair === undefined && member.work.waiting === undefined)
      throw new InvariantError('start', `${settings.name} is damaged and has no peer to repair it`);
    return member;
  }

  async #openLog(...[directory, options]: Parameters<typeof Log.open>): Promise<Log> {
    const { around, process, rot, isReplica, isFalse } = this.options;
    const { world } = around;
    const log = await Log.open(directory, {
      ...options,
      indexIntervalBytes: 512,
      onNotice: (notice) => {
        world.mark(`log: ${notice.kind}`);
        options.onNotice?.(notice);
      },
    });
    this.log = log;
    for (const range of log.recovery.quarantined) {
      world.mark('quarantined at open');
      if (!isFalse() && !(await rot.explains(range, log.lastIndex)))
        throw new InvariantError('I11', `quarantined but never damaged: ${JSON.stringify(range)}`);
    }
    this.#hidesItsEnd = log.quarantined.some(({ toIndex: to }) => to > log.lastIndex);
    if (around.forgetsDamage) await forgetDamage(log, world);
    if (isReplica) await this.#watch(log);
    process.world.note(`${process.name} has opened its log, up to entry ${log.lastIndex}`);
    return log;
  }

  /** The stand-in for Raft while the log is repaired; then Raft. */
  #serve(service: CommitLog): void {
    const { rot, isReplica } = this.options;
    this.service = service;
    if (!this.#raftStarts && !isReplica) rot.repairing = true;
  }

  async #startRaft(options: RaftNodeOptions): Promise<RaftNode> {
    const { around, process, rot, onRaft, disk } = this.options;
    const { world } = around;
    const { log, hardState, id, configuration } = options;
    if (disk.isFull) world.mark('runs Raft without a free byte');
    if (this.service !== undefined) {
      world.mark(log.quarantined.length > 0 ? 'repair given up for now' : 'repaired');
      if (this.#hidesItsEnd) world.mark('repaired an end that hid how much there was');
    }
    this.#raftStarts = true;
    rot.repairing = false;
    const { current } = hardState;
    if (around.forgetsDamage && current.commit > log.lastIndex)
      await hardState.save({ ...current, commit: log.lastIndex });
    await this.#watch(log, () => {
      const { voters } = configuration.current.confState;
      if (!voters.includes(id)) world.mark('snapshot during a membership change');
    });
    onRaft(options);
    const node = around.tamperNode(await RaftNode.start(around.tamper(options)));
    world.note(`${process.name} runs Raft as member ${id}, watermark ${node.highWatermark}`);
    return node;
  }

  async #watch(log: Log, onReset = (): void => undefined): Promise<void> {
    const { around, listener, rot, isReplica, settings } = this.options;
    const { witness, world, ages } = around;
    const mirror = new StoreMirror(await rot.entries(false), log);
    mirror.watch(log, {
      cutting: (from, lastIndex) => {
        witness.cutting(listener.machine, from);
        if (from <= lastIndex) world.mark('conflicting suffix truncated');
      },
      resetting: () => {
        world.mark(isReplica ? 'replica began its log anew' : 'follower reset by snapshot');
        onReset();
      },
      appending: (entries) => ages.appended(entries),
      synced: (entries) => witness.synced(settings.name, entries),
      retained: (removed) => ages.removed({ name: listener.machine, isReplica }, removed),
    });
    this.mirror = mirror;
  }
}

/** A negative control: cuts off the damage and starts Raft as if it had never been there. */
async function forgetDamage(log: Log, world: World): Promise<void> {
  const from = Math.min(...log.quarantined.map(({ fromIndex }) => fromIndex));
  if (from === Infinity) return;
  world.mark('damage forgotten');
  await log.truncateSuffix(toIndex(Math.max(log.startIndex, Math.min(from, log.lastIndex + 1))));
}

function loggerOf({ world, name }: SimulatedProcess, onLoss: (id: number) => void): Logger {
  const say =
    (level: string) =>
    (event: LogEvent, fields: object): void => {
      world.note(`${name} ${level}: ${event} ${JSON.stringify(fields)}`);
      if (event !== 'raft_trace') world.mark(`event: ${event}`);
      if (event === 'acknowledged_entries_lost' && 'memberId' in fields) onLoss(Number(fields.memberId));
    };
  return { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') };
}
