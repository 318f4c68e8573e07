import { toIndex } from '../../domain/log/offsets.js';
import { CorruptRangeError } from '../../domain/log/errors.js';
import type { Log } from '../../domain/log/log.js';
import type { ConfigurationFile } from '../configuration/configuration-file.js';
import { UnavailableError } from '../errors.js';
import type { EntrySource } from '../ports/entry-source.js';
import type { Contact, ReplicaUplink } from '../ports/replica-uplink.js';
import { repairersOf } from './repair-peers.js';
import type { EntryReader } from './segment-repair.js';

/** A member reads from the other members. */
export function readersOfMember(
  configuration: ConfigurationFile,
  id: number,
  source: EntrySource,
): readonly EntryReader[] {
  return repairersOf(configuration, id).map((peer) => ({
    name: peer.name,
    read: ({ index }, until, signal) => source.read(peer, index, until, signal),
  }));
}

/** A replica follows members, from the damage on until it has what it needs. */
export function readersOfReplica(
  contacts: readonly Contact[],
  uplink: Pick<ReplicaUplink, 'follow'>,
): readonly EntryReader[] {
  return contacts.map((contact) => ({
    name: contact.name ?? contact.rpcAddr,
    async *read({ index, term }, until, signal) {
      const ended = new AbortController();
      const both = AbortSignal.any([signal, ended.signal]);
      try {
        let next: number = index;
        for await (const { batches, status } of uplink.follow(contact, { index, term }, both)) {
          if (status !== undefined && status.start.index > index)
            throw new UnavailableError('it no longer stores them');
          const wanted = batches.filter((batch) => batch.index < until);
          yield wanted;
          next += wanted.length;
          if (next >= until) return;
        }
      } finally {
        ended.abort(new UnavailableError('this replica has the entries that it needs'));
      }
    },
  }));
}

/** Has damage that an earlier run has noted found again. */
export async function readNoted(log: Log, { stored }: Pick<ConfigurationFile, 'stored'>): Promise<void> {
  const noted = stored?.damagedFrom;
  if (noted === undefined || noted < log.startIndex || noted > log.lastIndex) return;
  try {
    await log.readEntries(toIndex(noted), { until: toIndex(noted + 1), bytesMax: 1 });
  } catch (error) {
    if (!(error instanceof CorruptRangeError)) throw error;
  }
}
