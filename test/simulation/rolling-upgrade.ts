import type { Configuration } from '../../src/application/configuration/configuration.js';
import { featureLevelKnown } from '../../src/application/configuration/cluster-settings.js';
import type { Chance } from './chance.js';
import type { Machine } from './machine.js';
import { InvariantError, type World } from './world.js';

const mixedPercent = 20;
/** Nodes go back to the earlier release at most so often. */
const backMax = 2;
/** An upgraded node takes part within this time, once everything else works, and the leader raises the level. */
const patienceMs = 25_000;

/**
 * The founders of some runs, or some of them, run the release before feature levels at first. An operator upgrades them
 * one by one, sometimes goes back while that is possible, and everything must hold meanwhile. A machine with a new disk,
 * or one that joins later, runs the current release.
 */
export class RollingUpgrade {
  #on = true;
  #backLeft = backMax;

  constructor(
    private readonly world: World,
    private readonly chance: Chance,
    private readonly founders: readonly Machine[],
    /** Returns the view of the most advanced node. */
    private readonly newest: () => Configuration,
    /** Undefined: the seed chooses. */
    isMixed: boolean | undefined,
  ) {
    const isDrawn = chance.percent(mixedPercent);
    if (!(isMixed ?? isDrawn)) return;
    const isWhole = chance.percent(70);
    for (const machine of founders) machine.isEarlier = isWhole || chance.percent(50);
  }

  /** Whether all nodes run the current release, and the cluster knows that: until then none vouches for all others. */
  get isOver(): boolean {
    return this.#earlier().length === 0 && this.#isRaised;
  }

  get #isRaised(): boolean {
    return this.newest().settings.featureLevel === featureLevelKnown;
  }

  start(): void {
    if (this.#earlier().length > 0) this.#waitToChange();
  }

  stop(): void {
    this.#on = false;
  }

  /** Upgrades the remaining nodes one by one. Throws `InvariantError` if the level is not raised after that. */
  async finish(): Promise<void> {
    const { world } = this;
    for (const machine of this.#earlier()) {
      machine.changeRelease(false);
      await world.run(world.nowMs + patienceMs, () => machine.node !== undefined);
    }
    await world.run(world.nowMs + patienceMs, () => this.#isRaised);
    if (!this.#isRaised)
      throw new InvariantError('I10', 'every node was upgraded, and the feature level has not been raised');
  }

  #waitToChange(): void {
    const { chance } = this;
    this.world.schedule(chance.between(1_000, 5_000), 'a release is changed', () => {
      const earlier = this.#earlier();
      if (!this.#on || earlier.length === 0) return;
      // A cluster at a later level has no place for them.
      if (this.#isRaised) for (const machine of earlier) machine.changeRelease(false);
      else if (chance.percent(20) && this.#mayGoBack(earlier)) this.#goBack();
      else chance.pick(earlier).changeRelease(false);
      this.#waitToChange();
    });
  }

  /** Until every member offers a later level, one of them may offer none again. */
  #mayGoBack(earlier: readonly Machine[]): boolean {
    const { members } = this.newest();
    return this.#backLeft > 0 && earlier.some(({ uuid }) => members.some((member) => member.uuid === uuid));
  }

  #goBack(): void {
    const upgraded = this.founders.filter(({ isEarlier, inUse }) => inUse && !isEarlier);
    if (upgraded.length === 0) return;
    this.#backLeft -= 1;
    this.chance.pick(upgraded).changeRelease(true);
    this.world.mark('a node went back to the release before');
  }

  #earlier(): readonly Machine[] {
    return this.founders.filter(({ isEarlier }) => isEarlier);
  }
}
