import { compareEntryIds } from '../../domain/raft/entry-id.js';
import { UnavailableError } from '../errors.js';
import type { Vouch } from '../ports/vouching.js';
import { Backoff } from '../waiting/backoff.js';
import { pause } from '../waiting/pause.js';
import { addressesAsked, type ProofOptions } from './prove-identity.js';

const pauseMsMin = 250;
const pauseMsMax = 5_000;

/**
 * Asks the other members again and again, and calls `found` with each that has a log further ahead than those before.
 * Resolves when the signal aborts.
 */
export async function watchFurthest(
  options: Pick<ProofOptions, 'request' | 'configuration' | 'discovery' | 'transport' | 'callers' | 'clock' | 'signal'>,
  found: (peer: Vouch) => void,
): Promise<void> {
  const { request, configuration, transport, clock, signal } = options;
  const backoff = new Backoff(pauseMsMin, pauseMsMax);
  let furthest: Vouch | undefined;
  const ask = async (rpcAddr: string): Promise<void> => {
    const peer = await transport.vouch(rpcAddr, request, signal);
    if (peer === 'unsupported' || peer.uuid === request.uuid) return;
    if (furthest !== undefined && compareEntryIds(peer.last, furthest.last) <= 0) return;
    furthest = peer;
    found(peer);
  };
  while (!signal.aborted) {
    const peers = configuration.current.members.filter(({ uuid }) => uuid !== request.uuid);
    const asked = addressesAsked(options, peers).map((rpcAddr) =>
      ask(rpcAddr).catch((error: unknown) => {
        if (!(error instanceof UnavailableError) && !signal.aborted) throw error;
      }),
    );
    await Promise.all(asked);
    await pause(clock, backoff.next(), signal).catch(() => undefined);
  }
}
