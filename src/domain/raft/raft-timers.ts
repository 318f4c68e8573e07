import type { CheckedConfig } from './config.js';

/** The timers of a node, in ticks (Raft §5.2). */
export class RaftTimers {
  readonly electionTimeout: number;
  readonly heartbeatTimeout: number;
  /** Ticks since the last message from the leader or the last campaign; on a leader, since its last quorum check. */
  electionElapsed = 0;
  heartbeatElapsed = 0;
  /** In [electionTimeout, 2·electionTimeout), redrawn in each term, so that split votes are rare. */
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

  /** Remaining ticks of the leader's lease on a follower; when not positive, the follower may vote for another node. */
  get leaseTicks(): number {
    return this.electionTimeout - this.electionElapsed;
  }
}
