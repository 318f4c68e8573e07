import type { Offset } from '../../domain/log/offsets.js';
import type { ReadState } from '../../domain/raft/ready.js';
import { UnavailableError } from '../errors.js';
import type { RaftLoop } from './raft-loop.js';

interface Barrier {
  readonly resolve: (watermark: Offset) => void;
  readonly reject: (error: unknown) => void;
}

/** The barriers that share one ReadIndex request. */
interface Round {
  readonly barriers: Set<Barrier>;
  ticks: number;
}

/** A request to the leader may get lost, so it is repeated. */
const askAgainTicks = 5;

/**
 * Linearizable reads by ReadIndex (Raft thesis §6.4). Barriers that are requested before the core is asked share one
 * request. A barrier holds when the leader has confirmed, after the barrier was requested, that it leads, and this node
 * has applied what was committed then.
 */
export class ReadBarriers {
  #asked: Round | undefined;
  #nextContext = 1;
  readonly #rounds = new Map<number, Round>();
  /** Confirmed barriers that wait until this node has applied up to the index. */
  #confirmed: { readonly index: number; readonly barriers: Set<Barrier> }[] = [];
  #applied = 0;
  /** Ticks since an entry was last applied. */
  #idleTicks = 0;

  /**
   * @param ticksMax how long a barrier waits for the leader's confirmation, and then for progress of this node
   *
   * @param id this node's Raft id
   *
   * @param incarnation a random number below 2^32: a leader tells reads apart by their contexts, so those of two nodes,
   * or of a node before and after a restart, must differ
   */
  constructor(
    private readonly loop: Pick<RaftLoop, 'readIndex'>,
    private readonly ticksMax: number,
    private readonly id: number,
    private readonly incarnation: number,
  ) {}

  /** Resolves with the watermark when it covers all that was acknowledged before the call. */
  wait(signal: AbortSignal): Promise<Offset> {
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    const round = (this.#asked ??= { barriers: new Set(), ticks: 0 });
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        round.barriers.delete(barrier);
        reject(signal.reason as Error);
      };
      const end =
        <T>(then: (value: T) => void) =>
        (value: T) => {
          signal.removeEventListener('abort', onAbort);
          then(value);
        };
      const barrier: Barrier = { resolve: end(resolve), reject: end(reject) };
      round.barriers.add(barrier);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** Asks the core on behalf of the barriers requested since the last call. */
  flush(): void {
    const round = this.#asked;
    if (round === undefined) return;
    this.#asked = undefined;
    const context = this.#nextContext++;
    this.#rounds.set(context, round);
    this.loop.readIndex(this.#encode(context));
  }

  /** The leader has confirmed. */
  confirm({ index, requestContext }: ReadState): void {
    const context = this.#decode(requestContext);
    const round = this.#rounds.get(context);
    if (round === undefined) return;
    this.#rounds.delete(context);
    if (this.#confirmed.length === 0) this.#idleTicks = 0;
    this.#confirmed.push({ index, barriers: round.barriers });
  }

  /** This node has applied up to the index. */
  release(applied: number, watermark: Offset): void {
    if (applied > this.#applied) this.#idleTicks = 0;
    this.#applied = applied;
    if (this.#confirmed.length === 0) return;
    const held = this.#confirmed.filter(({ index }) => index > applied);
    const ready = this.#confirmed.filter(({ index }) => index <= applied);
    this.#confirmed = held;
    for (const { barriers } of ready) for (const barrier of barriers) barrier.resolve(watermark);
  }

  /** Advances time: asks again, and gives up after `ticksMax`. */
  tick(): void {
    for (const [context, round] of this.#rounds) {
      round.ticks += 1;
      if (round.ticks >= this.ticksMax) {
        this.#rounds.delete(context);
        this.#reject(round.barriers, new UnavailableError('no leader confirmed the read'));
      } else if (round.ticks % askAgainTicks === 0) {
        if (round.barriers.size === 0) this.#rounds.delete(context);
        else this.loop.readIndex(this.#encode(context));
      }
    }
    this.#idleTicks += 1;
    if (this.#idleTicks < this.ticksMax || this.#confirmed.length === 0) return;
    const lagging = new UnavailableError('this node lags behind the leader and makes no progress');
    for (const { barriers } of this.#confirmed.splice(0)) this.#reject(barriers, lagging);
  }

  rejectAll(error: unknown): void {
    const all = [...this.#rounds.values(), ...this.#confirmed];
    if (this.#asked !== undefined) all.push(this.#asked);
    this.#rounds.clear();
    this.#confirmed = [];
    this.#asked = undefined;
    for (const { barriers } of all) this.#reject(barriers, error);
  }

  #reject(barriers: Set<Barrier>, error: unknown): void {
    for (const barrier of barriers) barrier.reject(error);
  }

  #encode(context: number): Uint8Array {
    const bytes = new Uint8Array(16);
    const view = new DataView(bytes.buffer);
    view.setBigUint64(0, BigInt(this.id));
    view.setUint32(8, this.incarnation);
    view.setUint32(12, context);
    return bytes;
  }

  /** Returns 0 for a context that this node has not created since it started. */
  #decode(bytes: Uint8Array): number {
    if (bytes.length !== 16) return 0;
    const view = new DataView(bytes.buffer, bytes.byteOffset, 16);
    const own = Number(view.getBigUint64(0)) === this.id && view.getUint32(8) === this.incarnation;
    return own ? view.getUint32(12) : 0;
  }
}
