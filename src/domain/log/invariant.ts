/** A caller broke a rule of this layer: a bug, never a response to input from outside. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

/** @param rule the rule that must hold; pass a function on hot paths, so that the text is built only on failure */
export function invariant(condition: boolean, rule: string | (() => string)): asserts condition {
  if (!condition) throw new InvariantError(typeof rule === 'string' ? rule : rule());
}
