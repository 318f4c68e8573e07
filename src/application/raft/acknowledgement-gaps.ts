import type { RawNode } from '../../domain/raft/raw-node.js';

interface Gap {
  readonly match: number;
  readonly ticks: number;
}

/** Tracks, on a leader, for how long each member has acknowledged nothing although it lacks entries. */
export class AcknowledgementGaps {
  #gaps = new Map<number, Gap>();

  constructor(
    private readonly core: Pick<RawNode, 'lastIndex' | 'visitProgress'>,
    private readonly tickMs: number,
  ) {}

  /** Returns 0 for a member that has everything, and on a node that does not lead. */
  msOf(id: number): number {
    return (this.#gaps.get(id)?.ticks ?? 0) * this.tickMs;
  }

  tick(): void {
    const { core } = this;
    const gaps = new Map<number, Gap>();
    core.visitProgress((id, { match }) => {
      const before = this.#gaps.get(id);
      const hasGap = match < core.lastIndex && match === before?.match;
      gaps.set(id, { match, ticks: hasGap ? before.ticks + 1 : 0 });
    });
    this.#gaps = gaps;
  }
}
