import type { Message } from './message.js';

/** A read that waits for a quorum to confirm the leader (thesis §6.4). */
export interface PendingRead {
  readonly request: Message;
  /** The commit index when the read was requested: the reader must have applied up to it. */
  readonly index: number;
}

interface Waiting extends PendingRead {
  readonly key: string;
  readonly context: Uint8Array;
  readonly acks: Map<number, boolean>;
}

/** The waiting reads, in order of arrival; identified by their contexts, which must be unique. */
export class ReadIndexQueue {
  #waiting: Waiting[] = [];

  clear(): void {
    this.#waiting = [];
  }

  /** Adds a read, unless its context is already waiting. */
  add(request: Message, index: number): void {
    const context = readContext(request);
    if (this.#find(context) !== undefined) return;
    this.#waiting.push({ request, index, context, key: keyOf(context), acks: new Map() });
  }

  /** Records a confirmation and returns all confirmations of this read; empty for an unknown read. */
  acknowledge(id: number, context: Uint8Array): ReadonlyMap<number, boolean> {
    const read = this.#find(context);
    read?.acks.set(id, true);
    return read?.acks ?? new Map<number, boolean>();
  }

  /** Removes and returns the read of this context and all earlier reads, which it confirms too. */
  advance(context: Uint8Array): readonly PendingRead[] {
    const key = keyOf(context);
    const index = this.#waiting.findIndex((read) => read.key === key);
    return this.#waiting.splice(0, index + 1);
  }

  /** The context of the newest read: a heartbeat with it confirms all reads. */
  get lastContext(): Uint8Array | undefined {
    return this.#waiting.at(-1)?.context;
  }

  #find(context: Uint8Array): Waiting | undefined {
    const key = keyOf(context);
    return this.#waiting.find((read) => read.key === key);
  }
}

/** Returns the context that identifies the read, sent as the data of one entry. */
export function readContext(request: Message): Uint8Array {
  return request.entries[0]?.data ?? new Uint8Array(0);
}

function keyOf(context: Uint8Array): string {
  return context.join(',');
}
