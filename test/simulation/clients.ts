import type { AppendReceipt } from '../../src/application/ports/consensus.js';
import type { ReadFrom, ReadResult } from '../../src/application/ports/commit-log.js';
import {
  OutcomeUnknownError,
  OverloadedError,
  QuorumDiskFullError,
  UnavailableError,
} from '../../src/application/errors.js';
import {
  CorruptRangeError,
  DamagedEndError,
  DiskReserveError,
  ExpectedOffsetMismatchError,
  LogClosedError,
  OffsetOutOfRangeError,
} from '../../src/domain/log/errors.js';
import { toOffset } from '../../src/domain/log/offsets.js';
import type { RecordBatch, Records } from '../../src/domain/log/record-batch.js';
import { encodeRecord } from '../../src/domain/log/record.js';
import { defaultRecordLimits, frameRecords } from '../../src/domain/log/records.js';
import type { Chance } from './chance.js';
import { Connection, type Answer } from './connection.js';
import type { AppendCall, AppendOutcome, History } from './history.js';
import { describeError, type Machine } from './machine.js';
import { assertNotBack, assertShowsNoLess, type Shown } from './shown.js';
import { recordKeys } from './stored-entries.js';
import type { Witness } from './witness.js';
import { InvariantError, type World } from './world.js';

export interface ClientSurroundings {
  readonly world: World;
  readonly witness: Witness;
  readonly history: History;
  readonly shown: Shown;
  readonly machines: readonly Machine[];
  /** Most milliseconds between two calls. */
  readonly thinkMsMax: number;
}

const textEncoder = new TextEncoder();
export const patienceMs = 4_000;

/** The common part of all clients: a name, randomness, and a connection to a machine. */
export class Client {
  stopped = false;
  connections = 0;

  constructor(
    readonly name: string,
    protected readonly around: ClientSurroundings,
    protected readonly chance: Chance,
  ) {}

  protected connect(): Connection {
    this.connections += 1;
    const machine = this.chance.pick(this.around.machines);
    const name = `${this.name}#${this.connections}`;
    return new Connection(this.around.world, machine, name, () => 0.1 + 2 * this.chance.fraction());
  }

  protected think(): Promise<void> {
    return this.around.world.sleep(1 + this.chance.below(this.around.thinkMsMax));
  }

  /** Runs the client; an error that it throws ends the run. */
  protected go(life: () => Promise<void>): void {
    life().catch((error: unknown) => this.around.world.fail(error));
  }

  /** Fails the run with an error that no client may get. */
  protected refuseAnswer(what: string, error: unknown): never {
    if (error instanceof InvariantError) throw error;
    throw new InvariantError('errors', `${this.name} got ${what}: ${describeError(error)}`);
  }
}

/** Appends batches that no other client appends, several at a time over one connection. */
export class Producer extends Client {
  #batches = 0;

  start(): void {
    this.go(async () => {
      while (!this.stopped) {
        const connection = this.connect();
        const width = this.chance.percent(8) ? this.chance.between(6, 20) : this.chance.between(1, 4);
        const workers = Array.from({ length: width }, () => this.#work(connection));
        await Promise.all(workers);
        await this.think();
      }
    });
  }

  async #work(connection: Connection): Promise<void> {
    while (!this.stopped && connection.isOpen) {
      const { outcome } = await this.append(connection);
      if (outcome.kind !== 'acknowledged') {
        if (this.chance.percent(50)) return;
        await this.around.world.sleep(50);
      }
      await this.think();
    }
  }

  /** Makes and records one append. */
  async append(connection: Connection, expectedOffset?: number, again?: AppendCall): Promise<AppendCall> {
    const { history, world } = this.around;
    const order = this.#batches++;
    const records = again === undefined ? randomRecords(this.name, order, this.chance) : recordsOf(again);
    const keys = recordKeys(records.payload);
    const call: AppendCall = {
      client: this.name,
      connection: connection.name,
      order,
      keys,
      beginMs: world.nowMs,
      endMs: Infinity,
      outcome: { kind: 'unknown', reason: 'not answered yet' },
      payload: records.payload.slice(),
    };
    if (again === undefined) history.appends.push(call);
    const options = expectedOffset === undefined ? {} : { expectedOffset: toOffset(expectedOffset) };
    const answer = await connection.call(`append ${order}`, patienceMs, (service) => service.append(records, options));
    call.endMs = world.nowMs;
    call.outcome = this.#outcome(answer);
    if (call.outcome.kind === 'acknowledged') {
      if (call.outcome.recordCount !== keys.length)
        throw new InvariantError(
          'I2',
          `${this.name} sent ${keys.length} records, ${call.outcome.recordCount} were acknowledged`,
        );
      if (answer.kind === 'value') this.#checkReceipt(answer.value, keys, connection.machine);
    }
    if (again !== undefined) call.outcome = this.#settleAgain(again, call);
    return call;
  }

  #checkReceipt(receipt: AppendReceipt, keys: readonly string[], { name, node }: Machine): void {
    const { witness, world } = this.around;
    witness.acknowledged(receipt, keys, name);
    const { syncedOn } = receipt;
    if (node?.leadership.isLeader === true && !syncedOn.includes(name)) world.mark('acknowledged without the own disk');
  }

  /** Records what is now known about an append that was sent again. */
  #settleAgain(first: AppendCall, { outcome, endMs }: AppendCall): AppendOutcome {
    if (outcome.kind === 'acknowledged') {
      first.outcome = outcome;
      first.endMs = endMs;
    }
    return first.outcome;
  }

  #outcome(answer: Answer<AppendReceipt>): AppendOutcome {
    if (answer.kind === 'refused') return { kind: 'not appended', reason: 'no connection' };
    if (answer.kind === 'lost') return { kind: 'unknown', reason: 'the connection was lost' };
    if (answer.kind === 'value') {
      const { baseOffset, recordCount } = answer.value;
      return { kind: 'acknowledged', baseOffset, recordCount };
    }
    const { error } = answer;
    if (error instanceof OutcomeUnknownError) return { kind: 'unknown', reason: error.message };
    if (
      error instanceof UnavailableError ||
      error instanceof OverloadedError ||
      error instanceof DiskReserveError ||
      error instanceof QuorumDiskFullError ||
      error instanceof ExpectedOffsetMismatchError ||
      (error instanceof DamagedEndError && this.around.machines.some(({ rot }) => rot.isThere))
    ) {
      if (error instanceof QuorumDiskFullError) this.around.world.mark('append refused: most disks are full');
      if (error instanceof DiskReserveError) this.around.world.mark('append refused for want of disk space');
      return { kind: 'not appended', reason: `${error.name}: ${error.message}` };
    }
    return this.refuseAnswer('an append', error);
  }
}

/** Returns records that no other client appends, and this one only once. */
export function randomRecords(client: string, order: number, chance: Chance): Records {
  const count = chance.between(1, 3);
  const encoded = Array.from({ length: count }, (_, i) => {
    const text = `${client}/${order}/${i}/`;
    return encodeRecord({ value: textEncoder.encode(text.padEnd(text.length + chance.below(300), 'x')) });
  });
  return frameRecords(encoded, defaultRecordLimits);
}

export function recordsOf({ payload, keys }: AppendCall): Records {
  return { payload: payload.slice(), count: keys.length };
}

/** Expects an offset for each batch, and sends the batch again when its outcome is unknown. */
export class CarefulProducer extends Producer {
  override start(): void {
    this.go(async () => {
      const { shown } = this.around;
      while (!this.stopped) {
        let connection = this.connect();
        const before = shown.at(connection);
        const end = await connection.call(
          'look for the end',
          patienceMs,
          async (service, signal) => (await service.info(signal)).highWatermark,
        );
        if (end.kind === 'error' && !isForeseenByReader(end.error, connection))
          this.refuseAnswer('a look for the end', end.error);
        if (end.kind === 'value') {
          assertShowsNoLess(end.value, before, connection.machine.name);
          shown.show(connection.shownAs, end.value);
          const first = await this.append(connection, end.value);
          for (let retry = 0; retry < 5 && first.outcome.kind === 'unknown' && !this.stopped; retry++) {
            await this.around.world.sleep(300);
            connection = this.connect();
            const { outcome } = await this.append(connection, end.value, first);
            if (outcome.kind === 'acknowledged') this.around.world.mark('append settled by its expected offset');
          }
        }
        await this.think();
      }
    });
  }
}

/** Reads at different machines, locally and linearizably. */
export class Reader extends Client {
  start(): void {
    this.go(async () => {
      while (!this.stopped) {
        const connection = this.connect();
        for (let reads = this.chance.between(1, 6); reads > 0 && connection.isOpen && !this.stopped; reads--) {
          await this.#read(connection);
          await this.think();
        }
        await this.think();
      }
    });
  }

  async #read(connection: Connection): Promise<void> {
    const { history, world, witness, shown } = this.around;
    const linearizable = this.chance.percent(60);
    const from: ReadFrom = this.chance.percent(70)
      ? { last: this.chance.between(0, 5) }
      : { offset: toOffset(this.chance.below(witness.highWatermark + 1)) };
    const beginMs = world.nowMs;
    const before = shown.at(connection);
    const what = linearizable ? 'linearizable read' : 'read';
    const answer = await connection.call(what, patienceMs, (service, signal) =>
      service.read(from, { signal, linearizable, maxRecords: this.chance.between(1, 10) }),
    );
    if (answer.kind === 'error') {
      const { error } = answer;
      assertNotBack(error, before, connection.machine.name);
      if (!isForeseenByReader(error, connection)) this.refuseAnswer('a read', error);
    }
    if (answer.kind !== 'value') return;
    if (linearizable) world.mark('linearizable read');
    const { highWatermark, logStartOffset } = answer.value;
    const { baseOffset, keys } = recordsRead(answer.value);
    if ('last' in from) assertShowsNoLess(highWatermark, before, connection.machine.name);
    shown.show(connection.shownAs, highWatermark);
    history.reads.push({
      client: this.name,
      from: connection.machine.name,
      linearizable,
      beginMs,
      endMs: world.nowMs,
      highWatermark,
      logStartOffset,
      baseOffset: keys.length === 0 ? 0 : baseOffset,
      keys,
    });
  }
}

/** Follows the log from its start, at one machine and then at another. */
export class Follower extends Client {
  /** The next offset that it expects. */
  next = 0;
  #follows = 0;

  start(): void {
    this.go(async () => {
      while (!this.stopped) {
        const connection = this.connect();
        if (this.chance.percent(3)) this.next = 0;
        this.#follows += 1;
        const before = this.around.shown.at(connection);
        const answer = await connection.call('follow', 5_000, (service, signal) =>
          this.#follow(service.follow.bind(service), signal),
        );
        if (answer.kind === 'error') {
          const { error } = answer;
          assertNotBack(error, before, connection.machine.name);
          if (
            error instanceof OffsetOutOfRangeError &&
            error.offset === this.next &&
            this.next < error.logStartOffset
          ) {
            this.around.world.mark('a follow fell behind the log start');
            this.next = error.logStartOffset;
          } else if (!isForeseenByReader(error, connection)) this.refuseAnswer('a follow', error);
        }
        await this.think();
      }
    });
  }

  async #follow(
    follow: (from: ReadFrom, options: { signal: AbortSignal }) => AsyncGenerator<ReadResult, never, void>,
    signal: AbortSignal,
  ): Promise<void> {
    const { witness } = this.around;
    const own = ++this.#follows;
    for await (const result of follow({ offset: toOffset(this.next) }, { signal })) {
      // The client connected elsewhere while this process was paused.
      if (own !== this.#follows) return;
      const { baseOffset, keys } = recordsRead(result);
      if (keys.length === 0) throw new InvariantError('I5', `${this.name} got an empty result`);
      if (baseOffset !== this.next)
        throw new InvariantError('I5', `${this.name} expected offset ${this.next}, and got ${baseOffset}`);
      for (const [i, key] of keys.entries())
        if (witness.records[baseOffset + i] !== key)
          throw new InvariantError('I6', `${this.name} saw a record at offset ${baseOffset + i} that is not committed`);
      this.next += keys.length;
    }
  }
}

function isForeseenByReader(error: unknown, { machine }: Connection): boolean {
  return (
    (error instanceof CorruptRangeError && machine.rot.isThere) ||
    error instanceof UnavailableError ||
    error instanceof OffsetOutOfRangeError ||
    // Expected only from a node that was asked to stop.
    error instanceof LogClosedError ||
    (error instanceof DOMException && error.name === 'AbortError')
  );
}

/** Returns the records of a result; throws if their offsets have gaps. */
function recordsRead({ batches }: ReadResult): { baseOffset: number; keys: string[] } {
  const keys: string[] = [];
  const baseOffset = batches[0]?.baseOffset ?? 0;
  for (const batch of batches) {
    if (batch.baseOffset !== baseOffset + keys.length)
      throw new InvariantError('I5', `a read skips from offset ${baseOffset + keys.length} to ${batch.baseOffset}`);
    keys.push(...keysOf(batch));
  }
  return { baseOffset, keys };
}

function keysOf({ payload, recordCount, baseOffset }: RecordBatch): string[] {
  const keys = recordKeys(payload);
  if (keys.length !== recordCount)
    throw new InvariantError(
      'I11',
      `the batch at offset ${baseOffset} holds ${keys.length} records, not ${recordCount}`,
    );
  return keys;
}
