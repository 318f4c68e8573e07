import type { Message } from './message.js';

/** A read that waits for a quorum to confirm the leader (thesis §6.4). */
export interface PendingRead {
  readonly request: Message;
  /** The commit index when the read came in: what the reader must have applied. */
  readonly index: number;
}

interface Waiting extends PendingRead {
  readonly key: string;
  readonly context: Uint8Array;
  readonly acks: Map<number, boolean>;
}

/** The reads that wait, in the order they came in; named by their contexts, which must differ. */
export class ReadIndexQueue {
  #waiting: Waiting[] = [];

  clear(): void {
    this.#waiting = [];
  }

  /** A context that already waits is not added again. */
  add(request: Message, index: number): void {
    const context = readContext(request);
    if (this.#find(context) !== undefined) return;
    this.#waiting.push({ request, index, context, key: keyOf(context), acks: new Map() });
  }

  /** Who has confirmed this read, the acknowledging node included; of an unknown one nobody. */
  acknowledge(id: number, context: Uint8Array): ReadonlyMap<number, boolean> {
    const read = this.#find(context);
    read?.acks.set(id, true);
    return read?.acks ?? new Map<number, boolean>();
  }

  /** Takes out the read of this context and, confirmed along with it, all that came before. */
  advance(context: Uint8Array): readonly PendingRead[] {
    const key = keyOf(context);
    const place = this.#waiting.findIndex((read) => read.key === key);
    return this.#waiting.splice(0, place + 1);
  }

  /** The context of the newest read: a heartbeat with it confirms all. */
  get lastContext(): Uint8Array | undefined {
    return this.#waiting.at(-1)?.context;
  }

  #find(context: Uint8Array): Waiting | undefined {
    const key = keyOf(context);
    return this.#waiting.find((read) => read.key === key);
  }
}

/** The reader's name for the read, which travels as the data of one entry. */
export function readContext(request: Message): Uint8Array {
  return request.entries[0]?.data ?? new Uint8Array(0);
}

function keyOf(context: Uint8Array): string {
  return context.join(',');
}
