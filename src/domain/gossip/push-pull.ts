import type { ProtocolVersions, SwimState } from './message.js';

interface Versioned {
  readonly name: string;
  readonly state: SwimState;
  readonly versions: ProtocolVersions;
}

/**
 * The other side's state was rejected: a member in it uses an incompatible version or is not accepted. Nothing was
 * changed.
 */
export class PushPullRefusedError extends Error {
  override readonly name = 'PushPullRefusedError';
}

/** Throws PushPullRefusedError unless all members on both sides use versions that all live members support. */
export function verifyVersions(local: Iterable<Versioned>, remote: readonly Versioned[]): void {
  const all = [...local, ...remote];
  let [protocolMin, protocolMax, delegateMin, delegateMax] = [0, 255, 0, 255];
  for (const { state, versions } of all) {
    if (state !== 'alive') continue;
    protocolMin = Math.max(protocolMin, versions.protocolMin);
    protocolMax = Math.min(protocolMax, versions.protocolMax);
    delegateMin = Math.max(delegateMin, versions.delegateMin);
    delegateMax = Math.min(delegateMax, versions.delegateMax);
  }
  for (const { name, versions } of all) {
    if (versions.protocol < protocolMin || versions.protocol > protocolMax) {
      throw new PushPullRefusedError(
        `member ${JSON.stringify(name)} uses protocol version ${versions.protocol}, but the group supports ${protocolMin} to ${protocolMax}`,
      );
    }
    if (versions.delegate < delegateMin || versions.delegate > delegateMax) {
      throw new PushPullRefusedError(
        `member ${JSON.stringify(name)} uses serf protocol version ${versions.delegate}, but the group supports ${delegateMin} to ${delegateMax}`,
      );
    }
  }
}
