import type { Chance } from './chance.js';
import type { Administration } from './faults.js';
import type { Machine } from './machine.js';
import type { World } from './world.js';

/** An operator who moves leadership and members about. */
export class Administrator implements Administration {
  #stopped = false;

  constructor(
    private readonly world: World,
    private readonly chance: Chance,
    private readonly founders: readonly Machine[],
    private readonly spares: readonly Machine[],
    private readonly addresses: readonly string[],
  ) {}

  stop(): void {
    this.#stopped = true;
  }

  transferLeadership(): void {
    for (const { node } of this.founders) {
      if (node?.isLeader !== true) continue;
      const heir = this.chance.pick(node.configuration.confState.voters);
      node.transferTo(heir).then(
        () => this.world.mark('leadership transferred'),
        () => undefined,
      );
      return;
    }
  }

  changeMembership(): void {
    if (this.#stopped) return;
    void this.spares;
    void this.addresses;
  }
}
