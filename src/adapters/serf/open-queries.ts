import type { QueryKey } from '../../domain/gossip/output.js';

/** The answers to a query, by member name. */
export interface QueryAnswers {
  readonly acks: ReadonlySet<string>;
  readonly responses: ReadonlyMap<string, Uint8Array>;
}

interface OpenQuery {
  readonly acks: Set<string>;
  readonly responses: Map<string, Uint8Array>;
  readonly resolve: (answers: QueryAnswers) => void;
}

const textOf = ({ lTime, id }: QueryKey): string => `${lTime}/${id}`;

/** This node's queries that still wait for answers. */
export class OpenQueries {
  readonly #open = new Map<string, OpenQuery>();

  /** Resolves when the query has ended. */
  open(key: QueryKey): Promise<QueryAnswers> {
    return new Promise((resolve) => {
      this.#open.set(textOf(key), { acks: new Set(), responses: new Map(), resolve });
    });
  }

  acked(key: QueryKey, from: string): void {
    this.#open.get(textOf(key))?.acks.add(from);
  }

  answered(key: QueryKey, from: string, payload: Uint8Array): void {
    this.#open.get(textOf(key))?.responses.set(from, payload);
  }

  end(key: QueryKey): void {
    const query = this.#open.get(textOf(key));
    this.#open.delete(textOf(key));
    query?.resolve({ acks: query.acks, responses: query.responses });
  }

  /** Ends all queries with the answers so far. */
  close(): void {
    for (const { acks, responses, resolve } of this.#open.values()) resolve({ acks, responses });
    this.#open.clear();
  }
}
