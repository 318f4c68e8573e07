import type { Action, Authorizer, Decision } from '../../application/ports/authorizer.js';
import { CasbinPolicy, type PolicyTexts } from './casbin-policy.js';

/**
 * The limit on cached decisions: with 1,000 rules Casbin needs 2 ms for each. Subjects come from certificates, so they
 * are few.
 */
const decisionsMax = 10_000;

/** Decides by Casbin's model and policy, and denies everything until it has been given both. */
export class CasbinAuthorizer implements Authorizer {
  #policy: CasbinPolicy | undefined;
  readonly #decisions = new Map<string, Decision>();
  readonly #listeners = new Set<() => void>();
  #latest = 0;

  /**
   * Decides by these texts from now on. If they are invalid, rejects with `InvalidPolicyError` and keeps the previous
   * ones. The last of several overlapping calls wins.
   */
  async replace(texts: PolicyTexts): Promise<void> {
    const turn = ++this.#latest;
    const policy = await CasbinPolicy.parse(texts);
    if (turn !== this.#latest) return;
    this.#policy = policy;
    this.#decisions.clear();
    for (const listener of this.#listeners) listener();
  }

  decide(subject: string, object: string, action: Action): Decision {
    const key = `${action}\0${object}\0${subject}`;
    const known = this.#decisions.get(key);
    if (known !== undefined) return known;
    const decision = this.#ask(subject, object, action);
    if (this.#decisions.size >= decisionsMax) this.#decisions.clear();
    this.#decisions.set(key, decision);
    return decision;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #ask(subject: string, object: string, action: Action): Decision {
    if (this.#policy === undefined) return { allowed: false, because: 'no valid policy has been loaded' };
    try {
      return this.#policy.decide(subject, object, action);
    } catch (error) {
      return {
        allowed: false,
        because: `evaluating the policy failed: ${error instanceof Error ? error.message : 'unknown'}`,
      };
    }
  }
}
