import { type LogClient, Producer, RecordBatchBuilder, recordBytes } from '../../client/index.js';
import type { RecordReader } from './input-format.js';

/** A record that is larger than the log takes. */
export class RecordTooLargeError extends Error {
  override readonly name = 'RecordTooLargeError';
  constructor(
    readonly place: string,
    readonly bytes: number,
    readonly bytesMax: number,
  ) {
    super(`${place} makes a record of ${bytes} bytes; a record may have at most ${bytesMax}`);
  }
}

export interface ProduceOptions {
  readonly reader: RecordReader;
  readonly batchBytes: number;
  readonly recordBytesMax: number;
  /** A batch that does not fill goes off after this long. */
  readonly lingerMs: number;
  readonly inFlightMax: number;
  readonly shared: boolean;
  readonly reconnectTimeoutMs: number;
  /** Stops reading; what was read is still sent. */
  readonly signal: AbortSignal;
  readonly onProgress: (produced: Produced) => void;
  readonly onConnection: (state: 'lost' | 'resumed', reason?: Error) => void;
}

/** What of the input is acknowledged, and how far beyond that it was sent. */
export interface Produced {
  records: number;
  /** Bytes of the records' values. */
  bytes: number;
  /** Bytes of the input that the acknowledged records took. */
  inputBytes: number;
  firstOffset: number | undefined;
  lastOffset: number | undefined;
  /** Records handed to the connection, the acknowledged ones included. */
  recordsSent: number;
}

interface Taken {
  valueBytes: number;
  inputBytes: number;
}

type Next = IteratorResult<Buffer, unknown> | { readonly error: Error };

/**
 * Sends the records of `input` as batches. `produced` is kept up to date and so tells, after a rejection too, how far
 * the log is known to hold the input. An input that is wrong is reported after all that came before it is acknowledged.
 */
export async function produce(
  clients: readonly LogClient[],
  input: AsyncIterable<Buffer>,
  options: ProduceOptions,
  produced: Produced,
): Promise<void> {
  const { reader, signal } = options;
  const underWay: Taken[] = [];
  const producer = await Producer.open(clients, {
    shared: options.shared,
    inFlightMax: options.inFlightMax,
    reconnectTimeoutMs: options.reconnectTimeoutMs,
    onConnection: options.onConnection,
    onAcknowledged: ({ baseOffset, recordCount }) => {
      const taken = underWay.shift()!;
      produced.records += recordCount;
      produced.bytes += taken.valueBytes;
      produced.inputBytes += taken.inputBytes;
      produced.firstOffset ??= baseOffset;
      produced.lastOffset = baseOffset + recordCount - 1;
      options.onProgress(produced);
    },
  });
  const batches = new Batches(options, reader, underWay, produced, producer);
  try {
    const wrongInput = await readAll(input, options, reader, batches);
    await batches.send();
    await producer.flush();
    if (wrongInput !== undefined && !signal.aborted) throw wrongInput;
  } finally {
    producer.close();
  }
}

/** Collects records into batches; full ones wait for `send`. */
class Batches {
  readonly #builder: RecordBatchBuilder;
  readonly #full: (() => Promise<void>)[] = [];
  #taken: Taken = { valueBytes: 0, inputBytes: 0 };
  #records = 0;

  constructor(
    private readonly options: ProduceOptions,
    private readonly reader: RecordReader,
    private readonly underWay: Taken[],
    private readonly produced: Produced,
    private readonly producer: Producer,
  ) {
    this.#builder = new RecordBatchBuilder(options.batchBytes);
  }

  get pending(): boolean {
    return this.#builder.count > 0;
  }

  readonly add = (record: Parameters<RecordBatchBuilder['add']>[0], inputBytes: number): void => {
    this.#records += 1;
    const bytes = recordBytes(record);
    if (bytes > this.options.recordBytesMax) {
      throw new RecordTooLargeError(`${this.reader.unit} ${this.#records}`, bytes, this.options.recordBytesMax);
    }
    if (!this.#builder.add(record)) {
      this.#closeBatch();
      this.#builder.add(record);
    }
    this.#taken.valueBytes += record.value.length;
    this.#taken.inputBytes += inputBytes;
  };

  #closeBatch(): void {
    const batch = this.#builder.take();
    if (batch === undefined) return;
    const taken = this.#taken;
    this.#taken = { valueBytes: 0, inputBytes: 0 };
    this.#full.push(async () => {
      this.underWay.push(taken);
      this.produced.recordsSent += batch.recordCount;
      await this.producer.send(batch);
    });
  }

  async sendFull(): Promise<void> {
    for (let send = this.#full.shift(); send !== undefined; send = this.#full.shift()) await send();
  }

  async send(): Promise<void> {
    this.#closeBatch();
    await this.sendFull();
  }
}

/** @returns what is wrong with the input, if anything; all before it is in `batches` */
async function readAll(
  input: AsyncIterable<Buffer>,
  { lingerMs, signal }: ProduceOptions,
  reader: RecordReader,
  batches: Batches,
): Promise<Error | undefined> {
  const chunks = input[Symbol.asyncIterator]();
  const stopped = aborted(signal);
  for (;;) {
    const arrival = settled(chunks.next());
    const next = await nextChunk(arrival, stopped, batches.pending ? lingerMs : undefined, () => batches.send());
    if (next === undefined) return undefined;
    if ('error' in next) return next.error;
    try {
      if (next.done === true) {
        reader.end(batches.add);
        return undefined;
      }
      reader.push(next.value, batches.add);
    } catch (error) {
      return asError(error);
    }
    await batches.sendFull();
  }
}

function settled(arrival: Promise<IteratorResult<Buffer, unknown>>): Promise<Next> {
  return arrival.catch((error: unknown) => ({ error: asError(error) }));
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    signal.addEventListener(
      'abort',
      () => {
        resolve(undefined);
      },
      { once: true },
    );
    if (signal.aborted) resolve(undefined);
  });
}

/** The next chunk, or undefined when stopped. When it does not come within `lingerMs`, `onLinger` runs meanwhile. */
async function nextChunk(
  arrival: Promise<Next>,
  stopped: Promise<undefined>,
  lingerMs: number | undefined,
  onLinger: () => Promise<void>,
): Promise<Next | undefined> {
  if (lingerMs === undefined) return Promise.race([arrival, stopped]);
  let timer: NodeJS.Timeout | undefined;
  const linger = new Promise<'linger'>((resolve) => {
    timer = setTimeout(() => {
      resolve('linger');
    }, lingerMs);
  });
  try {
    const first = await Promise.race([arrival, stopped, linger]);
    if (first !== 'linger') return first;
    await onLinger();
    return await Promise.race([arrival, stopped]);
  } finally {
    clearTimeout(timer);
  }
}
