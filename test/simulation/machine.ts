import { crc32c } from '../../src/adapters/checksum/crc32c.js';
import type { FaultyDirectory } from '../../src/adapters/memory/faulty-directory.js';
import { ClusterService } from '../../src/application/cluster-service.js';
import { CommitLogService } from '../../src/application/commit-log-service.js';
import type { Configuration, Member } from '../../src/application/configuration.js';
import { ConfigurationFile } from '../../src/application/configuration-file.js';
import { DiskReserve } from '../../src/application/disk-reserve.js';
import { joinCluster, JoinRefusedError } from '../../src/application/joining.js';
import type { Logger } from '../../src/application/ports/logger.js';
import { CommittedEntries } from '../../src/application/log-repair-desk.js';
import { watchDamage } from '../../src/application/log-repair-watch.js';
import { RaftNode } from '../../src/application/raft-node.js';
import type { RaftNodeOptions } from '../../src/application/raft-options.js';
import { isNoSpaceError } from '../../src/domain/log/directory.js';
import { CorruptRangeError } from '../../src/domain/log/errors.js';
import { HardStateFile } from '../../src/domain/log/hard-state.js';
import { Log } from '../../src/domain/log/log.js';
import type { Seal } from '../../src/domain/log/record-batch.js';
import type { AfterCrashOptions } from '../../src/adapters/memory/faulty-directory.js';
import type { Chance } from './chance.js';
import { DiskRot } from './disk-rot.js';
import { addressOf, type Listener, type Network } from './network.js';
import { beginRepair, forgetDamage, type Repairing, type RepairingOptions } from './repairing.js';
import { SimulatedDisk } from './simulated-disk.js';
import { SimulatedEntrySource } from './simulated-entry-source.js';
import { SimulatedProcess } from './simulated-process.js';
import { SimulatedTransport } from './simulated-transport.js';
import { StoreMirror } from './store-mirror.js';
import type { Watched, Witness } from './witness.js';
import { InvariantError, type World } from './world.js';

export const timing = { tickMs: 100, electionTicks: 10 } as const;
/** The longest wait of a follower before it campaigns. */
export const electionTimeoutMs = 2 * timing.tickMs * timing.electionTicks;

export const diskReserveBytes = 64 * 1024;

/** All machines of a run share these. */
export interface Surroundings {
  readonly world: World;
  readonly network: Network;
  readonly witness: Witness;
  readonly seal: Seal;
  /** Changes what a process is built of: how negative controls get their bug. */
  readonly tamper: (options: RaftNodeOptions) => RaftNodeOptions;
  /** Nodes take part without a repair. */
  readonly forgetsDamage: boolean;
  /** Changes what a process serves with. */
  readonly tamperNode: (node: RaftNode) => RaftNode;
}

/** What a machine that has no cluster yet does first. */
export type Beginning =
  /** It is one of those that found the cluster. */
  | { readonly kind: 'found'; readonly id: number; readonly configuration: Configuration }
  /** It asks these until one lets it in. */
  | { readonly kind: 'join'; readonly addresses: readonly string[] };

interface Life {
  readonly process: SimulatedProcess;
  readonly listener: Listener;
  node?: RaftNode;
  service?: CommitLogService;
  cluster?: ClusterService;
  mirror?: StoreMirror;
  log?: Log;
  /** While the log is repaired. */
  repair?: Repairing | undefined;
  /** Lets go of everything, as a process does that was asked to end. */
  close?: () => Promise<void>;
}

/** A machine with its disk, and the processes that run on it one after the other. */
export class Machine implements Watched {
  readonly disk: SimulatedDisk;
  readonly rot: DiskRot;
  readonly address: string;
  uuid: string;
  /** Started again by itself after it died; off while a fault wants it dead. */
  supervised = true;
  /** Belongs to the cluster, or is to. */
  inUse = true;
  #lives = 0;
  #disks = 1;
  #life: Life | undefined;
  readonly #chance: Chance;

  constructor(
    readonly name: string,
    private readonly around: Surroundings,
    public beginning: Beginning,
    private readonly settings: { readonly segmentBytesMax: number; readonly retentionBytes: number | undefined },
  ) {
    this.#chance = around.world.chance.fork(name);
    this.disk = new SimulatedDisk(this.#chance.fork('disk'));
    this.rot = new DiskRot(this.disk, around.seal);
    this.address = addressOf(name);
    this.uuid = `${name}-disk-1`;
  }

  get process(): SimulatedProcess | undefined {
    return this.#life?.process.alive === true ? this.#life.process : undefined;
  }

  get node(): RaftNode | undefined {
    return this.process && this.#life?.node;
  }

  get service(): CommitLogService | undefined {
    return this.process && this.#life?.service;
  }

  get cluster(): ClusterService | undefined {
    return this.process && this.#life?.cluster;
  }

  get mirror(): StoreMirror | undefined {
    return this.process && this.#life?.mirror;
  }

  /** Of the process that runs now, as soon as it is open. */
  get log(): Log | undefined {
    return this.process && this.#life?.log;
  }

  get repair(): Repairing | undefined {
    return this.process && this.#life?.repair;
  }

  get highWatermark(): number | undefined {
    return this.node?.highWatermark;
  }

  /** The log's directory, to be read past the clock. */
  async rawLog(): Promise<FaultyDirectory> {
    return this.disk.root.subdirectory('log');
  }

  start(): void {
    if (this.process !== undefined || !this.inUse) return;
    this.#lives += 1;
    const { world, network } = this.around;
    const skewMs = this.#chance.between(-2_000, 2_000);
    const process = new SimulatedProcess(world, `${this.name}.${this.#lives}`, skewMs);
    const listener: Listener = { machine: this.name, process, self: 0, heard: new Map() };
    const life: Life = { process, listener };
    this.#life = life;
    process.schedule(0, 'starts', () => {
      network.listen(this.address, listener);
      this.#open(life).catch((error: unknown) => this.#failedToStart(life, error));
    });
  }

  /** SIGKILL; for `keep` other than `all` the power went, too. */
  kill(keep: AfterCrashOptions['keep'], restartMs = this.#chance.between(50, 1_500)): void {
    if (this.process === undefined) return;
    if (this.repair !== undefined) this.around.world.mark('crash during a repair');
    this.around.world.note(`${this.name} ${keep === 'all' ? 'is killed' : `loses power (${keep})`}`);
    this.process.end();
    this.disk.crash(keep);
    this.#restartAfter(restartMs);
  }

  /** The machine comes back with an empty disk, under the same name: a node that is new. */
  wipe(addresses: readonly string[]): void {
    this.around.world.note(`${this.name} loses its disk`);
    this.process?.end();
    this.disk.wipe();
    this.rot.forget();
    this.#disks += 1;
    this.uuid = `${this.name}-disk-${this.#disks}`;
    this.beginning = { kind: 'join', addresses };
    this.around.witness.forget(this.name);
    this.#restartAfter(1_000);
  }

  /** The machine is out of the cluster, and may come back as a new one. */
  retire(addresses: readonly string[]): void {
    this.inUse = false;
    this.wipe(addresses);
  }

  /** SIGTERM: the node hands over, closes, and the process ends. */
  stop(): void {
    const life = this.#life;
    if (life?.close === undefined || !life.process.alive) return;
    this.around.world.note(`${this.name} is asked to stop`);
    const end = (): void => {
      if (life.process.alive) this.kill('all');
    };
    life.close().then(
      () => {
        this.around.world.mark('stopped gracefully');
        life.process.schedule(1, 'has stopped', end);
      },
      (error: unknown) => this.#failedToStart(life, error),
    );
    // As the service manager does with one that does not end.
    life.process.schedule(15_000, 'is not waited for any longer', end);
  }

  /** What a disk that fails, is full, or rots does to a log, and to what stands on it. */
  #isForeseen(error: unknown): boolean {
    for (let each = error; each instanceof Error; each = each.cause) {
      if ('code' in each && (each.code === 'EIO' || each.code === 'ENOSPC')) return true;
      if (each instanceof CorruptRangeError && this.rot.isThere) return true;
    }
    return false;
  }

  #restartAfter(ms: number): void {
    this.around.world.schedule(ms, `${this.name} is started again`, () => {
      if (this.supervised) this.start();
    });
  }

  #failedToStart(life: Life, error: unknown): void {
    const { world } = this.around;
    const isTrouble =
      isNoSpaceError(error) ||
      error instanceof JoinRefusedError ||
      this.#isForeseen(error) ||
      (error instanceof Error && error.cause !== undefined);
    world.note(`${life.process.name} could not start: ${String(error)}`);
    if (!isTrouble) world.fail(new InvariantError('start', `${this.name}: ${describeError(error)}`));
    else life.process.schedule(1, 'exits', () => this.kill(this.#chance.percent(50) ? 'all' : 'random'));
  }

  async #open(life: Life): Promise<void> {
    const { process, listener } = life;
    const { world, network, witness, seal } = this.around;
    const root = this.disk.directoryFor(process);
    const raft = await root.subdirectory('raft');
    const directory = await root.subdirectory('log');
    const configuration = await ConfigurationFile.open(raft, crc32c);
    const transport = new SimulatedTransport(network, listener);
    const logger = this.#logger(process);
    if (configuration.kept === undefined) await this.#begin(configuration, transport, logger, life);
    const id = configuration.kept?.id ?? 0;
    const hardState = await HardStateFile.open(raft, crc32c);
    if (hardState.damage !== undefined) world.mark('torn hard state');
    const log = await Log.open(directory, {
      logId: seal.logId,
      crc32c,
      segmentBytesMax: this.settings.segmentBytesMax,
      indexIntervalBytes: 512,
      durableIndex: hardState.current.commit,
      onNotice: (notice) => {
        world.mark(`log: ${notice.kind}`);
        world.note(`${process.name} log: ${JSON.stringify(notice)}`);
      },
    });
    const self = { name: this.name, uuid: this.uuid, rpcAddr: this.address };
    life.log = log;
    for (const range of log.recovery.quarantined) {
      world.mark('quarantined at open');
      if (!(await this.rot.explains(range, log.lastIndex)))
        throw new InvariantError('I11', `quarantined, and never damaged: ${JSON.stringify(range)}`);
    }
    const diskReserve = await DiskReserve.open(directory, diskReserveBytes, process.clock, () => undefined);
    const repairing: RepairingOptions = {
      ...{ world, log, hardState, configuration, id, diskReserve, logger, self },
      clock: process.clock,
      source: new SimulatedEntrySource(transport, listener, id, seal, this.#chance.fork(`${process.name} source`)),
      clusterId: seal.logId,
    };
    if (this.around.forgetsDamage) await forgetDamage(repairing);
    const repair = (life.repair = await beginRepair(repairing));
    this.rot.repairing = repair !== undefined;
    if (repair !== undefined) {
      life.service = repair.service;
      life.close = async () => {
        delete life.close;
        await repair.stop();
        await log.close();
        await hardState.close();
      };
      if (!(await repair.repaired)) return;
      this.rot.repairing = false;
      delete life.close;
    }
    const mirror = new StoreMirror(await this.rot.entries(false), log);
    mirror.watch(
      log,
      (from, lastIndex) => {
        witness.cutting(this.name, from);
        if (from <= lastIndex) world.mark('conflicting suffix truncated');
      },
      () => {
        world.mark('follower reset by snapshot');
        const { voters } = configuration.current.confState;
        if (!voters.includes(id)) world.mark('snapshot during a membership change');
      },
    );
    const options: RaftNodeOptions = {
      log,
      hardState,
      configuration,
      id,
      self,
      seal,
      clock: process.clock,
      random: this.#chance.fork(process.name).below,
      transport,
      diskReserve,
      retention: this.settings.retentionBytes === undefined ? {} : { bytesMax: this.settings.retentionBytes },
      timing,
      logger,
      onFatal: (error) => {
        world.note(`${process.name} has a fatal error: ${describeError(error)}`);
        world.mark('fatal');
        // The whole machine: after a failed sync its page cache says of lost data that it is there.
        process.schedule(1, 'exits', () => this.kill(this.#chance.percent(50) ? 'all' : 'random'));
        if (!this.#isForeseen(error))
          world.fail(new InvariantError('fatal', `${process.name}: ${describeError(error)}`));
      },
    };
    life.mirror = mirror;
    const started = await RaftNode.start(this.around.tamper(options));
    const node = this.around.tamperNode(started);
    const cluster = new ClusterService({
      leadership: node.leadership,
      transport,
      clock: process.clock,
      logger,
      self,
      clusterId: seal.logId,
    });
    listener.cluster = cluster;
    listener.joinDesk = cluster;
    listener.entries = new CommittedEntries({ node, log });
    const { clock } = process;
    const stopWatching = watchDamage({ log, configuration, id, clock, logger, onFatal: options.onFatal });
    life.node = node;
    life.cluster = cluster;
    life.service = new CommitLogService(node, log);
    life.close = async () => {
      delete life.close;
      await node.handOver();
      await Promise.all([cluster.close(), stopWatching()]);
      await node.close();
      await log.close();
      await hardState.close();
    };
    await repair?.end();
    delete life.repair;
    world.note(`${process.name} serves, watermark ${node.highWatermark}`);
  }

  async #begin(
    configuration: ConfigurationFile,
    transport: SimulatedTransport,
    logger: Logger,
    { process, listener }: Life,
  ): Promise<void> {
    const { beginning, name, uuid, address: rpcAddr } = this;
    if (beginning.kind === 'found') {
      const { members } = beginning.configuration;
      await configuration.write({ id: beginning.id, contacts: members, history: [beginning.configuration] });
      return;
    }
    const joiner = { name, uuid, rpcAddr, bootstrapExpect: 0 };
    listener.joinDesk = { admit: () => Promise.resolve({ kind: 'waiting', joiner }) };
    const { signal } = new AbortController();
    const addresses = (): readonly string[] => beginning.addresses;
    const joined = await joinCluster({ transport, addresses, joiner, clock: process.clock, logger, signal });
    if (joined.kind !== 'member') throw new InvariantError('start', `${name} began a cluster of its own`);
    await configuration.write(joined.kept);
    this.around.world.mark('a node joined');
  }

  #logger(process: SimulatedProcess): Logger {
    const { world } = this.around;
    const say =
      (level: string) =>
      (fields: object, message: string): void => {
        world.note(`${process.name} ${level}: ${message} ${JSON.stringify(fields)}`);
        if (!message.startsWith('raft:')) world.mark(`says: ${message}`);
      };
    return { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') };
  }
}

export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? '' : `\n  caused by ${describeError(error.cause)}`;
  return `${error.stack ?? error.message}${cause}`;
}

/** The configuration of a cluster that begins with these voters, numbered from 1. */
export function foundingConfiguration(members: readonly Member[]): Configuration {
  const voters = members.map(({ id }) => id);
  return {
    index: 0,
    confState: { voters, votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false },
    members,
    lastId: Math.max(...voters),
  };
}
