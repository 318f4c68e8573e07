import { voteResult } from '../../domain/raft/quorum.js';
import { QuorumDiskFullError } from '../errors.js';
import { type Configuration, isOnlyVoter } from '../configuration/configuration.js';

/** Knows the members that accept no entries because their disks are full: they say so when they answer heartbeats. */
export class FullDisks {
  /** The term in which each of them said so last. */
  readonly #terms = new Map<number, number>();

  heard(id: number, term: number, isFull: boolean): void {
    if (isFull) this.#terms.set(id, term);
    else this.#terms.delete(id);
  }

  /** Whether the member has said in this term that its disk is full. */
  includes(id: number, term: number): boolean {
    return this.#terms.get(id) === term;
  }

  /**
   * Returns the reason to refuse an append that too few of the voters can store; undefined: enough of them have space, or
   * this node is the only one.
   *
   * @param own the Raft id of this node if its own disk is full
   */
  refusalOf(configuration: Configuration, term: number, own?: number): QuorumDiskFullError | undefined {
    if (own === undefined && this.#terms.size === 0) return undefined;
    const { confState, members } = configuration;
    if (own !== undefined && isOnlyVoter(configuration, own)) return undefined;
    const full = members.filter(({ id }) => id === own || this.includes(id, term));
    const votes = new Map(full.map(({ id }) => [id, false]));
    if (voteResult(confState, votes) !== 'lost') return undefined;
    return new QuorumDiskFullError(full.map(({ name }) => name));
  }
}
