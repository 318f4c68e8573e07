import type { AppendReceipt, OpenedProducer, ProducerOpening } from '../../src/application/ports/consensus.js';
import type { Producer } from '../../src/domain/log/batch-prefix.js';
import { ProducerFencedError, ProducerSequenceGapError } from '../../src/domain/log/producer-errors.js';

/** What a fake log remembers of the producers: everything. */
export class FakeProducers {
  readonly openings: ProducerOpening[] = [];
  readonly #known = new Map<string, { readonly epoch: number; readonly receipts: AppendReceipt[] }>();

  open(opening: ProducerOpening): OpenedProducer {
    this.openings.push(opening);
    const id = opening.id === '' ? `made-${this.openings.length}` : opening.id;
    const known = this.#known.get(id);
    const epoch = opening.epoch ?? (known?.epoch ?? -1) + 1;
    if (known !== undefined && epoch <= known.epoch) throw new ProducerFencedError(id, epoch, known.epoch);
    this.#known.set(id, { epoch, receipts: [] });
    const receipt = known?.receipts.at(-1);
    if (known === undefined || receipt === undefined) return { id, epoch };
    return { id, epoch, last: { sequence: known.receipts.length - 1, baseOffset: receipt.baseOffset } };
  }

  close(id: string, epoch: number): void {
    if (this.#known.get(id)?.epoch === epoch) this.#known.delete(id);
  }

  async append(batch: Producer | undefined, append: () => Promise<AppendReceipt>): Promise<AppendReceipt> {
    if (batch === undefined) return append();
    const { id, epoch, sequence } = batch;
    let known = this.#known.get(id);
    if (known !== undefined && epoch < known.epoch) throw new ProducerFencedError(id, epoch, known.epoch);
    if (known === undefined || epoch > known.epoch) this.#known.set(id, (known = { epoch, receipts: [] }));
    const { receipts } = known;
    const before = receipts[sequence];
    if (before !== undefined) return { ...before, syncedOn: [], isDuplicate: true };
    if (sequence > receipts.length) throw new ProducerSequenceGapError(batch, receipts.length);
    const receipt = await append();
    receipts.push(receipt);
    return receipt;
  }
}
