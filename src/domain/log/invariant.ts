/** A caller broke a rule of this room: a bug, never an answer to what came from outside. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

/** @param rule what holds; a function where it is checked too often for a text to be made each time */
export function invariant(condition: boolean, rule: string | (() => string)): asserts condition {
  if (!condition) throw new InvariantError(typeof rule === 'string' ? rule : rule());
}
