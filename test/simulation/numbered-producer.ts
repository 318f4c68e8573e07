import {
  OutcomeUnknownError,
  OverloadedError,
  QuorumDiskFullError,
  UnavailableError,
} from '../../src/application/errors.js';
import { FeatureNotEnabledError } from '../../src/application/ports/cluster.js';
import type { AppendReceipt, OpenedProducer } from '../../src/application/ports/consensus.js';
import { DamagedEndError, DiskReserveError } from '../../src/domain/log/errors.js';
import { ProducerFencedError, ProducerSequenceGapError } from '../../src/domain/log/producer-errors.js';
import type { Chance } from './chance.js';
import { Client, type ClientSurroundings, patienceMs, randomRecords, recordsOf } from './clients.js';
import type { Answer, Connection } from './connection.js';
import type { AppendCall } from './history.js';
import { recordKeys } from './stored-entries.js';

const windowMax = 5;
const enabledLookMs = 1_000;
const againMs = 50;

interface Batch {
  readonly sequence: number;
  readonly call: AppendCall;
}

/**
 * Opens a producer id and numbers its batches, several of which are in flight. What is not acknowledged is sent again, in
 * order, over another connection, until it is (I13). Of two that share an id, the later one fences the other, which then
 * opens it again.
 */
export class NumberedProducer extends Client {
  #batches = 0;
  /** In the order of their sequences: sent, and not acknowledged. */
  #unanswered: Batch[] = [];

  constructor(
    name: string,
    around: ClientSurroundings,
    chance: Chance,
    /** Empty: the server makes an id, which is forgotten soon after its last batch. */
    private readonly id: string,
    private readonly isShared: boolean,
  ) {
    super(name, around, chance);
  }

  start(): void {
    this.go(async () => {
      while (!this.stopped) {
        const opened = await this.#open();
        if (opened !== undefined) await this.#produce(opened);
      }
    });
  }

  async #open(): Promise<OpenedProducer | undefined> {
    const opening = { id: this.id, isEphemeral: this.id === '' };
    const answer = await this.connect().call('open a producer', patienceMs, (service) => service.openProducer(opening));
    if (answer.kind === 'value') return answer.value;
    if (answer.kind === 'error' && !this.#mayTryAgain(answer.error)) this.refuseAnswer('an opening', answer.error);
    const isEnabled = !(answer.kind === 'error' && answer.error instanceof FeatureNotEnabledError);
    await this.around.world.sleep(isEnabled ? againMs : enabledLookMs);
    return undefined;
  }

  /** Appends under this epoch until it is fenced, or this producer has stopped and everything is acknowledged. */
  async #produce({ id, epoch }: OpenedProducer): Promise<void> {
    const { world } = this.around;
    this.#unanswered = [];
    for (let next = 0, fenced = false; !fenced && (!this.stopped || this.#unanswered.length > 0);) {
      const connection = this.connect();
      while (connection.isOpen) {
        const width = this.stopped ? 0 : this.chance.between(1, windowMax);
        while (this.#unanswered.length < width) this.#unanswered.push(this.#newBatch(next++, `${id} ${epoch}`));
        if (this.#unanswered.length === 0) return;
        const sent = this.#unanswered.map((batch) => this.#send(connection, { id, epoch }, batch));
        const settled = await Promise.all(sent);
        fenced = settled.includes('fenced');
        if (fenced || settled.includes('again')) break;
        await this.think();
      }
      await world.sleep(againMs);
    }
  }

  #newBatch(sequence: number, epoch: string): Batch {
    const { history, world } = this.around;
    const order = this.#batches++;
    const { payload } = randomRecords(this.name, order, this.chance);
    const call: AppendCall = {
      ...{ client: this.name, connection: `${this.name} as ${epoch}`, order, keys: recordKeys(payload) },
      ...{ beginMs: world.nowMs, endMs: Infinity, payload: payload.slice() },
      outcome: { kind: 'unknown', reason: 'not answered yet' },
    };
    history.appends.push(call);
    return { sequence, call };
  }

  async #send(
    connection: Connection,
    epoch: { readonly id: string; readonly epoch: number },
    batch: Batch,
  ): Promise<'done' | 'again' | 'fenced'> {
    const { call, sequence } = batch;
    const isFirst = this.#unanswered[0] === batch;
    const answer = await connection.call(`append ${call.order}, batch ${sequence}`, patienceMs, (service) =>
      service.append(recordsOf(call), { producer: { ...epoch, sequence } }),
    );
    if (answer.kind === 'value') {
      this.#acknowledge(batch, answer.value, connection);
      return 'done';
    }
    return this.#failed(answer, isFirst);
  }

  #acknowledge({ call }: Batch, receipt: AppendReceipt, { machine }: Connection): void {
    const { witness, world } = this.around;
    const { baseOffset, recordCount, isDuplicate } = receipt;
    if (isDuplicate) world.mark('a batch of a producer was in the log already');
    call.endMs = world.nowMs;
    call.outcome = { kind: 'acknowledged', baseOffset, recordCount };
    witness.acknowledged(receipt, call.keys, machine.name);
    this.#unanswered = this.#unanswered.filter((each) => each.call !== call);
  }

  #failed(answer: Answer<AppendReceipt>, isFirst: boolean): 'again' | 'fenced' {
    if (answer.kind !== 'error') return 'again';
    const { error } = answer;
    if (error instanceof ProducerFencedError && this.isShared) {
      this.around.world.mark('a producer was fenced');
      return 'fenced';
    }
    // A batch before it did not arrive.
    if (error instanceof ProducerSequenceGapError && !isFirst) return 'again';
    if (this.#mayTryAgain(error)) return 'again';
    return this.refuseAnswer('an append of a producer', error);
  }

  #mayTryAgain(error: unknown): boolean {
    return (
      error instanceof OutcomeUnknownError ||
      error instanceof UnavailableError ||
      error instanceof OverloadedError ||
      error instanceof DiskReserveError ||
      error instanceof QuorumDiskFullError ||
      error instanceof FeatureNotEnabledError ||
      (error instanceof DamagedEndError && this.around.machines.some(({ rot }) => rot.isThere))
    );
  }
}
