import { decodeProducerChange } from '../../src/domain/log/producer-change.js';
import { BatchKind } from '../../src/domain/log/record-batch.js';
import { malformed } from '../../src/domain/log/wire-reader.js';
import { describeEntry, type StoredEntry } from './stored-entries.js';
import { InvariantError } from './world.js';

interface Holder {
  readonly epoch: number;
  /** -1: it has opened the id, and appended nothing. */
  readonly sequence: number;
}

/**
 * Checks what producers have in the log (I13), entry by entry: each batch once and in its order, and nothing of an epoch
 * that a later one has fenced. A model of its own: it knows nothing of `ProducerTable`.
 */
export class ProducerHistory {
  readonly #holders = new Map<string, Holder>();

  /** Called with each committed entry, in order. */
  committed(entry: StoredEntry): void {
    if (entry.kind === BatchKind.producers) this.#change(entry);
    else if (entry.producer !== undefined) this.#append(entry, entry.producer);
  }

  #append(entry: StoredEntry, { id, epoch, sequence }: Holder & { readonly id: string }): void {
    const known = this.#holders.get(id);
    const what = `${describeEntry(entry)} is batch ${sequence} of epoch ${epoch} of ${JSON.stringify(id)}`;
    if (known !== undefined && epoch < known.epoch)
      throw new InvariantError('I13', `${what}, which epoch ${known.epoch} has fenced`);
    const next = known?.epoch === epoch ? known.sequence + 1 : 0;
    if (sequence !== next) throw new InvariantError('I13', `${what}, after which batch ${next} was to come`);
    this.#holders.set(id, { epoch, sequence });
  }

  #change(entry: StoredEntry): void {
    const change = decodeProducerChange(entry.payload);
    if (change === malformed) throw new InvariantError('I13', `${describeEntry(entry)} is malformed`);
    for (const { id, epoch } of change.opened) {
      const known = this.#holders.get(id);
      if (known !== undefined && epoch <= known.epoch)
        throw new InvariantError('I13', `${JSON.stringify(id)} has two holders of epoch ${epoch}`);
      this.#holders.set(id, { epoch, sequence: -1 });
    }
    for (const id of change.forgotten) this.#holders.delete(id);
  }
}
