import type { Action, Authorizer, Decision } from '../../application/ports/authorizer.js';
import { CasbinPolicy, type PolicyTexts } from './casbin-policy.js';

/** Of 1,000 rules a decision takes Casbin 2 ms: each is kept. Subjects come from certificates, so there are not many. */
const decisionsMax = 10_000;

/** Decides by Casbin's model and policy, and denies everything until it has been given some. */
export class CasbinAuthorizer implements Authorizer {
  #policy: CasbinPolicy | undefined;
  readonly #decisions = new Map<string, Decision>();
  readonly #listeners = new Set<() => void>();
  #latest = 0;

  /**
   * Decides by these from here on. Rejects with `InvalidPolicyError`, and goes on with what it had, where they are not
   * whole. Of calls that overlap the last one wins.
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
    if (this.#policy === undefined) return { allowed: false, because: 'there is no policy that could be read' };
    try {
      return this.#policy.decide(subject, object, action);
    } catch (error) {
      return { allowed: false, because: `the policy fails: ${error instanceof Error ? error.message : 'unknown'}` };
    }
  }
}
