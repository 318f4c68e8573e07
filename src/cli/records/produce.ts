import { type LogClient, largestRecord, Producer, RecordBatchBuilder, recordBytes } from '../../client/index.js';
import type { RecordReader } from './input-format.js';

/** A record that is larger than a limit. */
export class RecordTooLargeError extends Error {
  override readonly name = 'RecordTooLargeError';
  constructor(
    readonly source: string,
    readonly bytes: number,
    readonly bytesMax: number,
    /** Whose limit it is, and what to do. */
    remedy: string,
  ) {
    super(`${source} makes a record of ${bytes} bytes; a record may have at most ${bytesMax}: ${remedy}`);
  }
}

export interface ProduceOptions {
  readonly reader: RecordReader;
  readonly batchBytes: number;
  readonly recordBytesMax: number;
  /** A batch that is not full is sent after this long. */
  readonly lingerMs: number;
  readonly inFlightMax: number;
  readonly shared: boolean;
  readonly reconnectTimeoutMs: number;
  /** Stops reading when it aborts; records read by then are still sent. */
  readonly signal: AbortSignal;
  readonly onProgress: (produced: Produced) => void;
  readonly onConnection: (state: 'lost' | 'resumed', reason?: Error) => void;
}

/** The limits of a batch and of a record: those of the command, or of the server where it has smaller ones. */
interface Limits {
  readonly batchBytes: number;
  readonly recordBytesMax: number;
  readonly remedy: string;
}

function limitsOf({ batchBytes, recordBytesMax, reader }: ProduceOptions, serverMax = Infinity): Limits {
  const fits = serverMax === Infinity ? Infinity : largestRecord(serverMax);
  const advice = reader.unit === 'chunk' ? '; give a smaller --chunk-bytes' : '';
  const whose = fits < recordBytesMax ? `the server has --batch-bytes-max ${serverMax}` : 'see --record-bytes-max';
  const remedy = `${whose}${advice}`;
  return { batchBytes: Math.min(batchBytes, serverMax), recordBytesMax: Math.min(recordBytesMax, fits), remedy };
}

/** How much of the input is acknowledged, and how much was sent. */
export interface Produced {
  records: number;
  /** Bytes of the values of the acknowledged records. */
  bytes: number;
  /** Bytes of the input that the acknowledged records used. */
  inputBytes: number;
  firstOffset: number | undefined;
  lastOffset: number | undefined;
  /** Records sent, including the acknowledged ones. */
  recordsSent: number;
  /** Lines or chunks of the input up to the last acknowledged record, and up to the last record sent. */
  units: number;
  unitsSent: number;
}

/** The size of a batch, and of its part of the input. */
interface BatchSize {
  valueBytes: number;
  inputBytes: number;
  /** Lines or chunks of the input up to its last record. */
  units: number;
}

type Next = IteratorResult<Buffer, unknown> | { readonly error: Error };

/**
 * Sends the records of `input` as batches. `produced` has the progress at any time, also after a rejection. Invalid
 * input is reported once all records before it are acknowledged.
 */
export async function produce(
  clients: readonly LogClient[],
  input: AsyncIterable<Buffer>,
  options: ProduceOptions,
  produced: Produced,
): Promise<void> {
  const { reader, signal } = options;
  const inFlight: BatchSize[] = [];
  const producer = await Producer.open(clients, {
    shared: options.shared,
    inFlightMax: options.inFlightMax,
    reconnectTimeoutMs: options.reconnectTimeoutMs,
    onConnection: options.onConnection,
    onAcknowledged: ({ baseOffset, recordCount }) => {
      const size = inFlight.shift()!;
      produced.records += recordCount;
      produced.bytes += size.valueBytes;
      produced.inputBytes += size.inputBytes;
      produced.units = size.units;
      produced.firstOffset ??= baseOffset;
      produced.lastOffset = baseOffset + recordCount - 1;
      options.onProgress(produced);
    },
  });
  const batches = new Batches(limitsOf(options, producer.batchBytesMax), reader, inFlight, produced, producer);
  try {
    const inputError = await readAll(input, options, reader, batches);
    await batches.send();
    await producer.flush();
    if (inputError !== undefined && !signal.aborted) throw inputError;
  } finally {
    producer.close();
  }
}

/** Collects records into batches; full batches wait for `sendFull`. */
class Batches {
  readonly #builder: RecordBatchBuilder;
  readonly #full: (() => Promise<void>)[] = [];
  #size: BatchSize = { valueBytes: 0, inputBytes: 0, units: 0 };

  constructor(
    private readonly limits: Limits,
    private readonly reader: RecordReader,
    private readonly inFlight: BatchSize[],
    private readonly produced: Produced,
    private readonly producer: Producer,
  ) {
    this.#builder = new RecordBatchBuilder(limits.batchBytes);
  }

  get pending(): boolean {
    return this.#builder.count > 0;
  }

  readonly add = (record: Parameters<RecordBatchBuilder['add']>[0], inputBytes: number): void => {
    const { unit, units } = this.reader;
    const bytes = recordBytes(record);
    const { recordBytesMax, remedy } = this.limits;
    if (bytes > recordBytesMax) throw new RecordTooLargeError(`${unit} ${units}`, bytes, recordBytesMax, remedy);
    if (!this.#builder.add(record)) {
      this.#finishBatch();
      this.#builder.add(record);
    }
    this.#size.valueBytes += record.value.length;
    this.#size.inputBytes += inputBytes;
    this.#size.units = units;
  };

  #finishBatch(): void {
    const batch = this.#builder.take();
    if (batch === undefined) return;
    const size = this.#size;
    this.#size = { valueBytes: 0, inputBytes: 0, units: 0 };
    this.#full.push(async () => {
      this.inFlight.push(size);
      this.produced.recordsSent += batch.recordCount;
      this.produced.unitsSent = size.units;
      await this.producer.send(batch);
    });
  }

  async sendFull(): Promise<void> {
    for (let send = this.#full.shift(); send !== undefined; send = this.#full.shift()) await send();
  }

  async send(): Promise<void> {
    this.#finishBatch();
    await this.sendFull();
  }
}

/** Reads the input into `batches`; resolves with the error in the input, if any, after the records before it. */
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

/** Resolves with the next chunk, or undefined when stopped; calls `onLinger` if it takes longer than `lingerMs`. */
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
