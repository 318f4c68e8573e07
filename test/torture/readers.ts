import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../cluster/deadline.js';
import type { HistoryFile, ReadEvent } from './history.js';
import type { Endpoint, HttpCaller } from './http-caller.js';
import type { Random } from './random.js';

const readPath = '/golog.v1.LogService/Read';
const tailPath = '/golog.v1.LogService/Tail';
const readTimeoutMs = 3_000;
const finalTimeoutMs = 30_000;
const betweenReadsMs = 100;
const beforeNextTailMs = 200;
const recordsPerRead = 50;

interface Batch {
  readonly baseOffset?: string;
  readonly records?: readonly { readonly value?: string }[];
}

/** What an answer told, as far as the checker wants to know. Throws where its batches do not follow each other. */
function contentOf(
  answer: Record<string, unknown>,
  otherwise: number,
): Pick<ReadEvent, 'offset' | 'values' | 'highWatermark'> {
  const { batches = [], highWatermark = 0 } = answer as { batches?: readonly Batch[]; highWatermark?: string };
  const offset = batches.length === 0 ? otherwise : Number(batches[0].baseOffset ?? 0);
  const values: string[] = [];
  for (const { baseOffset = 0, records = [] } of batches) {
    if (Number(baseOffset) !== offset + values.length)
      throw new RangeError(`a batch begins at ${baseOffset} after ${offset + values.length}`);
    for (const { value = '' } of records) values.push(Buffer.from(value, 'base64').toString());
  }
  return { offset, values, highWatermark: Number(highWatermark) };
}

/** Reads at all nodes, in every way, until it is stopped; errors are to be expected, answers are written down. */
export class Readers {
  readonly counts = { answered: 0, failed: 0 };
  readonly #stop = new AbortController();
  readonly #tails = new Map<string, Promise<void>>();
  readonly #reads: Promise<void>;

  constructor(
    private readonly caller: HttpCaller,
    private readonly endpoints: () => readonly Endpoint[],
    private readonly history: HistoryFile,
    /** One past the highest offset that is known. */
    private readonly end: () => number,
    random: Random,
  ) {
    this.#reads = this.#readOn(random);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all([this.#reads, ...this.#tails.values()]);
  }

  /** Alternates linearizable reads of the end with reads of anything, and has a tail follow every node. */
  async #readOn(random: Random): Promise<void> {
    while (!this.#stop.signal.aborted) {
      for (const { name } of this.endpoints()) if (!this.#tails.has(name)) this.#tails.set(name, this.#follow(name));
      const endpoint = random.pick(this.endpoints());
      const read = random.percent(50)
        ? this.#readEnd(endpoint)
        : this.#readSome(endpoint, random.below(this.end() + 1));
      await this.#count(read);
      await delay(betweenReadsMs);
    }
  }

  async #readEnd(endpoint: Endpoint): Promise<void> {
    const body = { last: '1', consistency: 'CONSISTENCY_LINEARIZABLE' };
    await read(this.caller, this.history, endpoint, 'linearizable', body, readTimeoutMs);
  }

  async #readSome(endpoint: Endpoint, offset: number): Promise<void> {
    const body = { offset: String(offset), maxRecords: recordsPerRead };
    await read(this.caller, this.history, endpoint, 'local', body, readTimeoutMs);
  }

  /** Tails the node from the beginning, and after an error from where it was. */
  async #follow(name: string): Promise<void> {
    const { signal } = this.#stop;
    let next = 0;
    while (!signal.aborted) {
      const endpoint = this.endpoints().find((each) => each.name === name);
      if (endpoint !== undefined)
        await this.#count(
          this.#tail(endpoint, next, (end) => {
            next = end;
          }),
        );
      await delay(beforeNextTailMs);
    }
  }

  async #tail(endpoint: Endpoint, from: number, onRead: (end: number) => void): Promise<void> {
    const invokedMs = performance.now();
    let next = from;
    for await (const answer of this.caller.stream(endpoint, tailPath, { offset: String(from) }, this.#stop.signal)) {
      const content = contentOf(answer, next);
      const event = { kind: 'read', how: 'tail', node: endpoint.name, stream: endpoint.name, ...content } as const;
      this.history.write({ ...event, invokedMs, endedMs: performance.now() });
      next = content.offset + content.values.length;
      onRead(next);
    }
  }

  async #count(reading: Promise<void>): Promise<void> {
    try {
      await reading;
      this.counts.answered += 1;
    } catch {
      this.counts.failed += 1;
    }
  }
}

async function read(
  caller: HttpCaller,
  history: HistoryFile,
  endpoint: Endpoint,
  how: ReadEvent['how'],
  body: object,
  timeoutMs: number,
): Promise<{ end: number; highWatermark: number }> {
  const invokedMs = performance.now();
  const answer = await caller.post(endpoint, readPath, body, timeoutMs);
  const { offset = 0 } = body as { offset?: string };
  const content = contentOf(answer, Number(offset));
  history.write({ kind: 'read', node: endpoint.name, how, ...content, invokedMs, endedMs: performance.now() });
  return { end: content.offset + content.values.length, highWatermark: content.highWatermark };
}

/**
 * Reads the whole log of a node, when nothing is appended any more. A node may find only now that a part of its log is
 * damaged, and gets the time to repair it.
 */
export async function readBack(caller: HttpCaller, history: HistoryFile, endpoint: Endpoint): Promise<void> {
  let from: object = { position: 'POSITION_EARLIEST' };
  for (;;) {
    // Linearizable, so that every node shows the same end.
    const body = { ...from, consistency: 'CONSISTENCY_LINEARIZABLE' };
    let last: unknown;
    const readOnce = () =>
      read(caller, history, endpoint, 'final', body, readTimeoutMs).catch((error: unknown) => {
        last = error;
        return undefined;
      });
    const what = (): string => `${endpoint.name} to answer ${JSON.stringify(body)}: ${String(last)}`;
    const { end, highWatermark } = await eventually(what, readOnce, finalTimeoutMs);
    if (end >= highWatermark) return;
    from = { offset: String(end) };
  }
}
