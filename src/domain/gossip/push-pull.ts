import type { ProtocolVersions, SwimState } from './message.js';

interface Versioned {
  readonly name: string;
  readonly state: SwimState;
  readonly versions: ProtocolVersions;
}

/** The other side's state cannot be taken in: someone in it speaks another version or is not accepted. Nothing was changed. */
export class PushPullRefusedError extends Error {
  override readonly name = 'PushPullRefusedError';
}

/** Throws PushPullRefusedError unless all of both sides speak what all living ones understand. */
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
        `${JSON.stringify(name)} speaks protocol ${versions.protocol}, but only ${protocolMin} to ${protocolMax} are understood`,
      );
    }
    if (versions.delegate < delegateMin || versions.delegate > delegateMax) {
      throw new PushPullRefusedError(
        `${JSON.stringify(name)} speaks serf protocol ${versions.delegate}, but only ${delegateMin} to ${delegateMax} are understood`,
      );
    }
  }
}
