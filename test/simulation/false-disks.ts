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

/** Returns the members if all of them are voters with everything that they ever had, and none has a false disk. */
type WholeMembers = () => readonly Machine[];

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
  /** Since when the voters have been in contact, in which processes and term; undefined: they are not. */
  #contact: { readonly sinceMs: number; readonly key: string } | undefined;

  constructor(
    private readonly world: World,
    private readonly chance: Chance,
    private readonly machines: readonly Machine[],
    private readonly network: Network,
    private readonly wholeMembers: WholeMembers,
  ) {}

  start(): void {
    this.#waitToLook();
    this.#waitToCopy();
  }

  stop(): void {
    this.#on = false;
  }

  /** Falsifies a disk as soon as the cluster must survive that. */
  strike(): void {
    this.#isDue = true;
  }

  #waitToLook(): void {
    this.world.schedule(lookEveryMs, 'looks for contact', () => {
      if (!this.#on) return;
      const members = this.#membersInContact();
      if (members.length > 0) for (const machine of this.machines) machine.isFalse = false;
      if (this.#isDue && members.length > 0) {
        this.#isDue = false;
        this.#contact = undefined;
        this.#falsify(members).catch((error: unknown) => this.world.fail(error));
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
    const members = this.wholeMembers();
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
      !rot.isThere &&
      node?.leadership.status.id === seat?.id &&
      (log?.lastIndex ?? 0) + 20 > leader.leadership.status.hardState.commit &&
      !members.some((other) => this.network.isCut(name, other.name))
    );
  }

  async #falsify(members: readonly Machine[]): Promise<void> {
    const { chance } = this;
    const what = chance.below(20);
    if (what === 0) return this.#swap(members);
    if (what === 1) return this.#copyAll();
    const count = chance.percent(50) ? 1 : Math.floor((members.length - 1) / 2);
    const [first, ...more] = chance.shuffled(members).slice(0, count);
    for (const machine of first === undefined ? [] : [first, ...more]) await this.#turnFalse(machine);
  }

  async #turnFalse(machine: Machine): Promise<void> {
    const { chance } = this;
    const copy = this.#oldCopy(machine);
    const how = chance.below(20);
    if (how < 13 && copy !== undefined) {
      const paths = this.#pathsToPutBack(how);
      await this.#restart(machine, `has ${paths.join(' and ')} put back from ${Math.round(copy.atMs)} ms`, (disk) =>
        disk.putBack(copy.root, paths),
      );
      this.world.mark(`put back: ${paths.join(' and ')}`);
    } else if (how < 19) {
      const path = chance.pick(['raft/hard-state', 'raft/incarnation', 'raft/peer-notes', ...directories]);
      await this.#restart(machine, `loses ${path}`, (disk) => disk.remove(path));
      this.world.mark(`removed: ${path}`);
    } else {
      const slot = chance.below(2);
      await this.#restart(machine, `has slot ${slot} of its hard state damaged`, (disk) => disk.damageHardState(slot));
      this.world.mark('damaged: one slot of the hard state');
    }
  }

  #pathsToPutBack(how: number): readonly string[] {
    if (how < 5) return directories;
    if (how < 9) return [this.chance.pick(directories)];
    return [`raft/${this.chance.pick(stateFiles)}`];
  }

  #oldCopy({ uuid }: Machine): DiskCopy | undefined {
    const copies = this.#copies.filter((copy) => copy.uuid === uuid);
    return copies.length === 0 ? undefined : this.chance.pick(copies);
  }

  async #restart(machine: Machine, words: string, change: (disk: Machine['disk']) => Promise<void>): Promise<void> {
    this.world.note(`${machine.name} ${words}`);
    machine.turnFalse(this.chance.percent(50) ? this.chance.between(50, 1_000) : this.chance.between(1_000, 8_000));
    await change(machine.disk);
  }

  /** Two machines exchange their disks: each node is then at the address of the other one. */
  async #swap(members: readonly Machine[]): Promise<void> {
    const [one, other] = this.chance.shuffled(members);
    if (one === undefined || other === undefined) return;
    one.swapWith(other);
    this.world.mark('disks swapped');
  }

  /** All machines stop at one moment, and start on copies of their disks. */
  async #copyAll(): Promise<void> {
    this.world.note('all disks are copied, and started in place of the originals');
    for (const machine of this.machines) {
      machine.kill('all', this.chance.between(50, 3_000));
      machine.disk.replaceByCopy();
    }
    this.world.mark('cold copy of all');
  }
}
