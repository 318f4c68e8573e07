import { type Cluster, FeatureNotEnabledError, MembershipError } from '../../src/application/ports/cluster.js';
import type { Configuration } from '../../src/application/configuration/configuration.js';
import { OutcomeUnknownError, UnavailableError } from '../../src/application/errors.js';
import type { Chance } from './chance.js';
import type { Administration } from './faults.js';
import { describeError, type Machine } from './machine.js';
import { InvariantError, type World } from './world.js';

const patienceMs = 5_000;
const votersMin = 3;

/** An operator that moves leadership and members, through any node. */
export class Administrator implements Administration {
  #stopped = false;

  constructor(
    private readonly world: World,
    private readonly chance: Chance,
    private readonly machines: readonly Machine[],
  ) {}

  stop(): void {
    this.#stopped = true;
  }

  transferLeadership(): void {
    const transferee = this.chance.percent(50) ? undefined : this.chance.pick(this.machines).name;
    this.#ask(
      `transfer leadership to ${transferee ?? 'anybody'}`,
      (cluster, signal) => cluster.transferLeadership(transferee, signal),
      () => this.world.mark('leadership transferred'),
    );
  }

  changeMembership(): void {
    const configuration = this.#newest();
    if (this.#stopped || configuration === undefined) return;
    this.#retireRemoved(configuration);
    const { voters } = configuration.confState;
    const spare = this.machines.find(({ inUse }) => !inUse);
    const choice = this.chance.below(3);
    if (choice === 0 && spare !== undefined) this.#add(spare);
    else if (choice === 1 && voters.length > votersMin && !this.#hasFalseDisk())
      this.#remove(this.chance.pick(configuration.members).name);
    else if (choice === 2) this.#replace(configuration);
  }

  /** Changes a setting that has no consequence here. */
  changeSettings(): void {
    const producersMax = this.chance.between(1_000, 100_000);
    this.#ask(
      `set producers-max to ${producersMax}`,
      (cluster, signal) => cluster.changeSettings({ producersMax }, signal),
      () => this.world.mark('settings changed'),
    );
  }

  #add(spare: Machine): void {
    spare.inUse = true;
    const begin = (): void => {
      this.world.note(`${spare.name} is to join`);
      spare.start();
    };
    if (this.chance.percent(70)) begin();
    else {
      const member = { name: spare.name, rpcAddr: spare.address };
      this.#ask(
        `add ${spare.name}`,
        (cluster, signal) => cluster.addMember(member, signal),
        () => this.world.mark('member added before it joined'),
      );
      this.world.schedule(this.chance.between(100, 3_000), `${spare.name} is started`, begin);
    }
  }

  #remove(name: string): void {
    this.#ask(
      `remove ${name}`,
      (cluster, signal) => cluster.removeMember(name, signal),
      () => {
        this.world.mark('member removed');
        const configuration = this.#newest();
        if (configuration !== undefined && this.chance.percent(70)) this.#retireRemoved(configuration);
      },
    );
  }

  /** Loses a disk, but never a second one before the first is replaced: no cluster could survive that. */
  #replace(configuration: Configuration): void {
    const whole = this.#whole(configuration);
    if (whole.length === 0) return;
    const { name } = this.chance.pick(configuration.members);
    // A rotten disk is the only one that may be lost.
    const rotten = this.machines.find(({ rot }) => rot.isThere);
    this.world.mark('disk lost');
    (rotten ?? this.machines.find((machine) => machine.name === name))?.wipe();
  }

  wholeMembers(): readonly Machine[] {
    const configuration = this.#newest();
    return configuration === undefined ? [] : this.#whole(configuration);
  }

  presentVoters(): readonly Machine[] {
    const configuration = this.#newest();
    return configuration === undefined ? [] : this.#present(configuration);
  }

  #whole(configuration: Configuration): readonly Machine[] {
    return this.#hasFalseDisk() ? [] : this.#present(configuration);
  }

  #present({ members, confState: { voters, votersOutgoing } }: Configuration): readonly Machine[] {
    const found = this.machines.filter(({ uuid }) => members.some((member) => member.uuid === uuid));
    const isWhole =
      votersOutgoing.length === 0 &&
      found.length === members.length &&
      members.every(({ id }) => voters.includes(id)) &&
      this.machines.every((machine) => !machine.inUse || machine.isReplica || found.includes(machine));
    return isWhole && members.length >= votersMin ? found : [];
  }

  #hasFalseDisk(): boolean {
    return this.machines.some(({ isFalse }) => isFalse);
  }

  /** Returns the removed members, whether or not any process knows: a Raft id is never reused. */
  #retireRemoved({ members, lastId }: Configuration): void {
    for (const machine of this.machines) {
      const id = machine.node?.leadership.status.id ?? Infinity;
      const isRemoved = machine.isOut || (id <= lastId && !members.some((member) => member.id === id));
      if (machine.inUse && isRemoved) this.#goesOn(machine);
    }
  }

  /** Gives a removed member up, or starts it again with the data that it has. */
  #goesOn(machine: Machine): void {
    if (this.chance.percent(50)) machine.retire();
    else machine.kill('all');
  }

  /** Returns the view of the leader of the highest term. */
  #newest(): Configuration | undefined {
    const leaders = this.machines.flatMap(({ node }) => (node?.leadership.isLeader === true ? [node.leadership] : []));
    leaders.sort((a, b) => b.status.hardState.term - a.status.hardState.term);
    return leaders[0]?.configuration;
  }

  /** Calls any machine; an answer that no operator may get ends the run. */
  #ask<T>(what: string, act: (cluster: Cluster, signal: AbortSignal) => Promise<T>, onDone: () => void): void {
    const { process, cluster, name } = this.chance.pick(this.machines.filter(({ inUse }) => inUse));
    if (process === undefined || cluster === undefined) return;
    this.world.note(`${name} is asked to ${what}`);
    const patience = new AbortController();
    process.schedule(patienceMs, `${what} takes too long`, () => patience.abort());
    process.enter(what, () => {
      act(cluster, patience.signal).then(onDone, (error: unknown) => {
        const isForeseen =
          error instanceof UnavailableError ||
          error instanceof OutcomeUnknownError ||
          error instanceof MembershipError ||
          error instanceof FeatureNotEnabledError ||
          patience.signal.aborted;
        if (!isForeseen) this.world.fail(new InvariantError('errors', `${what}: ${describeError(error)}`));
        else this.world.note(`${what}: ${String(error)}`);
      });
    });
  }
}
