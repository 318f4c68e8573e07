import { BatchKind } from '../../domain/log/record-batch.js';
import type { LastBefore, LeaderProducers } from '../../domain/log/leader-producers.js';
import type { EpochMs } from '../../domain/log/offsets.js';
import { encodeProducerChange, type ProducerChange } from '../../domain/log/producer-change.js';
import type { DiskReserve } from '../storage/disk-reserve.js';
import type { OpenedProducer, ProducerOpening, Producers } from '../ports/consensus.js';
import type { AppendAdmission } from './append-admission.js';
import type { ProducerAppends, ProducerProposal } from './producer-appends.js';
import type { Proposals } from './proposals.js';
import type { RaftLoop } from './raft-loop.js';

/** What an opening or a closing counts while it waits: the change of one id, at most. */
const changeBytesMax = 256;

export interface ProducerChangesOptions {
  readonly loop: Pick<RaftLoop, 'life' | 'isLeader' | 'term' | 'schedule'>;
  readonly admission: Pick<AppendAdmission, 'inTurn' | 'admitToDisk'>;
  readonly diskReserve: Pick<DiskReserve, 'admitControlOrThrow'>;
  readonly proposals: Pick<Proposals, 'control'>;
  readonly appends: ProducerAppends;
  readonly producers: LeaderProducers<ProducerProposal>;
  /** A random integer of [0, n), which nobody can guess. */
  readonly random: (n: number) => number;
}

/** Opens, closes and forgets producers at the leader, in one order with its appends. */
export class ProducerChanges implements Producers {
  constructor(private readonly options: ProducerChangesOptions) {}

  openProducer(opening: ProducerOpening): Promise<OpenedProducer> {
    return this.options.admission.inTurn(changeBytesMax, true, () => this.#open(opening));
  }

  closeProducer(id: string, epoch: number): Promise<void> {
    return this.options.admission.inTurn(changeBytesMax, true, () => this.#close(id, epoch));
  }

  /** Whether this node leads, knows what earlier leaders have appended, and may write changes of producers. */
  get mayForget(): boolean {
    const { loop, appends } = this.options;
    return loop.life === 'running' && loop.isLeader && appends.isEnabled && appends.isCurrent;
  }

  /**
   * Forgets the ids whose last batch is older than these times, at most `idsMax`. Resolves with their number when that is
   * committed. Called while `mayForget`. Rejects with `UnavailableError`, `OutcomeUnknownError`, `DiskReserveError`.
   */
  async forgetExpired(
    before: { readonly named: EpochMs; readonly ephemeral: EpochMs },
    idsMax: number,
  ): Promise<number> {
    const { loop, producers } = this.options;
    producers.lead(loop.term);
    const ids = producers.expired(before, idsMax);
    if (ids.length > 0) await this.#forget(ids).receipt;
    return ids.length;
  }

  async #open({ id: given, epoch: wanted, isEphemeral }: ProducerOpening): Promise<OpenedProducer> {
    const { loop, admission, appends, producers, random } = this.options;
    const id = given === '' ? randomId(random) : given;
    producers.lead(loop.term);
    const decision = producers.decideOpen(id, wanted, isEphemeral, appends.limits);
    if (decision.kind === 'refuse') return appends.refuse(id, decision.error);
    const { epoch, last } = decision;
    const change = { opened: [{ id, epoch, isEphemeral }], forgotten: [] };
    const proposal = this.#propose([id], change, (bytes) => admission.admitToDisk(bytes));
    producers.addOpened(id, epoch, isEphemeral, proposal);
    await proposal.receipt;
    return { id, epoch, ...(last && { last: await positionOf(last) }) };
  }

  async #close(id: string, epoch: number): Promise<void> {
    const { loop, appends, producers } = this.options;
    producers.lead(loop.term);
    const decision = producers.decideClose(id, epoch);
    if (decision.kind === 'refuse') await appends.refuse(id, decision.error);
    else if (decision.kind === 'unknown') await appends.committed(id);
    else await this.#forget([id]).receipt;
  }

  /** Proposes to forget ids, also while the disk is full: space for what it frees is in the reserve. */
  #forget(ids: readonly string[]): ProducerProposal {
    const { diskReserve, producers } = this.options;
    const change = { opened: [], forgotten: ids };
    const proposal = this.#propose(ids, change, (bytes) => diskReserve.admitControlOrThrow(bytes));
    for (const id of ids) producers.addForgotten(id, proposal);
    return proposal;
  }

  /** Proposes a change; the caller adds it to the producers in the same turn. */
  #propose(ids: readonly string[], change: ProducerChange, admit: (bytes: number) => void): ProducerProposal {
    const { loop, producers, proposals } = this.options;
    const payload = encodeProducerChange(change);
    admit(payload.length);
    loop.schedule();
    const proposal: ProducerProposal = {
      receipt: proposals.control(BatchKind.producers, payload, () => {
        for (const id of ids) producers.drop(id, proposal);
      }),
    };
    return proposal;
  }
}

/** Returns where the last batch before an epoch is: it is committed, since the opening is, which comes after it. */
async function positionOf(last: LastBefore<ProducerProposal>): Promise<NonNullable<OpenedProducer['last']>> {
  if (!('original' in last)) return last;
  const { baseOffset } = await last.original.receipt;
  return { sequence: last.sequence, baseOffset };
}

/** Returns an id of 128 random bits. */
function randomId(random: ProducerChangesOptions['random']): string {
  const words = Array.from({ length: 4 }, () => random(2 ** 32));
  return words.map((word) => word.toString(16).padStart(8, '0')).join('');
}
