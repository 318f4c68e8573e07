import type { ConfChangeSingle, ConfChangeType } from '../../src/domain/raft/conf-change.js';

const letters = new Map<string, ConfChangeType>([
  ['v', 'add-node'],
  ['l', 'add-learner-node'],
  ['r', 'remove-node'],
  ['u', 'update-node'],
]);

/** A list of changes is malformed; the message is the command's output. */
export class UnknownConfChangeError extends Error {
  override readonly name = 'UnknownConfChangeError';
}

/** Parses changes such as `v1 l2 r3 u4`: add a voter, add a learner, remove, update. */
export function parseConfChanges(text: string): ConfChangeSingle[] {
  const trimmed = text.trim();
  if (trimmed === '') return [];
  return trimmed.split(' ').map((token) => {
    if (token.length < 2) throw new UnknownConfChangeError(`unknown token ${token}`);
    const type = letters.get(token.charAt(0));
    if (type === undefined) throw new UnknownConfChangeError(`unknown input: ${token}`);
    const digits = token.slice(1);
    if (!/^\d+$/.test(digits)) {
      throw new UnknownConfChangeError(`strconv.ParseUint: parsing ${JSON.stringify(digits)}: invalid syntax`);
    }
    return { type, nodeId: Number(digits) };
  });
}

/** Formats changes; the inverse of `parseConfChanges`. */
export function describeConfChanges(changes: readonly ConfChangeSingle[]): string {
  const letterOf = new Map([...letters].map(([letter, type]) => [type, letter]));
  return changes.map(({ type, nodeId }) => `${letterOf.get(type) ?? 'unknown'}${nodeId}`).join(' ');
}
