import type { ConfigurationFile } from '../configuration/configuration-file.js';
import type { Proposals } from './proposals.js';
import type { RaftLoop } from './raft-loop.js';

export interface ReceiptsOptions {
  readonly loop: RaftLoop;
  readonly proposals: Proposals;
  readonly configuration: Pick<ConfigurationFile, 'current'>;
  /** This node's Raft id. */
  readonly id: number;
  readonly self: { readonly name: string };
}

/**
 * Answers the appends of this node once their entries are committed, that is, on the disks of a majority of the voters.
 * This node's own disk may not be among them (docs/guarantees.md, durability rule 9).
 */
export class Receipts {
  constructor(private readonly options: ReceiptsOptions) {}

  /** Everything up to the index is committed. */
  committed(index: number): void {
    const { loop, proposals } = this.options;
    proposals.settle({ index, termAt: (at) => loop.core.termAt(at), syncedOn: this.#syncedOn() });
  }

  /** Returns the current names of the members known to hold an entry on disk, this node first if it is one. */
  #syncedOn(): (index: number) => readonly string[] {
    let known: readonly { readonly name: string; readonly match: number }[] | undefined;
    return (index) => {
      known ??= this.#known();
      return known.filter(({ match }) => match >= index).map(({ name }) => name);
    };
  }

  /** The core counts this node's log up to its end when it is elected, so its own disk is asked instead. */
  #known(): readonly { readonly name: string; readonly match: number }[] {
    const { loop, configuration, id: ownId, self } = this.options;
    const { core } = loop;
    const names = new Map(configuration.current.members.map(({ id, name }) => [id, name]));
    const known = [{ name: self.name, match: core.durableIndex }];
    core.visitProgress((id, { match }) => {
      if (id !== ownId) known.push({ name: names.get(id) ?? String(id), match });
    });
    return known;
  }
}
