import { MemoryDirectory } from '../../src/adapters/memory/memory-directory.js';
import type { AfterCrashOptions, FaultyDirectory } from '../../src/adapters/memory/faulty-directory.js';
import type { Cluster } from '../../src/application/ports/cluster.js';
import type { CommitLog } from '../../src/application/ports/commit-log.js';
import {
  type ConfigurationFile,
  CorruptConfigurationError,
} from '../../src/application/configuration/configuration-file.js';
import { type Configuration, isOnlyVoter } from '../../src/application/configuration/configuration.js';
import { featureLevelKnown } from '../../src/application/configuration/cluster-settings.js';
import { AmnesiacError } from '../../src/application/join/amnesia.js';
import { JoinRefusedError } from '../../src/application/join/join-cluster.js';
import { OutdatedConfigurationError } from '../../src/application/node/logged-configurations.js';
import type { MemberSettings } from '../../src/application/node/node-dependencies.js';
import { RemovedNode } from '../../src/application/node/removed-node.js';
import type { RaftNode } from '../../src/application/raft/raft-node.js';
import type { RaftNodeOptions } from '../../src/application/raft/raft-options.js';
import { isNoSpaceError } from '../../src/domain/log/directory.js';
import { CorruptRangeError, MissingLogError } from '../../src/domain/log/errors.js';
import type { Log } from '../../src/domain/log/log.js';
import type { Chance } from './chance.js';
import { DiskRot } from './disk-rot.js';
import { Life, type Surroundings } from './life.js';
import type { JoinRequests, Listener } from './network.js';
import { SimulatedDisk } from './simulated-disk.js';
import { SimulatedProcess } from './simulated-process.js';
import type { StoreMirror } from './store-mirror.js';
import type { Watched } from './witness.js';
import { InvariantError } from './world.js';

export const timing = { tickMs: 100, electionTicks: 10 } as const;
/** The longest wait of a follower before it campaigns. */
export const electionTimeoutMs = 2 * timing.tickMs * timing.electionTicks;

export const diskReserveBytes = 64 * 1024;

/** How a machine with an empty disk starts: a member bootstraps a cluster or joins one. */
export type Beginning =
  | { readonly kind: 'bootstrap' }
  /** It bootstraps a cluster with other waiting nodes; their total number. */
  | { readonly kind: 'bootstrap-expect'; readonly nodes: number }
  | { readonly kind: 'join' }
  /** It is a replica that follows those members. */
  | { readonly kind: 'replica' };

export interface MachineSettings extends Pick<
  MemberSettings,
  'segmentBytesMax' | 'scrubBytesPerSecond' | 'retention' | 'deadMemberTimeoutMs'
> {
  /** Returns the addresses at which other nodes may be found now. */
  readonly addresses: () => readonly string[];
}

/** Errors of a node that finds out at its start that it has lost what nobody can give back. */
const lacks = [MissingLogError, CorruptConfigurationError, OutdatedConfigurationError] as const;

/** A machine with its disk, and the processes that run on it one after the other. */
export class Machine implements Watched {
  readonly disk: SimulatedDisk;
  readonly rot: DiskRot;
  address: string;
  uuid: string;
  /** Whether it restarts by itself after its process died; off while a fault keeps it down. */
  supervised = true;
  /** Whether it belongs to the cluster, or is about to. */
  inUse = true;
  /** Whether its disk is another one than it was left, and the cluster may not know everything about that yet. */
  isFalse = false;
  /** Whether it runs the release before feature levels. */
  isEarlier = false;
  /** What that release would not have written. */
  readonly #unknownFiles = new MemoryDirectory();
  #ranEarlier = false;
  /** Milliseconds by which its wall clock is wrong; may be negative. */
  clockWrongMs = 0;
  #clockWrongAtStartMs = 0;
  #lives = 0;
  #disks = 1;
  #falsifications = 0;
  /** The member ids under which it has run Raft since its disk turned false. */
  readonly #ranAs = new Set<number>();
  /** Whether a copy of its disk was started, which may have gone on as this member. */
  #hadTwin = false;
  /** That of the node that last ran Raft on its disk. */
  #configuration: Pick<ConfigurationFile, 'current'> | undefined;
  /** The requests to join since the node on its disk last ran Raft. */
  readonly #joins: JoinRequests = { unanswered: 0 };
  #moves = 0;
  /** Whether it is at an address that no configuration names yet. */
  #isMoving = false;
  /** The member id under which the node on this disk last ran Raft. */
  #id: number | undefined;
  #life: Life | undefined;
  readonly #chance: Chance;

  constructor(
    readonly name: string,
    private readonly around: Surroundings,
    private readonly beginning: Beginning,
    private readonly settings: MachineSettings,
    /** The name of the node: that of the machine, except on a copy of another one's disk. */
    private readonly nodeName = name,
  ) {
    this.#chance = around.world.chance.fork(name);
    this.disk = new SimulatedDisk(this.#chance.fork('disk'));
    this.rot = new DiskRot(this.disk, around.checksum);
    this.address = `${name}:8400`;
    this.uuid = uuidOf(name, 1);
  }

  /** The name of what clients were shown by the nodes on this disk: a false disk may show less. */
  get shownAs(): string {
    return `${this.uuid} ${this.#falsifications}`;
  }

  /** The member id under which the node on its disk last ran Raft; 0: it has not. */
  get memberId(): number {
    return this.#id ?? 0;
  }

  get isReplica(): boolean {
    return this.beginning.kind === 'replica';
  }

  get process(): SimulatedProcess | undefined {
    return this.#life?.process.alive === true ? this.#life.process : undefined;
  }

  get node(): RaftNode | undefined {
    return this.process && this.#life?.member?.raft?.node;
  }

  get configuration(): Configuration | undefined {
    return this.node?.leadership.configuration;
  }

  /** Whether its node last ran Raft as the only voter: if it has learners, it listens for others at its next start. */
  get isOnlyVoter(): boolean {
    return this.#configuration !== undefined && isOnlyVoter(this.#configuration.current, this.memberId);
  }

  /** Whether it was removed from the cluster while it ran. */
  get isOut(): boolean {
    return this.process !== undefined && this.#life?.member?.consensus instanceof RemovedNode;
  }

  get service(): CommitLog | undefined {
    return this.process && this.#life?.service;
  }

  get cluster(): Cluster | undefined {
    return this.process && this.#life?.cluster;
  }

  get mirror(): StoreMirror | undefined {
    return this.process && this.#life?.mirror;
  }

  /** The log of the process that runs now, once it is open. */
  get log(): Log | undefined {
    return this.process && this.#life?.log;
  }

  /** The progress of the repair of its log. */
  get repair(): string | undefined {
    return this.process && this.#life?.member?.repair;
  }

  /** How long a pass of its scrubber takes now, which reads only sealed segments. */
  get scrubPassMs(): number {
    const { log, settings } = this;
    const bytes = log?.bytesBelow(log.sealedEnd) ?? 0;
    return (1_000 * bytes) / (settings.scrubBytesPerSecond ?? Infinity);
  }

  /** Whether its process started while its clock was wrong: it does not know the time since then. */
  get startedWrong(): boolean {
    return this.process !== undefined && this.#clockWrongAtStartMs !== 0;
  }

  get highWatermark(): number | undefined {
    return this.process && this.#life?.highWatermark;
  }

  /** The log's directory, for reads that take no virtual time. */
  async rawLog(): Promise<FaultyDirectory> {
    return this.disk.root.subdirectory('log');
  }

  start(): void {
    if (this.process !== undefined || !this.inUse) return;
    this.#lives += 1;
    const { around, name, address, uuid, disk, rot, isReplica } = this;
    const { world, network } = around;
    this.#clockWrongAtStartMs = this.clockWrongMs;
    const featureLevel = this.isEarlier ? 0 : featureLevelKnown;
    const skewMs = this.#chance.between(-2_000, 2_000);
    const process = new SimulatedProcess(world, `${name}.${this.#lives}`, () => skewMs + this.clockWrongMs);
    const own = { machine: name, address, process, uuid, featureLevel };
    const listener: Listener = { ...own, self: 0, heard: new Map(), joins: this.#joins };
    const life: Life = new Life({
      around,
      process,
      listener,
      chance: this.#chance,
      disk,
      rot,
      uuid,
      isReplica,
      isFalse: () => this.isFalse,
      ...(this.isEarlier && { unknownFiles: this.#unknownFiles }),
      settings: this.#memberSettings(),
      onFatal: (error) => this.#failed(life, error),
      onLoss: (id) => this.#forgets(id),
      onRaft: (options) => this.#runsRaft(options),
    });
    this.#life = life;
    process.schedule(0, 'starts', () => {
      network.listen(listener);
      life.start().catch((error: unknown) => this.#failedToStart(life, error));
    });
  }

  /** Sends SIGKILL; for `keep` other than `all` the machine also loses power. */
  kill(keep: AfterCrashOptions['keep'], restartMs = this.#chance.between(50, 1_500)): void {
    if (this.process === undefined) return;
    if (this.repair !== undefined) this.around.world.mark('crash during a repair');
    this.around.world.note(`${this.name} ${keep === 'all' ? 'is killed' : `loses power (${keep})`}`);
    this.process.end();
    this.disk.crash(keep);
    this.#restartAfter(restartMs);
  }

  /** Kills the process, and keeps the machine down for that long. */
  stayDown(ms: number): void {
    this.supervised = false;
    this.kill('all');
    this.around.world.schedule(ms, `${this.name} is no longer kept down`, () => {
      this.supervised = true;
      this.start();
    });
  }

  /** Restarts the machine with an empty disk, under the same name: it is a new node. */
  wipe(): void {
    this.around.world.note(`${this.name} loses its disk`);
    this.process?.end();
    this.disk.wipe();
    this.rot.forget();
    this.#disks += 1;
    this.uuid = uuidOf(this.name, this.#disks);
    this.#id = undefined;
    this.#configuration = undefined;
    this.#isMoving = false;
    this.isEarlier = false;
    this.#ranEarlier = false;
    this.turnTrue();
    this.#ranAs.clear();
    this.around.witness.forget(this.name);
    this.#restartAfter(1_000);
  }

  /** Kills the process, to have the disk changed before the next start. */
  turnFalse(restartMs: number): void {
    this.kill('all', restartMs);
    this.isFalse = true;
    this.#ranAs.clear();
    this.#falsifications += 1;
    this.around.witness.forget(this.name);
  }

  /** Returns another machine, with a copy of the disk of this one, which goes on. */
  twin(name: string): Machine {
    const twin = new Machine(name, this.around, this.beginning, this.settings, this.nodeName);
    twin.disk.replaceByCopy(this.disk);
    twin.uuid = this.uuid;
    twin.#id = this.#id;
    twin.isFalse = true;
    this.isFalse = true;
    this.#hadTwin = true;
    twin.#hadTwin = true;
    return twin;
  }

  /** The cluster knows again what its node has shown. */
  turnTrue(): void {
    this.isFalse = false;
    this.#hadTwin = false;
  }

  /** Exchanges the disks with another machine: the node on each is then at the address of the other one. */
  swapWith(other: Machine): void {
    this.around.world.note(`${this.name} and ${other.name} exchange their disks`);
    for (const machine of [this, other]) {
      machine.kill('all');
      machine.#isMoving = true;
    }
    [this.address, other.address] = [other.address, this.address];
  }

  /** Restarts the machine at another address, with its disk. */
  move(): void {
    if (this.process === undefined) return;
    this.#moves += 1;
    this.#isMoving = !this.isReplica;
    this.address = `${this.name}-${this.#moves}:8400`;
    this.around.world.note(`${this.name} moves to ${this.address}`);
    if (this.#chance.percent(50)) this.stop();
    else this.kill('all');
  }

  /** Restarts the machine with the other release, on its disk. */
  changeRelease(isEarlier: boolean): void {
    this.isEarlier = isEarlier;
    this.around.world.note(`${this.name} gets ${isEarlier ? 'the release before' : 'the current release'}`);
    if (this.#chance.percent(70)) this.stop();
    else this.kill('all');
  }

  /** Checks whether the cluster knows the machine's new address. */
  noteMove(): void {
    if (!this.#isMoving) return;
    const isKnown = this.node?.leadership.configuration.members.some(
      ({ uuid, rpcAddr }) => uuid === this.uuid && rpcAddr === this.address,
    );
    if (isKnown !== true) return;
    this.#isMoving = false;
    this.around.world.mark('moved');
  }

  /** Takes the removed machine down; it may come back as a new node. */
  retire(): void {
    this.inUse = false;
    this.wipe();
  }

  /** Sends SIGTERM: the node transfers leadership and closes, and the process ends. */
  stop(): void {
    const life = this.#life;
    if (life === undefined || !life.process.alive || life.stopping.signal.aborted) return;
    this.around.world.note(`${this.name} is asked to stop`);
    const end = (): void => {
      if (life.process.alive) this.kill('all');
    };
    life.stop().then(
      () => {
        this.around.world.mark('stopped gracefully');
        life.process.schedule(1, 'has stopped', end);
      },
      (error: unknown) => this.#failedToStart(life, error),
    );
    // Kills a process that does not end, as a service manager does.
    life.process.schedule(15_000, 'is not waited for any longer', end);
  }

  #memberSettings(): MemberSettings {
    const { nodeName: name, address: rpcAddr, beginning, settings } = this;
    const { segmentBytesMax, scrubBytesPerSecond, retention, deadMemberTimeoutMs, addresses } = settings;
    return {
      name,
      rpcAddr,
      httpAddr: '',
      version: '0',
      startJoinAddrs: addresses(),
      diskReserveBytes,
      timing,
      retention,
      deadMemberTimeoutMs,
      scrubBytesPerSecond,
      ...(segmentBytesMax !== undefined && { segmentBytesMax }),
      bootstrap: beginning.kind === 'bootstrap',
      bootstrapExpect: beginning.kind === 'bootstrap-expect' ? beginning.nodes : 0,
    };
  }

  #runsRaft({ id, configuration }: RaftNodeOptions): void {
    const { stored } = configuration;
    this.#configuration = configuration;
    const { world, witness } = this.around;
    const before = this.#id;
    this.#id = id;
    this.#joins.unanswered = 0;
    this.#ranAs.add(id);
    if (this.#ranEarlier && !this.isEarlier) world.mark('a node of the release before was upgraded');
    this.#ranEarlier = this.isEarlier;
    const wasAlone = stored?.contacts.length === 0;
    if (before !== undefined && id > before) {
      world.mark('rejoined under a new id');
      if (this.isFalse) this.#rejoinsWithFalseDisk();
    } else if (before === undefined && !wasAlone) world.mark('a node joined');
    else if (before === undefined) {
      witness.began(this.name);
      world.mark(this.beginning.kind === 'bootstrap' ? 'bootstrapped' : 'bootstrap-expect');
    }
  }

  /** It may be killed while it catches up. */
  #rejoinsWithFalseDisk(): void {
    const { world } = this.around;
    world.mark('rejoined under a new id with a false disk');
    if (!this.#chance.percent(40)) return;
    this.process?.schedule(this.#chance.between(1, 150), 'crashes while it catches up', () => {
      world.mark('crash of an amnesiac that catches up');
      this.kill('all', this.#chance.between(1, 300));
    });
  }

  /**
   * Checks that a node forgets something only on a false disk, and before it has run Raft since, or if it was admitted
   * again by an answer that it did not get.
   */
  #forgets(id: number): void {
    if (this.#joins.unanswered > 0) return;
    if (this.#hadTwin || (this.isFalse && !this.#ranAs.has(id))) return;
    const what = this.isFalse ? 'and has run Raft as that since its disk turned false' : 'and its disk is as it was';
    this.around.world.fail(
      new InvariantError('I16', `${this.name} has less than it had shown as member ${id}, ${what}`),
    );
  }

  #failed(life: Life, error: unknown): void {
    const { world } = this.around;
    world.note(`${life.process.name} has a fatal error: ${describeError(error)}`);
    world.mark('fatal');
    // Crashes the whole machine: after a failed sync its page cache shows data as written that is lost.
    life.process.schedule(1, 'exits', () => this.kill(this.#chance.percent(50) ? 'all' : 'random'));
    if (!this.#isForeseen(error))
      world.fail(new InvariantError('fatal', `${life.process.name}: ${describeError(error)}`));
  }

  /** Whether the error comes from a disk that fails, is full, rots, or is not as it was left. */
  #isForeseen(error: unknown): boolean {
    for (let each = error; each instanceof Error; each = each.cause) {
      if ('code' in each && (each.code === 'EIO' || each.code === 'ENOSPC')) return true;
      if (each instanceof CorruptRangeError && this.rot.isThere) return true;
      if (each instanceof AmnesiacError && this.isFalse) return true;
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
    if (life.stopping.signal.aborted && error === life.stopping.signal.reason) return;
    const isTrouble =
      isNoSpaceError(error) ||
      error instanceof JoinRefusedError ||
      this.#isForeseen(error) ||
      (error instanceof Error && error.cause !== undefined);
    world.note(`${life.process.name} could not start: ${String(error)}`);
    // It says what it lacks, and that it is to start with an empty directory.
    if (this.isFalse && lacks.some((kind) => error instanceof kind)) {
      world.mark('refused to start, and emptied');
      this.wipe();
      return;
    }
    if (!isTrouble) world.fail(new InvariantError('start', `${this.name}: ${describeError(error)}`));
    else life.process.schedule(1, 'exits', () => this.kill(this.#chance.percent(50) ? 'all' : 'random'));
  }
}

export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? '' : `\n  caused by ${describeError(error.cause)}`;
  return `${error.stack ?? error.message}${cause}`;
}

/** The UUID of a machine's disk. */
function uuidOf(name: string, disk: number): string {
  const hex = Array.from(name, (letter) => letter.charCodeAt(0).toString(16)).join('');
  return `00000000-0000-4000-8000-${hex.padStart(8, '0').slice(-8)}${disk.toString(16).padStart(4, '0')}`;
}
