import { DiskReserveError } from '../../domain/log/errors.js';
import { toEpochMs } from '../../domain/log/offsets.js';
import {
  type ClusterSettings,
  defaultProducerExpiryMs,
  ephemeralProducerExpiryMs,
} from '../configuration/cluster-settings.js';
import { OutcomeUnknownError, UnavailableError } from '../errors.js';
import type { Clock } from '../ports/clock.js';
import type { ClusterTime } from '../time/cluster-time.js';
import { repeat } from '../waiting/repeat.js';
import type { ProducerChanges } from './producer-changes.js';

const everyMs = 10_000;
/** The ids that one entry forgets, at most, so that it is small and no turn takes long. */
const idsMax = 256;

export interface ProducerExpiryOptions {
  readonly changes: Pick<ProducerChanges, 'mayForget' | 'forgetExpired'>;
  readonly configuration: { readonly current: { readonly settings: ClusterSettings } };
  readonly time: Pick<ClusterTime, 'retentionClock'>;
  readonly clock: Clock;
}

/**
 * Has the leader forget the producers whose last batch is too old, by the same clock as retention: it asks every ten
 * seconds, and goes on at once while there are more. Returns a function that stops it.
 */
export function forgetExpiredProducers(
  options: ProducerExpiryOptions,
  onFailure: (error: unknown) => void,
): () => Promise<void> {
  return repeat(options.clock, everyMs, () => forgetAll(options), onFailure);
}

async function forgetAll({ changes, configuration, time }: ProducerExpiryOptions): Promise<void> {
  const now = changes.mayForget ? time.retentionClock() : undefined;
  if (now === undefined) return;
  const { producerExpiryMs = defaultProducerExpiryMs } = configuration.current.settings;
  const ago = (ms: number) => toEpochMs(Math.max(0, now - ms));
  const before = { named: ago(producerExpiryMs), ephemeral: ago(ephemeralProducerExpiryMs) };
  try {
    let forgotten = idsMax;
    while (forgotten === idsMax && changes.mayForget) forgotten = await changes.forgetExpired(before, idsMax);
  } catch (error) {
    const isExpected =
      error instanceof UnavailableError || error instanceof OutcomeUnknownError || error instanceof DiskReserveError;
    if (!isExpected) throw error;
  }
}
