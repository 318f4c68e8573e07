import type { FaultyDirectory } from '../../src/adapters/memory/faulty-directory.js';
import type { RaftNode } from '../../src/application/raft/raft-node.js';
import type { Chance } from './chance.js';
import type { Machine } from './machine.js';
import type { Network } from './network.js';
import type { World } from './world.js';

/** Voters that have been in contact for this long have written down what they saw of each other: every two seconds. */
const contactMs = 3_000;
const lookEveryMs = 250;
const copiesMax = 4;
/** A disk that is slower may not have written the notes in that time. */
const slownessMax = 10;

/** State files of `raft/`, and what of a disk is put back or removed at once. */
const stateFiles = ['hard-state', 'snapshot', 'incarnation', 'peer-notes'] as const;
const directories = ['raft', 'log'] as const;

/** A copy of a disk as it was. */
interface DiskCopy {
  readonly machine: Machine;
  readonly uuid: string;
  readonly atMs: number;
  readonly root: FaultyDirectory;
}

/** How disks turn false; by default all of it, each as often as it is named here. */
const falsifications = [
  ...Array.from({ length: 6 }, () => 'old copy' as const),
  ...Array.from({ length: 4 }, () => 'old part' as const),
  ...Array.from({ length: 8 }, () => 'old file' as const),
  ...Array.from({ length: 4 }, () => 'loss' as const),
  'damage',
  ...Array.from({ length: 5 }, () => 'loss at a vote' as const),
  'twin',
  'twin',
  'swap',
  'swap',
  'cold copy',
  'cold copy',
  ...Array.from({ length: 4 }, () => 'old copy unheard' as const),
] as const;
export type Falsification = (typeof falsifications)[number];

/**
 * Disks that come back other than they were left: copied, put back from an older copy, as a whole or in part, with state
 * files removed or damaged, in another machine.
 *
 * A cluster must survive this much (I16): at most a minority of the disks turns false, and no other one until all voters
 * have been in contact for so long that each has written down what it has seen of the others.
 */
export class FalseDisks {
  #on = true;
  #isDue = false;
  #copies: DiskCopy[] = [];
  /** When the voters came into contact, in which processes and term; undefined: they are not in contact. */
  #contact: { readonly sinceMs: number; readonly key: string } | undefined;

  constructor(
    private readonly world: World,
    private readonly chance: Chance,
    private readonly machines: readonly Machine[],
    private readonly twins: Machine[],
    private readonly network: Network,
    /** Returns all members if all of them are voters, and no other node is about to become one; otherwise none. */
    private readonly presentVoters: () => readonly Machine[],
    private readonly kinds: readonly Falsification[] = falsifications,
  ) {}

  start(): void {
    this.#waitToLook();
    this.#waitToCopy();
  }

  stop(): void {
    this.#on = false;
    for (const twin of this.#twinsInUse) this.#endTwin(twin);
  }

  /** Falsifies a disk as soon as the cluster must survive that. */
  strike(): void {
    this.#isDue = true;
  }

  get #twinsInUse(): readonly Machine[] {
    return this.twins.filter(({ inUse }) => inUse);
  }

  #waitToLook(): void {
    this.world.schedule(lookEveryMs, 'looks for contact', () => {
      if (!this.#on) return;
      const members = this.#twinsInUse.length > 0 ? [] : this.#membersInContact();
      if (members.length > 0) for (const machine of this.machines) machine.turnTrue();
      if (this.#isDue && members.length > 0) {
        this.#isDue = false;
        if (this.chance.percent(50)) this.#falsifyNow();
        else this.world.schedule(this.chance.between(500, 5_000), 'a disk turns false', () => this.#falsifyNow());
      }
      this.#waitToLook();
    });
  }

  /** Copies disks as a backup does, while their processes run. */
  #waitToCopy(): void {
    this.world.schedule(this.chance.between(1_000, 4_000), 'disks are copied', () => {
      if (!this.#on) return;
      for (const machine of this.machines) {
        if (!machine.inUse || machine.isReplica || machine.rot.isThere || this.chance.percent(40)) continue;
        const copies = this.#copies.filter((copy) => copy.machine === machine);
        const dropped = copies.length < copiesMax ? undefined : this.chance.pick(copies);
        this.#copies = this.#copies.filter((copy) => copy !== dropped);
        this.#copies.push({ machine, uuid: machine.uuid, atMs: this.world.nowMs, root: machine.disk.root.copy() });
      }
      this.#waitToCopy();
    });
  }

  /** Returns all members once they have been in contact for long enough; until then none. */
  #membersInContact(): readonly Machine[] {
    const members = this.presentVoters();
    const key = this.#contactKey(members);
    if (key === undefined) this.#contact = undefined;
    else if (this.#contact?.key !== key) this.#contact = { sinceMs: this.world.nowMs, key };
    const { sinceMs = Infinity } = this.#contact ?? {};
    return this.world.nowMs - sinceMs >= contactMs ? members : [];
  }

  /** Returns a text that stays the same as long as the members stay in contact; undefined if they are not. */
  #contactKey(members: readonly Machine[]): string | undefined {
    const nodes = members.flatMap(({ node }) => (node === undefined ? [] : [node]));
    const terms = new Set(nodes.map(({ leadership }) => leadership.status.hardState.term));
    const leader = nodes.find(({ leadership }) => leadership.isLeader);
    const isWhole = members.length > 0 && nodes.length === members.length && terms.size === 1 && leader !== undefined;
    if (!isWhole || !members.every((machine) => this.#isWell(machine, members, leader))) return undefined;
    const processes = members.map(({ process }) => process?.name).join(' ');
    return `${processes} in term ${[...terms].join(' ')}`;
  }

  #isWell(machine: Machine, members: readonly Machine[], leader: RaftNode): boolean {
    const { process, disk, rot, log, name, uuid, node } = machine;
    const seat = leader.leadership.configuration.members.find((member) => member.uuid === uuid);
    return (
      process?.paused === false &&
      disk.weather.slowness <= slownessMax &&
      !disk.isStuck &&
      !rot.isThere &&
      node?.leadership.status.id === seat?.id &&
      (log?.lastIndex ?? 0) + 20 > leader.leadership.status.hardState.commit &&
      !members.some((other) => this.network.isCut(name, other.name))
    );
  }

  /** Members may have lost contact again since. */
  #falsifyNow(): void {
    const members = this.presentVoters();
    const isWhole = members.every(({ isFalse, rot, process }) => !isFalse && !rot.isThere && process !== undefined);
    if (!this.#on || members.length === 0 || !isWhole) return;
    this.#contact = undefined;
    this.#falsify(members).catch((error: unknown) => this.world.fail(error));
  }

  async #falsify(members: readonly Machine[]): Promise<void> {
    const { chance } = this;
    const [first, ...others] = chance.shuffled(members);
    const kind = chance.pick(this.kinds);
    if (first === undefined) return;
    if (kind === 'swap') this.#swap(first, others);
    else if (kind === 'cold copy') this.#copyAll();
    else if (kind === 'twin') this.#startTwin(first);
    else if (kind === 'loss at a vote') this.#loseAtVote(members);
    else if (kind === 'old copy unheard') this.#fallSilent(members);
    else {
      const more = chance.percent(50) ? 0 : Math.floor((members.length - 1) / 2) - 1;
      for (const machine of [first, ...others.slice(0, more)]) await this.#turnFalse(machine, kind);
    }
  }

  async #turnFalse(machine: Machine, kind: Falsification, restartMs?: number): Promise<void> {
    const { chance } = this;
    const copy = this.#oldCopy(machine);
    const stayDown = restartMs ?? (chance.percent(50) ? chance.between(50, 1_000) : chance.between(1_000, 8_000));
    if (kind === 'damage') return this.#damageHardState(machine, stayDown);
    if (kind === 'loss' || copy === undefined) {
      const path = chance.pick(['raft/hard-state', 'raft/incarnation', 'raft/peer-notes', ...directories]);
      return this.#remove(machine, path, stayDown);
    }
    return this.#putBack(machine, copy, this.#pathsToPutBack(kind), stayDown);
  }

  async #putBack(machine: Machine, copy: DiskCopy, paths: readonly string[], restartMs: number): Promise<void> {
    const words = paths.join(' and ');
    await this.#restart(machine, `has ${words} put back from ${Math.round(copy.atMs)} ms`, restartMs, (disk) =>
      disk.putBack(copy.root, paths),
    );
    this.world.mark(`put back: ${words}`);
  }

  #pathsToPutBack(kind: Falsification): readonly string[] {
    if (kind === 'old copy') return directories;
    if (kind === 'old part') return [this.chance.pick(directories)];
    return [`raft/${this.chance.pick(stateFiles)}`];
  }

  async #remove(machine: Machine, path: string, restartMs: number): Promise<void> {
    await this.#restart(machine, `loses ${path}`, restartMs, (disk) => disk.remove(path));
    this.world.mark(`removed: ${path}`);
  }

  async #damageHardState(machine: Machine, restartMs: number): Promise<void> {
    const slot = this.chance.below(2);
    await this.#restart(machine, `has slot ${slot} of its hard state damaged`, restartMs, (disk) =>
      disk.damageHardState(slot),
    );
    this.world.mark('damaged: one slot of the hard state');
  }

  async #restart(
    machine: Machine,
    words: string,
    restartMs: number,
    change: (disk: Machine['disk']) => Promise<void>,
  ): Promise<void> {
    this.world.note(`${machine.name} ${words}`);
    machine.turnFalse(restartMs);
    await change(machine.disk);
  }

  /**
   * The next voter crashes right after its vote, with its hard state lost, damaged or put back, and starts again at once.
   * The candidate may lose power, and with it its notes.
   */
  #loseAtVote(members: readonly Machine[]): void {
    const { network, chance } = this;
    const { onVote } = network;
    network.onVote = (voter, candidate) => {
      const machine = members.find(({ name }) => name === voter);
      if (machine?.process === undefined || !this.#on) return;
      const rival = members.find(({ memberId }) => memberId === candidate);
      network.onVote = onVote;
      const restartMs = chance.between(1, 30);
      machine.process.schedule(chance.fraction() * 3, 'crashes after its vote', () => {
        this.world.mark('hard state lost at a vote');
        this.#loseVote(machine, restartMs).catch((error: unknown) => this.world.fail(error));
        if (chance.percent(30)) rival?.kill('random', chance.between(1, 1_000));
      });
    };
    // The budget is spent from here on.
    for (const machine of members) machine.isFalse = true;
    members.find(({ node }) => node?.leadership.isLeader)?.kill('all');
  }

  #loseVote(machine: Machine, restartMs: number): Promise<void> {
    const how = this.chance.below(10);
    const copy = this.#oldCopy(machine);
    if (how < 5) return this.#remove(machine, 'raft/hard-state', restartMs);
    if (how < 7 || copy === undefined) return this.#damageHardState(machine, restartMs);
    return this.#putBack(machine, copy, how < 9 ? ['raft/hard-state'] : ['raft'], restartMs);
  }

  /**
   * A member comes back as an older copy, while nobody answers it: neither those that have what it had acknowledged, which
   * stay away, nor those that lack it, which hear of it first. With the member, these would be a majority.
   */
  #fallSilent(members: readonly Machine[]): void {
    const { world, chance } = this;
    const leader = members.find(({ node }) => node?.leadership.isLeader);
    const [machine, ...others] = chance.shuffled(members.filter((each) => each !== leader));
    if (machine === undefined || leader === undefined) return;
    const lacking = others.slice(0, Math.floor((members.length - 1) / 2));
    const knowing = [leader, ...others.slice(lacking.length)];
    // The budget is spent from here on.
    machine.isFalse = true;
    this.#cut(lacking, [machine, ...knowing]);
    world.schedule(chance.between(300, 1_500), 'a disk turns false', () => {
      if (!this.#on || machine.process === undefined) return;
      world.mark('an old copy that nobody answers');
      this.#turnFalse(machine, 'old copy', chance.between(50, 500)).catch((error: unknown) => world.fail(error));
      for (const each of knowing) each.stayDown(chance.between(4_000, 12_000));
      world.schedule(chance.between(1_500, 4_000), 'weather clears', () => this.network.healCuts());
    });
  }

  #cut(some: readonly Machine[], others: readonly Machine[]): void {
    for (const { name } of some)
      for (const other of others) {
        this.network.cut(name, other.name);
        this.network.cut(other.name, name);
      }
  }

  /** A copy of a disk is started on another machine, while the first one runs, or is not heard by some. */
  #startTwin(machine: Machine): void {
    const { world, chance, network } = this;
    const twin = machine.twin(`${machine.name}-twin${this.twins.length + 1}`);
    this.twins.push(twin);
    world.note(`a copy of the disk of ${machine.name} is started as ${twin.name}`);
    world.mark('a disk started twice');
    twin.start();
    if (chance.percent(50)) {
      const deaf = chance.shuffled(this.machines).slice(0, chance.between(1, this.machines.length));
      for (const { name } of deaf) network.cut(machine.name, name);
      world.schedule(chance.between(2_000, 8_000), 'weather clears', () => network.healCuts());
    }
    world.schedule(chance.between(3_000, 12_000), `${twin.name} ends`, () => this.#endTwin(twin));
  }

  /** The operator ends the copy for good, and starts the member again: it may be out since the copy took its seat. */
  #endTwin(twin: Machine): void {
    if (!twin.inUse) return;
    const first = this.machines.find(({ uuid }) => uuid === twin.uuid);
    twin.retire();
    first?.kill('all');
  }

  #oldCopy({ uuid }: Machine): DiskCopy | undefined {
    const copies = this.#copies.filter((copy) => copy.uuid === uuid);
    return copies.length === 0 ? undefined : this.chance.pick(copies);
  }

  /** Two machines exchange their disks: each node is then at the address of the other one. */
  #swap(one: Machine, [other]: readonly Machine[]): void {
    if (other === undefined) return;
    one.swapWith(other);
    this.world.mark('disks swapped');
  }

  /** All machines stop at one moment, and start on copies of their disks. */
  #copyAll(): void {
    this.world.note('all disks are copied, and started in place of the originals');
    for (const machine of this.machines) {
      machine.kill('all', this.chance.between(50, 3_000));
      machine.disk.replaceByCopy();
    }
    this.world.mark('cold copy of all');
  }
}
