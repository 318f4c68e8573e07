import { Chance } from './chance.js';
import { EventHeap, type SimulatedEvent } from './event-heap.js';

const traceLength = 60;

/** An invariant of docs/guarantees.md does not hold, or something happened that never may. Ends the run. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
  constructor(
    readonly invariant: string,
    detail: string,
  ) {
    super(`${invariant}: ${detail}`);
  }
}

/** Unhandled rejections show only in a turn of the event loop: there is one after this many events. */
const eventsPerLoopTurn = 500;

/**
 * Resolves when every promise that needs no further event has settled: ticks come after all microtasks. Costs a tenth
 * of a turn of the event loop.
 */
function rest(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}

function loopTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/**
 * Virtual time and all events in it, from one seed. One event at a time: the next one starts when the promises of the
 * last one have settled. Nothing here waits for anything outside, so a run is deterministic.
 */
export class World {
  readonly chance: Chance;
  /** How often each coverage mark was seen. */
  readonly marks = new Map<string, number>();
  #nowMs = 0;
  #sequence = 0;
  #events = 0;
  #hash = 0x811c9dc5;
  #failure: Error | undefined;
  readonly #heap = new EventHeap();
  readonly #trace: string[] = [];
  readonly #observers: (() => void)[] = [];

  constructor(readonly seed: number) {
    this.chance = new Chance(seed);
  }

  /** Virtual milliseconds since the start. */
  get nowMs(): number {
    return this.#nowMs;
  }

  get events(): number {
    return this.#events;
  }

  /** The hash of all events so far, in order. */
  get hash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, '0');
  }

  /** The latest events, the newest last. */
  get trace(): readonly string[] {
    return this.#trace;
  }

  /** Calls `observer` after every event. */
  observe(observer: () => void): void {
    this.#observers.push(observer);
  }

  mark(name: string): void {
    this.marks.set(name, (this.marks.get(name) ?? 0) + 1);
  }

  /** Adds a detail to the trace, besides the event itself. */
  note(text: string): void {
    this.#mix(text);
    this.#remember(text);
  }

  /** Ends the run with this error after the current event. */
  fail(error: unknown): void {
    this.#failure ??= error instanceof Error ? error : new Error(String(error));
  }

  /** Schedules `act` in `delayMs`. Returns a function that cancels it. */
  schedule(delayMs: number, label: string, act: () => void): () => void {
    const event: SimulatedEvent = {
      atMs: this.#nowMs + Math.max(0, delayMs),
      sequence: this.#sequence++,
      label,
      act,
    };
    this.#heap.push(event);
    return () => {
      event.act = undefined;
    };
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.schedule(ms, 'sleep', resolve));
  }

  /** Runs events up to `untilMs`, or until `done` returns true after an event. Throws the error that ended the run. */
  async run(untilMs: number, done: () => boolean = () => false): Promise<void> {
    for (let next = this.#heap.first; next && next.atMs <= untilMs; next = this.#heap.first) {
      this.#heap.pop();
      if (next.act === undefined) continue;
      this.#nowMs = next.atMs;
      this.#events += 1;
      this.#mix(next.label);
      this.#remember(next.label);
      next.act();
      await (this.#events % eventsPerLoopTurn === 0 ? loopTurn() : rest());
      for (const observer of this.#observers) observer();
      if (this.#failure !== undefined) throw this.#failure;
      if (done()) return;
    }
    this.#nowMs = Math.max(this.#nowMs, untilMs);
  }

  #mix(text: string): void {
    let hash = this.#hash ^ (this.#nowMs * 1024);
    for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
    this.#hash = hash;
  }

  #remember(text: string): void {
    if (text === 'sleep') return;
    this.#trace.push(`${this.#nowMs.toFixed(3).padStart(11)} ${text}`);
    if (this.#trace.length > 2 * traceLength) this.#trace.splice(0, traceLength);
  }
}
