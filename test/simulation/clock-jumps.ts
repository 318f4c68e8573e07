import type { Chance } from './chance.js';
import type { Machine } from './machine.js';
import type { World } from './world.js';

const hourMs = 3_600_000;
const yearMs = 365 * 24 * hourMs;
/** With fewer clocks no majority of them is right. */
const votersMin = 3;

/** Makes the wall clock of one machine wrong at a time, for some seconds or until everything heals. */
export class ClockJumps {
  #wrong: Machine | undefined;
  #strikes = 0;

  constructor(
    private readonly world: World,
    private readonly chance: Chance,
  ) {}

  /** @param voters all members if each is a voter, otherwise none */
  strike(machine: Machine, voters: readonly Machine[]): void {
    if (this.#wrong !== undefined || machine.isReplica || voters.length < votersMin) return;
    const { world, chance } = this;
    const ms = chance.pick([hourMs, -hourMs, yearMs, -yearMs, chance.between(2_000, 20_000)]);
    this.#wrong = machine;
    machine.clockWrongMs = ms;
    this.#strikes += 1;
    const strike = this.#strikes;
    world.mark(
      `clock jump: ${ms === hourMs || ms === -hourMs ? 'an hour' : Math.abs(ms) === yearMs ? 'a year' : 'seconds'}`,
    );
    world.note(`the clock of ${machine.name} jumps by ${ms} ms`);
    if (chance.percent(30)) return;
    world.schedule(chance.between(500, 10_000), 'clock is set', () => {
      if (strike === this.#strikes) this.heal();
    });
  }

  /** Sets the clock right. */
  heal(): void {
    if (this.#wrong === undefined) return;
    this.world.note(`the clock of ${this.#wrong.name} is right again`);
    this.#wrong.clockWrongMs = 0;
    this.#wrong = undefined;
  }
}
