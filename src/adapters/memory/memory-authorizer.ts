import type { Action, Authorizer, Decision } from '../../application/ports/authorizer.js';

export interface Rule {
  readonly subject: string;
  readonly object: string;
  readonly action: Action;
}

/** In-memory rules; without any rules every action is allowed. */
export class MemoryAuthorizer implements Authorizer {
  readonly #listeners = new Set<() => void>();

  constructor(private rules: readonly Rule[] | 'allow all' = 'allow all') {}

  decide(subject: string, object: string, action: Action): Decision {
    if (this.rules === 'allow all') return { allowed: true, because: 'no ACL is configured' };
    const rule = this.rules.find(
      (each) => each.subject === subject && each.object === object && each.action === action,
    );
    return rule === undefined
      ? { allowed: false, because: 'no rule allows it' }
      : { allowed: true, because: `${rule.subject} may ${rule.action} ${rule.object}` };
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  setRules(rules: readonly Rule[] | 'allow all'): void {
    this.rules = rules;
    for (const listener of this.#listeners) listener();
  }
}
