import { setTimeout as delay } from 'node:timers/promises';
import { GrpcSession, MessageReader } from './grpc-session.js';
import { paths } from './loads.js';
import { FieldReader, grpcFrame, readEarliestRequest, uint64Of, varint } from './wire.js';

const callers = 6;
const attemptMs = 2_000;
const pauseMs = 5;
const valueBytes = 16;

interface Acknowledged {
  readonly offset: number;
  readonly sentAt: number;
  readonly at: number;
}

/** Producers that go on through the failures of nodes, and keep what was acknowledged: each value is there once. */
export class SteadyProducers {
  readonly #sessions = new Map<string, Promise<GrpcSession>>();
  readonly #acknowledged = new Map<number, string>();
  readonly #running: Promise<unknown>;
  #stopped = false;
  #sent = 0;
  #onAcknowledged: (one: Acknowledged) => void = () => {};

  /** Each caller starts at another of the addresses, and goes to the next when a call fails. */
  constructor(private readonly addresses: readonly string[]) {
    this.#running = Promise.all(Array.from({ length: callers }, (_, place) => this.#produce(place)));
  }

  get acknowledged(): number {
    return this.#acknowledged.size;
  }

  /** When the first call that begins from now on is acknowledged, in milliseconds from now. */
  firstAcknowledged(): Promise<number> {
    const from = performance.now();
    return new Promise((resolve) => {
      this.#onAcknowledged = ({ sentAt, at }) => {
        if (sentAt >= from) resolve(at - from);
      };
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
    for (const session of this.#sessions.values()) (await session.catch(() => undefined))?.close();
  }

  /** Throws unless the node has all that was acknowledged, in its place. */
  async check(address: string, highWatermark: number): Promise<void> {
    const missing = new Map(this.#acknowledged);
    const session = await GrpcSession.connect(address);
    try {
      let read = 0;
      const call = session.open(
        paths.tail,
        new MessageReader((message) => {
          for (const [offset, value] of valuesOf(message)) {
            if (missing.get(offset) === value) missing.delete(offset);
            read = offset + 1;
          }
          if (read >= highWatermark) call.cancel();
        }),
      );
      call.stream.end(grpcFrame(readEarliestRequest()));
      await call.done;
    } finally {
      session.close();
    }
    if (missing.size > 0)
      throw new Error(
        `${missing.size} of ${this.#acknowledged.size} acknowledged records are lost: offsets ${[...missing.keys()].slice(0, 10).join(', ')}`,
      );
  }

  async #produce(start: number): Promise<void> {
    for (let place = start; !this.#stopped;) {
      const address = this.addresses[place % this.addresses.length];
      const value = String(this.#sent++).padStart(valueBytes, '0');
      const sentAt = performance.now();
      try {
        const offset = await this.#call(address, value);
        this.#acknowledged.set(offset, value);
        this.#onAcknowledged({ offset, sentAt, at: performance.now() });
      } catch {
        place++;
        await delay(pauseMs);
      }
    }
  }

  async #call(address: string, value: string): Promise<number> {
    const session = await this.#session(address);
    let offset = -1;
    const call = session.open(paths.produce, new MessageReader((message) => (offset = uint64Of(message, 1))));
    const timer = setTimeout(() => call.cancel(), attemptMs);
    try {
      call.stream.end(grpcFrame(produceRequestOf(value)));
      await call.done;
    } finally {
      clearTimeout(timer);
    }
    if (offset < 0) throw new Error('not answered in time');
    return offset;
  }

  /** One connection a node, a new one where the last has ended. */
  async #session(address: string): Promise<GrpcSession> {
    const known = this.#sessions.get(address);
    const session = await known?.catch(() => undefined);
    if (session?.isOpen === true) return session;
    const others = this.#sessions.get(address);
    if (others !== undefined && others !== known) return others;
    const connecting = GrpcSession.connect(address);
    this.#sessions.set(address, connecting);
    return connecting;
  }
}

function produceRequestOf(value: string): Buffer {
  const bytes = Buffer.from(value);
  const record = Buffer.concat([varint(10), varint(bytes.length), bytes]);
  return Buffer.concat([varint(10), varint(record.length), record]);
}

/** The offsets and values in a `golog.v1.ReadResponse`. */
function* valuesOf(response: Buffer): Generator<[number, string]> {
  const batches = new FieldReader(response);
  while (batches.next()) {
    if (batches.field !== 1) continue;
    let offset = 0;
    const fields = new FieldReader(response, batches.start, batches.end);
    while (fields.next()) {
      if (fields.field === 1) offset = fields.value;
      if (fields.field !== 4) continue;
      const record = new FieldReader(response, fields.start, fields.end);
      while (record.next())
        if (record.field === 1) yield [offset, response.toString('latin1', record.start, record.end)];
      offset++;
    }
  }
}
