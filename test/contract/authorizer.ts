import { describe, expect, it } from '@jest/globals';
import { actions, type Action, type Authorizer } from '../../src/application/ports/authorizer.js';

interface Rule {
  readonly subject: string;
  readonly object: string;
  readonly action: Action;
}

/** An authorizer, and a way to replace its rules. */
export interface AuthorizerUnderTest {
  readonly authorizer: Authorizer;
  readonly setRules: (rules: readonly Rule[]) => Promise<void>;
}

const rootMayProduce: Rule = { subject: 'root', object: '*', action: 'produce' };

/** The contract of every `Authorizer`. */
export function authorizerContract(name: string, make: (rules: readonly Rule[]) => Promise<AuthorizerUnderTest>): void {
  describe(`${name} as an Authorizer`, () => {
    it('allows what a rule allows, and names the rule', async () => {
      const { authorizer } = await make([rootMayProduce]);
      const { allowed, because } = authorizer.decide('root', '*', 'produce');
      expect(allowed).toBe(true);
      expect(because).toMatch(/root.*produce/);
    });

    it('denies everything that no rule allows: another subject, object or action, and names that look like patterns', async () => {
      const { authorizer } = await make([rootMayProduce]);
      for (const action of actions) expect(authorizer.decide('nobody', '*', action).allowed).toBe(false);
      for (const action of ['consume', 'admin', 'observe'] as const)
        expect(authorizer.decide('root', '*', action).allowed).toBe(false);
      for (const object of ['', 'log', '.*']) expect(authorizer.decide('root', object, 'produce').allowed).toBe(false);
      for (const subject of ['', '*', 'Root', 'root ', '.*', '__proto__', 'constructor', 'root\n', "root' || true"])
        expect(authorizer.decide(subject, '*', 'produce').allowed).toBe(false);
    });

    it('denies everything if there are no rules, also for the empty subject', async () => {
      const { authorizer } = await make([]);
      for (const subject of ['root', ''])
        for (const action of actions)
          for (const object of ['*', '']) expect(authorizer.decide(subject, object, action).allowed).toBe(false);
    });

    it('applies a change, and notifies its listeners', async () => {
      const { authorizer, setRules } = await make([rootMayProduce]);
      let notified = 0;
      const stop = authorizer.onChange(() => {
        notified += authorizer.decide('root', '*', 'produce').allowed ? 100 : 1;
      });
      expect(authorizer.decide('root', '*', 'produce').allowed).toBe(true);
      await setRules([]);
      expect(notified).toBe(1);
      expect(authorizer.decide('root', '*', 'produce').allowed).toBe(false);
      stop();
      await setRules([rootMayProduce]);
      expect(notified).toBe(1);
      expect(authorizer.decide('root', '*', 'produce').allowed).toBe(true);
    });
  });
}
