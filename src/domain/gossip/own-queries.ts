import type { LamportTime, QueryResponse } from './message.js';
import type { Output, QueryKey } from './output.js';

interface OwnQuery {
  readonly key: QueryKey;
  readonly deadline: number;
  readonly acks: Set<string>;
  readonly responses: Set<string>;
}

/** The queries of this node that still wait for responses. */
export class OwnQueries {
  readonly #byTime = new Map<LamportTime, OwnQuery>();

  get nextTickAt(): number {
    let next = Infinity;
    for (const { deadline } of this.#byTime.values()) next = Math.min(next, deadline);
    return next;
  }

  add(key: QueryKey, deadline: number): void {
    this.#byTime.set(key.lTime, { key, deadline, acks: new Set(), responses: new Set() });
  }

  /** Returns the output for a response; undefined if it is late, a duplicate, or for an unknown query. */
  receive({ lTime, id, from, isAck, payload }: QueryResponse): Output | undefined {
    const query = this.#byTime.get(lTime);
    if (query?.key.id !== id) return undefined;
    const answered = isAck ? query.acks : query.responses;
    if (answered.has(from)) return undefined;
    answered.add(from);
    const { key } = query;
    return isAck ? { type: 'query-ack', key, from } : { type: 'query-response', key, from, payload };
  }

  /** Removes and returns the queries whose deadline has passed. */
  takeEnded(now: number): QueryKey[] {
    const ended = [...this.#byTime.values()].filter(({ deadline }) => deadline <= now).map(({ key }) => key);
    for (const { lTime } of ended) this.#byTime.delete(lTime);
    return ended;
  }
}
