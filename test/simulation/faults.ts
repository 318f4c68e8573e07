import type { BitRot } from './bit-rot.js';
import type { Chance } from './chance.js';
import type { ClockJumps } from './clock-jumps.js';
import type { FalseDisks } from './false-disks.js';
import { diskReserveBytes, type Machine } from './machine.js';
import type { Network } from './network.js';
import type { DiskOperation } from './simulated-disk.js';
import type { World } from './world.js';

/** What can go wrong or be requested at any time: see the faults in docs/guarantees.md. */
const faultKinds = [
  'kill',
  'power cut',
  'power cut of all',
  'crash in a write',
  'crash at a vote',
  'pause',
  'partition',
  'one-way cut',
  'loss',
  'delay',
  'slow disk',
  'disk error',
  'full disk',
  'graceful stop',
  'move',
  'transfer',
  'membership',
  'membership',
] as const;
/** Additional faults of a run, drawn independently. */
const besides = ['bit rot', 'false disk', 'upgrade', 'hung disk', 'clock jump', 'settings'] as const;
export type FaultKind = (typeof faultKinds | typeof besides)[number];
const isFaultKind = (name: string): name is FaultKind => [...faultKinds, ...besides].some((kind) => kind === name);

/** Throws `RangeError` for an unknown kind of fault. */
export function faultKind(name: string): FaultKind {
  if (!isFaultKind(name)) throw new RangeError(`there is no fault ${JSON.stringify(name)}`);
  return name;
}

/**
 * Percentage of runs in which disks rot, in which they come back other than they were left, in which they hang, in which
 * clocks jump, and in which the settings of the cluster change.
 */
const besidesPercent = { 'bit rot': 35, 'false disk': 45, 'hung disk': 50, 'clock jump': 40, settings: 30 } as const;

/** What hangs on a disk that hangs; syncs alone twice as often. */
const hanging: readonly (readonly DiskOperation[])[] = [
  ['sync'],
  ['sync'],
  ['sync', 'write'],
  ['sync', 'write', 'look'],
];

/** Whether the wall clocks of a run jump: its logs are then limited by age. */
export const clocksJump = (world: World, also: readonly FaultKind[] | undefined): boolean =>
  also?.includes('clock jump') ?? world.chance.fork('clock jump').percent(besidesPercent['clock jump']);

/** Requests made through the administration of the cluster. */
export interface Administration {
  transferLeadership(): void;
  changeMembership(): void;
  changeSettings(): void;
  /** Returns all members if each is a voter with everything that it ever had, except for rot; otherwise none. */
  wholeMembers(): readonly Machine[];
  /** Returns all members if each is a voter, and no other node is about to become one; otherwise none. */
  presentVoters(): readonly Machine[];
}

/** Injects faults, alone and together, with quiet times in between. */
export class Faults {
  /** The kinds of faults of this run. */
  readonly kinds: readonly FaultKind[];
  #on = true;
  readonly #ends = new Set<() => void>();
  readonly #moves: Chance;
  readonly #full: Chance;
  readonly #aims: Chance;

  constructor(
    private readonly world: World,
    private readonly chance: Chance,
    private readonly network: Network,
    private readonly machines: readonly Machine[],
    private readonly administration: Administration,
    private readonly bitRot: BitRot,
    private readonly falseDisks: FalseDisks,
    private readonly clockJumps: ClockJumps,
    { only, also }: { readonly only?: readonly FaultKind[]; readonly also?: readonly FaultKind[] },
  ) {
    this.#moves = world.chance.fork('moves');
    this.#full = world.chance.fork('full disks');
    this.#aims = world.chance.fork('aims');
    const count = chance.percent(25) ? 1 : chance.between(2, faultKinds.length);
    this.kinds = only ?? this.#draw(count, also);
  }

  /**
   * Draws what comes besides as often as half of the others together, up to a limit: it does nothing while the cluster is
   * not intact.
   */
  #draw(count: number, also: readonly FaultKind[] | undefined): FaultKind[] {
    const drawn = this.chance.shuffled<FaultKind>(faultKinds).slice(0, count);
    const draws = (kind: keyof typeof besidesPercent, fork: string): readonly FaultKind[] =>
      this.world.chance.fork(fork).percent(besidesPercent[kind]) ? [kind] : [];
    const rots = draws('bit rot', 'rot');
    const falseDisks = draws('false disk', 'false disk');
    // None turns false while one hangs: see `FalseDisks`.
    const newer = falseDisks.length > 0 ? falseDisks : draws('hung disk', 'hung disk');
    const more =
      also === undefined
        ? [...rots, ...newer, ...draws('clock jump', 'clock jump'), ...draws('settings', 'settings')]
        : also.length === 0
          ? rots
          : also;
    // An upgrade comes by itself: see `RollingUpgrade`.
    const striking = more.filter((kind) => kind !== 'upgrade');
    const times = Math.min(4, Math.ceil(drawn.length / 2));
    return [...drawn, ...Array.from({ length: times }, () => striking).flat()];
  }

  start(): void {
    if (this.kinds.includes('false disk')) this.falseDisks.start();
    this.#next();
  }

  /** Repairs everything and injects no more faults. */
  heal(): void {
    this.#on = false;
    this.falseDisks.stop();
    this.clockJumps.heal();
    for (const end of this.#ends) end();
    this.#ends.clear();
    this.network.healAll();
    for (const machine of this.machines) {
      machine.supervised = true;
      machine.disk.heal();
      machine.process?.resume();
      machine.start();
    }
  }

  /** A disk may turn false only after a quiet time. */
  #next(isQuiet = false): void {
    const waitMs =
      isQuiet || this.chance.percent(15)
        ? this.chance.between(isQuiet ? 3_500 : 2_000, 5_000)
        : this.chance.between(50, 1_500);
    this.world.schedule(waitMs, 'weather changes', () => {
      if (!this.#on) return;
      const kind = this.chance.pick(this.kinds);
      this.world.mark(`fault: ${kind}`);
      this.#do(kind);
      this.#next(kind === 'false disk');
    });
  }

  #do(kind: FaultKind): void {
    const { chance, machines, network } = this;
    const machine = this.#target();
    switch (kind) {
      case 'kill':
        this.#stayDown(machine, () => machine.kill('all'));
        return;
      case 'power cut':
        this.#stayDown(machine, () => machine.kill(chance.percent(50) ? 'random' : 'none'));
        return;
      case 'power cut of all': {
        const keep = chance.percent(50) ? 'random' : 'none';
        const spared = chance.percent(50) ? machine : undefined;
        for (const each of machines) if (each !== spared) each.kill(keep);
        return;
      }
      case 'crash in a write': {
        const keep = chance.pick(['all', 'random', 'none'] as const);
        const on = chance.pick([/./, /./, /hard-state$/, /snapshot/, /truncate|log-start/, /\.store/]);
        // A vote and the entries of the leader that won by it are seldom so close.
        const aim = this.#aims.percent(15) ? /append after the hard state/ : on;
        machine.disk.armCrash(aim, aim.source === '.' ? chance.between(1, 40) : chance.between(1, 4), (during) => {
          this.world.mark(`crash during ${during}`);
          machine.kill(keep);
        });
        return;
      }
      case 'crash at a vote':
        this.#crashAtVotes(chance.between(1, 3));
        return;
      case 'pause': {
        const { process } = machine;
        if (process === undefined) return;
        this.world.note(`${process.name} is paused`);
        process.pause();
        const ms = chance.percent(10) ? chance.between(10_000, 60_000) : chance.between(500, 8_000);
        this.#for(ms, () => process.resume());
        return;
      }
      case 'partition': {
        const others = chance.shuffled(machines.filter((each) => each !== machine));
        const size = chance.between(0, Math.floor(machines.length / 2) - 1);
        this.#cut([machine, ...others.slice(0, size)], others.slice(size), true);
        return;
      }
      case 'one-way cut':
        if (chance.percent(50)) this.#cut([machine], machines, false);
        else this.#cut(machines, [machine], false);
        return;
      case 'loss':
        network.weather.lostPercent = chance.pick([0, 1, 5, 20]);
        network.weather.breakPercent = chance.pick([0, 1, 5]);
        network.weather.repeatPercent = chance.pick([0, 1, 5]);
        this.#for(chance.between(1_000, 8_000), () =>
          Object.assign(network.weather, { lostPercent: 0, breakPercent: 0, repeatPercent: 0 }),
        );
        return;
      case 'delay':
        network.weather.delayMsMax = chance.pick([30, 150, 800]);
        this.#for(chance.between(1_000, 8_000), () => Object.assign(network.weather, { delayMsMax: 3 }));
        return;
      case 'slow disk':
        machine.disk.weather.slowness = chance.pick([10, 50, 300]);
        this.#for(chance.between(1_000, 8_000), () => Object.assign(machine.disk.weather, { slowness: 1 }));
        return;
      case 'disk error':
        machine.disk.failNextSync();
        return;
      case 'full disk':
        machine.disk.setFreeBytes(chance.percent(70) ? chance.below(diskReserveBytes) : chance.below(500));
        this.#for(chance.between(1_000, 8_000), () => machine.disk.setFreeBytes(Infinity));
        if (!this.#full.percent(40)) return;
        machine.disk.setFreeBytes(0);
        machine.kill('all');
        return;
      case 'graceful stop':
        machine.stop();
        return;
      case 'move':
        for (const each of this.#movers(machine)) each.move();
        return;
      case 'transfer':
        this.administration.transferLeadership();
        return;
      case 'membership':
        this.administration.changeMembership();
        return;
      case 'settings':
        this.administration.changeSettings();
        return;
      case 'bit rot':
        this.bitRot.strike(this.administration.wholeMembers()).catch((error: unknown) => this.world.fail(error));
        return;
      case 'false disk':
        this.falseDisks.strike();
        return;
      case 'hung disk':
        this.#hang(machine);
        return;
      case 'clock jump':
        this.clockJumps.strike(machine, this.administration.presentVoters());
        return;
      case 'upgrade':
        return;
    }
  }

  /** Picks the leader half of the time. */
  #target(): Machine {
    const leaders = this.machines.filter(({ node }) => node?.leadership.isLeader === true);
    return this.chance.pick(leaders.length > 0 && this.chance.percent(50) ? leaders : this.#inUse());
  }

  /** Returns one machine, or several that move at once: half of them, or all. */
  #movers(machine: Machine): readonly Machine[] {
    const inUse = this.#inUse();
    if (this.#moves.percent(60)) return [machine];
    this.world.mark('several move at once');
    const others = this.#moves.shuffled(inUse.filter((each) => each !== machine));
    return [machine, ...others.slice(0, this.#moves.pick([Math.floor(inUse.length / 2), inUse.length]))];
  }

  #inUse(): readonly Machine[] {
    return this.machines.filter(({ inUse }) => inUse);
  }

  /**
   * Makes the next voters crash right after they have given their vote, and restarts them at once, while the election
   * is in progress.
   */
  #crashAtVotes(count: number): void {
    let left = count;
    this.network.onVote = (voter) => {
      const machine = this.machines.find(({ name }) => name === voter);
      if (left === 0 || machine?.process === undefined || !this.#on) return;
      left -= 1;
      const keep = this.chance.pick(['all', 'random', 'none'] as const);
      machine.process.schedule(this.chance.fraction() * 3, 'crashes after its vote', () => {
        this.world.mark('crash at a vote');
        machine.kill(keep, this.chance.between(1, 30));
      });
    };
    // Otherwise there may be no election to disturb.
    if (this.chance.percent(70)) this.#target().kill('all');
  }

  /** Has a disk hang, for a while or until everything heals, or has its syncs take long. */
  #hang({ disk, node }: Machine): void {
    const { chance, world } = this;
    world.mark(`a disk hangs: ${node?.leadership.isLeader === true ? 'of the leader' : 'of another node'}`);
    if (chance.percent(40)) {
      disk.weather.syncMs = chance.pick([200, 700, 2_500]);
      this.#for(chance.between(1_000, 8_000), () => (disk.weather.syncMs = 0));
      return;
    }
    const untilHealed = chance.percent(30);
    if (untilHealed) world.mark('a disk hangs for ever');
    disk.hang(chance.pick(hanging));
    this.#for(untilHealed ? 100_000 : chance.between(500, 6_000), () => disk.resume());
  }

  /** Sometimes leaves a crashed machine down for a while. */
  #stayDown(machine: Machine, goDown: () => void): void {
    if (this.chance.percent(40)) {
      machine.supervised = false;
      this.#for(this.chance.between(1_500, 10_000), () => {
        machine.supervised = true;
        machine.start();
      });
    }
    goDown();
  }

  #cut(some: readonly Machine[], others: readonly Machine[], bothWays: boolean): void {
    const { network } = this;
    for (const a of some) {
      for (const b of others) {
        if (a === b) continue;
        network.cut(a.name, b.name);
        if (bothWays) network.cut(b.name, a.name);
      }
    }
    const names = (of: readonly Machine[]): string => of.map(({ name }) => name).join(' ');
    this.world.note(`cut ${names(some)} ${bothWays ? '|' : '>'} ${names(others)}`);
    this.#for(this.chance.between(1_000, 8_000), () => network.healCuts());
  }

  #for(ms: number, end: () => void): void {
    this.#ends.add(end);
    this.world.schedule(ms, 'weather clears', () => {
      if (this.#ends.delete(end)) end();
    });
  }
}
