/** The maximum increase of a member's known incarnation by one message. */
const jumpMax = 2 ** 16;
/** The maximum first incarnation of an unknown member; real members reach a few dozen at most. */
const firstMax = 2 ** 20;
/** The maximum incarnation of an alive message, so that the number stays within uint32. */
const aliveMax = 2 ** 32 - 2;
/** Accusations stay below it, so that the accused member can always refute them. */
const accusationMax = aliveMax - 1;

/**
 * Returns the incarnation that a claim about a member counts for. A claim is capped, not rejected: the accused and all
 * others cap it alike, so a forged 2^32 - 1 costs a member one step of 65,536, and a node that lags by more than a step
 * is not locked out, but catches up with each message.
 *
 * @param known - Undefined if the member is unknown.
 */
export function aliveIncarnation(claimed: number, known: number | undefined): number {
  return Math.min(claimed, known === undefined ? firstMax : known + jumpMax, aliveMax);
}

/** Caps the incarnation of a suspect or dead message, as `aliveIncarnation` does. */
export function accusedIncarnation(claimed: number, known: number): number {
  return Math.min(claimed, known + jumpMax, accusationMax);
}

/** Returns the incarnation that refutes `accused`. */
export function refutingIncarnation(own: number, accused: number): number {
  return Math.min(aliveMax, Math.max(own, accused) + 1);
}
