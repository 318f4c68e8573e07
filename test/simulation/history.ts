import type { Witness } from './witness.js';
import { InvariantError } from './world.js';

/** The outcome of an append, as its client knows it. */
export type AppendOutcome =
  | { readonly kind: 'acknowledged'; readonly baseOffset: number; readonly recordCount: number }
  /** The append is not in the log and never will be. */
  | { readonly kind: 'not appended'; readonly reason: string }
  | { readonly kind: 'unknown'; readonly reason: string };

export interface AppendCall {
  readonly client: string;
  readonly connection: string;
  /** The sequence number of the append among those of this client over one connection, in the order of sending. */
  readonly order: number;
  readonly keys: readonly string[];
  readonly payload: Uint8Array;
  readonly beginMs: number;
  endMs: number;
  outcome: AppendOutcome;
}

export interface ReadCall {
  readonly client: string;
  readonly from: string;
  readonly linearizable: boolean;
  readonly beginMs: number;
  readonly endMs: number;
  readonly highWatermark: number;
  readonly logStartOffset: number;
  /** The offset of the first record. */
  readonly baseOffset: number;
  readonly keys: readonly string[];
}

/** Everything that clients requested and received. */
export class History {
  readonly appends: AppendCall[] = [];
  readonly reads: ReadCall[] = [];

  acknowledged(): readonly AppendCall[] {
    return this.appends.filter(({ outcome }) => outcome.kind === 'acknowledged');
  }

  /** Checks the whole history against what was committed in the end. Throws `InvariantError`. */
  check({ records }: Witness): void {
    const offsetsOf = new Map<string, number[]>();
    for (const [offset, key] of records.entries()) {
      const offsets = offsetsOf.get(key);
      if (offsets) offsets.push(offset);
      else offsetsOf.set(key, [offset]);
    }
    this.#checkAppends(offsetsOf);
    this.#checkPhantoms(records);
    this.#checkOrder();
    for (const read of this.reads) checkRead(read, records);
    this.#checkLinearizable();
  }

  #checkAppends(offsetsOf: ReadonlyMap<string, readonly number[]>): void {
    for (const { keys, outcome, client, order } of this.appends) {
      for (const [i, key] of keys.entries()) {
        const offsets = offsetsOf.get(key) ?? [];
        const what = `record ${i} of append ${order} of ${client}`;
        if (offsets.length > 1)
          throw new InvariantError('I2', `${what} is in the log at offsets ${offsets.join(', ')}`);
        if (outcome.kind === 'acknowledged' && offsets[0] !== outcome.baseOffset + i)
          throw new InvariantError(
            'I1',
            `${what} was acknowledged at offset ${outcome.baseOffset + i} and is at ${offsets[0] ?? 'none'}`,
          );
        if (outcome.kind === 'not appended' && offsets.length > 0)
          throw new InvariantError(
            'I3',
            `${what} was reported as not appended (${outcome.reason}) and is at offset ${offsets[0]}`,
          );
      }
    }
  }

  #checkPhantoms(records: readonly string[]): void {
    const sent = new Set(this.appends.flatMap(({ keys }) => keys));
    for (const [offset, key] of records.entries())
      if (!sent.has(key)) throw new InvariantError('I6', `offset ${offset} holds a record that no client sent`);
  }

  /** Checks I4 among the acknowledged appends of one connection. */
  #checkOrder(): void {
    const last = new Map<string, { order: number; offset: number }>();
    const inOrder = [...this.appends].sort((a, b) => a.order - b.order);
    for (const { connection, order, outcome } of inOrder) {
      if (outcome.kind !== 'acknowledged') continue;
      const before = last.get(connection);
      if (before !== undefined && outcome.baseOffset <= before.offset)
        throw new InvariantError(
          'I4',
          `over ${connection}, append ${order} got offset ${outcome.baseOffset} and append ${before.order} got ${before.offset}`,
        );
      last.set(connection, { order, offset: outcome.baseOffset });
    }
  }

  #checkLinearizable(): void {
    const ends = this.appends
      .flatMap(({ endMs, outcome, keys }) =>
        outcome.kind === 'acknowledged' ? [{ endMs, end: outcome.baseOffset + keys.length }] : [],
      )
      .sort((a, b) => a.endMs - b.endMs);
    const reads = this.reads.filter(({ linearizable }) => linearizable).sort((a, b) => a.beginMs - b.beginMs);
    let acknowledged = 0;
    let next = 0;
    for (const { beginMs, highWatermark, client, from } of reads) {
      for (; next < ends.length && ends[next].endMs < beginMs; next++)
        acknowledged = Math.max(acknowledged, ends[next].end);
      if (highWatermark < acknowledged)
        throw new InvariantError(
          'I8',
          `the linearizable read of ${client} at ${from}, begun at ${beginMs} ms, saw the log up to ${highWatermark}; ` +
            `it was acknowledged up to ${acknowledged} before`,
        );
    }
  }
}

function checkRead({ baseOffset, keys, highWatermark, client, from }: ReadCall, records: readonly string[]): void {
  if (baseOffset + keys.length > highWatermark)
    throw new InvariantError('I6', `${client} read at ${from} past the watermark ${highWatermark}`);
  for (const [i, key] of keys.entries()) {
    const offset = baseOffset + i;
    if (records[offset] !== key)
      throw new InvariantError('I6', `${client} read at ${from} a record at offset ${offset} that is not in the log`);
  }
}
