import { crc32c } from '../../src/adapters/checksum/crc32c.js';
import { type Configuration, emptyConfiguration } from '../../src/application/configuration/configuration.js';
import type { BatchChecksum } from '../../src/domain/log/record-batch.js';
import { CarefulProducer, Follower, Producer, Reader, type ClientSurroundings } from './clients.js';
import type { Control } from './controls.js';
import { ClockJumps } from './clock-jumps.js';
import { clocksJump, Faults, type FaultKind } from './faults.js';
import { NumberedProducer } from './numbered-producer.js';
import { RecordAges } from './record-ages.js';
import { majoritySize } from '../../src/domain/raft/quorum.js';
import { BitRot } from './bit-rot.js';
import { FalseDisks } from './false-disks.js';
import { History } from './history.js';
import type { Surroundings } from './life.js';
import { listenMs } from '../../src/application/vouching/prove-identity.js';
import { describeError, electionTimeoutMs, Machine, type Beginning, type MachineSettings } from './machine.js';
import { Administrator } from './administrator.js';
import { RollingUpgrade } from './rolling-upgrade.js';
import { Shown } from './shown.js';
import { mend } from './mending.js';
import { Network } from './network.js';
import { describeEntry, sameEntry, scanStores } from './stored-entries.js';
import { Witness } from './witness.js';
import { InvariantError, World } from './world.js';

export interface RunOptions {
  readonly seed: number;
  /** Number of founding voters; by default the seed chooses. */
  readonly nodes?: number;
  /** A known bug, to check that it is found. */
  readonly control?: Control;
  readonly faults?: readonly FaultKind[];
  /** Faults besides; by default the seed chooses, and chooses only among the older ones if this is empty. */
  readonly also?: readonly FaultKind[];
  readonly hostileMs?: number;
  /** Whether a majority loses its disks in the end, and starts again as it first did. */
  readonly losesMajority?: boolean;
}

export interface RunResult {
  readonly seed: number;
  readonly hash: string;
  readonly events: number;
  readonly virtualMs: number;
  readonly acknowledged: number;
  readonly reads: number;
  readonly marks: ReadonlyMap<string, number>;
  readonly failure:
    { readonly invariant: string; readonly detail: string; readonly trace: readonly string[] } | undefined;
}

const spareMachines = 2;
const compareEveryMs = 10_000;
/** The limit of age in runs in which clocks jump. */
const ageMsMax = 10_000;
/** The age, the time between two looks, twice if the first comes while a node starts, and the time to elect a leader. */
const retainedWithinMs = ageMsMax + 30_000;

/** Everything in one run. */
class Run {
  readonly world: World;
  readonly witness = new Witness();
  readonly history = new History();
  readonly ages: RecordAges;
  readonly network: Network;
  readonly machines: readonly Machine[];
  /** Machines with a copy of the disk of another one. */
  readonly #twins: Machine[] = [];
  readonly #checksum: BatchChecksum = { crc32c, logId: Uint8Array.from({ length: 16 }, (_, i) => 0x51 + i) };
  readonly #administrator: Administrator;
  readonly #upgrade: RollingUpgrade;
  readonly #producers: Producer[] = [];
  readonly #numbered: NumberedProducer[] = [];
  readonly #readers: (Reader | Follower)[] = [];

  constructor(private readonly options: RunOptions) {
    const { control } = options;
    const world = (this.world = new World(options.seed));
    const chance = world.chance.fork('cluster');
    this.network = new Network(world, world.chance.fork('network'), this.#checksum);
    const jumps = control === undefined ? clocksJump(world, options.also) : control.faults.includes('clock jump');
    this.ages = new RecordAges(world, jumps ? ageMsMax : undefined, () => this.#upgrade.isOver);
    const around: Surroundings = {
      world,
      ages: this.ages,
      network: this.network,
      witness: this.witness,
      checksum: this.#checksum,
      forgetsDamage: control?.forgetsDamage === true,
      tamper: (raftNodeOptions) => control?.tamper?.(raftNodeOptions) ?? raftNodeOptions,
      tamperMember: (deps) => control?.tamperMember?.(deps, this) ?? deps,
      tamperNode: (node) => control?.tamperNode?.(node) ?? node,
    };
    const voters = options.nodes ?? control?.nodes ?? (chance.percent(70) ? 3 : 5);
    const away = world.chance.fork('away');
    const segmentBytesMax = chance.pick([2_000, 8_000, 1 << 20]);
    const bytesRetention = chance.percent(50) ? { bytesMax: chance.pick([4_000, 20_000]) } : {};
    const settings: MachineSettings = {
      segmentBytesMax,
      scrubBytesPerSecond: world.chance.fork('scrub').pick([1_000, 10_000, 100_000]),
      retention: jumps ? { ageMsMax } : bytesRetention,
      deadMemberTimeoutMs: away.percent(40) ? away.between(2_000, 12_000) : 0,
      addresses: () => this.machines.filter(({ inUse }) => inUse).map(({ address }) => address),
    };
    const grown = chance.percent(40);
    const founders = Array.from({ length: voters }, (_, i) => {
      const beginning: Beginning = !grown
        ? { kind: 'bootstrap-expect', nodes: this.#losesMajority ? majoritySize(voters) : voters }
        : { kind: i === 0 ? 'bootstrap' : 'join' };
      return new Machine(`n${i + 1}`, around, beginning, settings);
    });
    const spares = Array.from({ length: spareMachines }, (_, i) => {
      const spare = new Machine(`s${i + 1}`, around, { kind: 'join' }, settings);
      spare.inUse = false;
      return spare;
    });
    const replicas = away.percent(50) ? [new Machine('x1', around, { kind: 'replica' }, settings)] : [];
    this.machines = [...founders, ...spares, ...replicas];
    this.#administrator = new Administrator(world, world.chance.fork('administrator'), this.machines);
    this.network.onSend = (message) => this.#check(() => this.witness.sent(message));
    world.observe(() => this.#check(() => this.witness.look([...this.machines, ...this.#twins])));
    world.observe(() => {
      for (const machine of this.machines) machine.noteMove();
    });
    const isMixed = control !== undefined || this.#losesMajority ? false : options.also?.includes('upgrade');
    this.#upgrade = new RollingUpgrade(world, world.chance.fork('releases'), founders, () => this.#newest(), isMixed);
    control?.prepare?.(this);
    for (const machine of [...founders, ...replicas]) machine.start();
    this.#startClients(this.machines);
  }

  async play(): Promise<void> {
    const { world, machines } = this;
    const { also, control, faults: only = control?.faults } = this.options;
    const { hostileMs = control?.hostileMs ?? 30_000 } = this.options;
    const faults = new Faults(
      world,
      world.chance.fork('faults'),
      this.network,
      machines,
      this.#administrator,
      new BitRot(world, world.chance.fork('bit rot'), machines, this.witness),
      new FalseDisks(
        world,
        world.chance.fork('false disks'),
        machines,
        this.#twins,
        this.network,
        () => (this.#upgrade.isOver ? this.#administrator.presentVoters() : []),
        control?.falsifications,
      ),
      new ClockJumps(world, world.chance.fork('clock jumps')),
      { ...(only && { only }), ...(also && { also }) },
    );
    world.schedule(3_000, 'the weather turns', () => {
      faults.start();
      this.#upgrade.start();
    });
    for (let untilMs = compareEveryMs; world.nowMs < hostileMs; untilMs += compareEveryMs) {
      await world.run(Math.min(untilMs, hostileMs));
      await this.#compareStores(false);
    }
    if (this.#losesMajority) return this.#loseMajority(faults);
    world.note('everything heals');
    faults.heal();
    this.#administrator.stop();
    this.#upgrade.stop();
    await this.#progress();
    await mend(world, () => this.#members());
    await this.#upgrade.finish();
    for (const client of this.#clients) client.stopped = true;
    await this.#converge();
    await this.#compareStores(true);
    await this.#retain();
    this.history.check(this.witness);
  }

  /** Checks that what is too old is removed once all clocks are right, also where a process started with a wrong one. */
  async #retain(): Promise<void> {
    const { world, ages } = this;
    if (ages.ageMsMax === undefined) return;
    for (const machine of this.#copies()) if (machine.startedWrong) machine.kill('all');
    await world.run(world.nowMs + retainedWithinMs, () =>
      this.#copies().every((each) => ages.left(each) === undefined),
    );
    const [left] = this.#copies().flatMap((each) => ages.left(each) ?? []);
    if (left !== undefined) throw new InvariantError('retention', `${left}, all of them too old`);
  }

  get #losesMajority(): boolean {
    return this.options.losesMajority ?? this.options.control?.losesMajority ?? false;
  }

  /**
   * Checks I17: as long as one member of the cluster can be heard, those that lost their disks begin no other one. The
   * cluster has no majority any more, so that this is the end of the run.
   */
  async #loseMajority(faults: Faults): Promise<void> {
    const { world } = this;
    faults.heal();
    await world.run(world.nowMs + 5_000);
    const members = world.chance.fork('lost majority').shuffled(this.#members());
    const lost = members.slice(0, majoritySize(members.length));
    for (const machine of lost) machine.wipe();
    world.mark('majority lost');
    // Answers in flight arrive before the machines start again.
    await world.run(world.nowMs + 500);
    const { length: acknowledged } = this.history.acknowledged();
    await world.run(world.nowMs + 40_000);
    if (this.history.acknowledged().length > acknowledged)
      throw new InvariantError('I17', 'a cluster without a majority acknowledged an append');
  }

  get #clients(): readonly (Producer | NumberedProducer | Reader | Follower)[] {
    return [...this.#producers, ...this.#numbered, ...this.#readers];
  }

  #startClients(machines: readonly Machine[]): void {
    const { world, witness, history } = this;
    const chance = world.chance.fork('clients');
    const around: ClientSurroundings = {
      world,
      witness,
      history,
      shown: new Shown(),
      machines,
      thinkMsMax: chance.pick([150, 400, 1_000]),
    };
    for (const name of ['p1', 'p2', 'p3']) this.#producers.push(new Producer(name, around, chance.fork(name)));
    for (const name of ['c1', 'c2']) this.#producers.push(new CarefulProducer(name, around, chance.fork(name)));
    for (const [name, id] of [
      ['d1', 'own'],
      ['d2', ''],
      ['d3', 'shared'],
      ['d4', 'shared'],
    ] as const)
      this.#numbered.push(new NumberedProducer(name, around, chance.fork(name), id, id === 'shared'));
    for (const name of ['r1', 'r2', 'r3']) this.#readers.push(new Reader(name, around, chance.fork(name)));
    for (const name of ['f1', 'f2']) this.#readers.push(new Follower(name, around, chance.fork(name)));
    for (const client of this.#clients) client.start();
  }

  /** Checks I10: an append made after the healing is acknowledged within ten election timeouts. */
  async #progress(): Promise<void> {
    const { world } = this;
    const healedMs = world.nowMs;
    const before = this.history.appends.length;
    let next = before;
    const done = (): boolean => {
      const { appends } = this.history;
      for (let i = next; i < appends.length; i++) if (appends[i].outcome.kind === 'acknowledged') return true;
      next = before;
      return false;
    };
    let progressed = false;
    const listens = this.machines.some(({ isOnlyVoter }) => isOnlyVoter);
    const withinMs = 10 * electionTimeoutMs + (listens ? listenMs : 0);
    await world.run(healedMs + withinMs, () => (progressed = done()));
    if (!progressed)
      throw new InvariantError('I10', `nothing was acknowledged for ${withinMs} ms after everything healed`);
    // A time without faults, with all clients.
    await world.run(world.nowMs + 1_000);
  }

  /** Checks that all members show the same end of the log. */
  async #converge(): Promise<void> {
    const { world, witness } = this;
    const lagging = (): Machine[] =>
      this.#copies().filter(({ highWatermark }) => highWatermark !== witness.highWatermark);
    // Lets operations in flight end.
    await world.run(world.nowMs + 5_000);
    await world.run(world.nowMs + 10 * electionTimeoutMs, () => lagging().length === 0);
    const late = lagging();
    if (late.length > 0)
      throw new InvariantError(
        'I10',
        `members do not converge on watermark ${witness.highWatermark}: ${late.map(({ name, highWatermark }) => `${name} is at ${highWatermark}`).join(', ')}`,
      );
  }

  /** Returns the members according to the most advanced node. */
  #members(): Machine[] {
    const uuids = new Set(this.#newest().members.map(({ uuid }) => uuid));
    return this.machines.filter(({ uuid }) => uuids.has(uuid));
  }

  #newest(): Configuration {
    return this.machines
      .flatMap(({ node }) => (node === undefined ? [] : [node.leadership.configuration]))
      .reduce((a, b) => (b.index > a.index ? b : a), emptyConfiguration);
  }

  /** The members and the replicas. */
  #copies(): Machine[] {
    return [...this.#members(), ...this.machines.filter(({ isReplica }) => isReplica)];
  }

  /** Checks that every store holds, byte for byte, what was committed, as far as its node showed it. */
  async #compareStores(final: boolean): Promise<void> {
    const { witness } = this;
    for (const machine of final ? this.#copies() : this.machines) {
      const { mirror, highWatermark } = machine;
      if (mirror === undefined || mirror.dropping || highWatermark === undefined) continue;
      const stored = final
        ? await scanStores(await machine.rawLog(), this.#checksum, true)
        : await machine.rot.entries(true);
      const byIndex = new Map(stored.map((entry) => [entry.index, entry]));
      for (let index = mirror.firstIndex; ; index++) {
        const committed = witness.committed[index];
        if (committed === undefined || committed.baseOffset + committed.recordCount > highWatermark) break;
        // The entry at the watermark may not be known to be committed here.
        if (committed.recordCount === 0 && committed.baseOffset === highWatermark) continue;
        const found = byIndex.get(index);
        if (found === undefined || !sameEntry(found, committed))
          throw new InvariantError(
            'I9',
            `the store of ${machine.name} holds ${found === undefined ? 'nothing' : describeEntry(found)} instead of ${describeEntry(committed)}`,
          );
      }
    }
  }

  #check(look: () => void): void {
    try {
      look();
    } catch (error) {
      this.world.fail(error);
    }
  }
}

export type { Run };

/** Runs one seed to its end. */
export async function play(options: RunOptions): Promise<RunResult> {
  const run = new Run(options);
  const { world, history } = run;
  const onRejection = (error: unknown): void => world.fail(error);
  process.on('unhandledRejection', onRejection);
  let failure: RunResult['failure'];
  try {
    await run.play();
  } catch (error) {
    const invariant = error instanceof InvariantError ? error.invariant : 'crash';
    failure = { invariant, detail: describeError(error), trace: world.trace };
  } finally {
    process.off('unhandledRejection', onRejection);
  }
  return {
    seed: options.seed,
    hash: world.hash,
    events: world.events,
    virtualMs: world.nowMs,
    acknowledged: history.acknowledged().length,
    reads: history.reads.length,
    marks: world.marks,
    failure,
  };
}
