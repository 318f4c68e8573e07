import type { CheckedConfig } from './config.js';

/** The clocks of a node, in ticks (Raft §5.2). */
export class RaftTimers {
  readonly electionTimeout: number;
  readonly heartbeatTimeout: number;
  /** Since the leader was heard of or the last campaign; on a leader since it last looked for its quorum. */
  electionElapsed = 0;
  heartbeatElapsed = 0;
  /** In [electionTimeout, 2·electionTimeout), drawn anew in each term, so that votes are rarely split. */
  randomizedElectionTimeout: number;
  readonly #random: (n: number) => number;

  constructor(config: CheckedConfig) {
    this.electionTimeout = config.electionTick;
    this.heartbeatTimeout = config.heartbeatTick;
    this.#random = config.random;
    this.randomizedElectionTimeout = config.electionTick;
  }

  restart(): void {
    this.electionElapsed = 0;
    this.heartbeatElapsed = 0;
    this.randomizedElectionTimeout = this.electionTimeout + this.#random(this.electionTimeout);
  }

  get electionDue(): boolean {
    return this.electionElapsed >= this.randomizedElectionTimeout;
  }

  /** Ticks for which a follower holds on to its leader; at most 0: it would vote for another. */
  get leaseTicks(): number {
    return this.electionTimeout - this.electionElapsed;
  }
}
