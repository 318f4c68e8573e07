/** How far beyond what is known one message may carry a member's incarnation. */
const jumpMax = 2 ** 16;
/** What is believed of a member that is not known yet; real ones have seen a few dozen at most. */
const firstMax = 2 ** 20;
/** An alive message goes no further, so that the number stays in its uint32. */
const aliveMax = 2 ** 32 - 2;
/** An accusation stays below, so that whoever is accused can outbid it. */
const accusationMax = aliveMax - 1;

/**
 * The incarnation that a claim about a member stands for. A claim is cut, not refused: the accused and everybody else cut
 * it alike, so a forged 2^32 - 1 costs a member one step of 65,536, and a node that fell behind by more than a step is
 * not shut out for ever, but climbs with each message.
 *
 * @param known - Undefined: the member is unknown.
 */
export function aliveIncarnation(claimed: number, known: number | undefined): number {
  return Math.min(claimed, known === undefined ? firstMax : known + jumpMax, aliveMax);
}

/** As `aliveIncarnation`, of a suspect or dead message. */
export function accusedIncarnation(claimed: number, known: number): number {
  return Math.min(claimed, known + jumpMax, accusationMax);
}

/** What refutes `accused`. */
export function refutingIncarnation(own: number, accused: number): number {
  return Math.min(aliveMax, Math.max(own, accused) + 1);
}
