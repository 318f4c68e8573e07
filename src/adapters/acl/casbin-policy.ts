import { type Enforcer, Helper, type Model, newEnforcer, newModelFromString } from 'casbin';
import type { Action, Decision } from '../../application/ports/authorizer.js';

/** The texts of Casbin's two files. */
export interface PolicyTexts {
  readonly model: string;
  readonly policy: string;
}

/** The model or the policy is not valid for Casbin; the message says where. */
export class InvalidPolicyError extends Error {
  override readonly name = 'InvalidPolicyError';
}

/** The limit on the model's length: Casbin's parse time grows with its square. */
const modelCharsMax = 16 * 1024;

interface PolicyLine {
  readonly number: number;
  readonly text: string;
  /** The rule as Casbin parsed it: `p` or `g`, and its fields. */
  readonly key: string;
}

const keyOf = (fields: readonly string[]): string => JSON.stringify(fields);

/** A parsed and validated model and policy. */
export class CasbinPolicy {
  private constructor(
    private readonly enforcer: Enforcer,
    private readonly lines: readonly PolicyLine[],
  ) {}

  /** Rejects with `InvalidPolicyError`. Checks each line, because Casbin itself ignores lines that it does not know. */
  static async parse({ model: modelText, policy }: PolicyTexts): Promise<CasbinPolicy> {
    if (modelText.length > modelCharsMax)
      throw new InvalidPolicyError(`the model has ${modelText.length} characters: expected at most ${modelCharsMax}`);
    // regexMatch would run a backtracking engine on policy and certificate text, and `eval` would run policy text.
    if (/\b(regexMatch|eval)\s*\(/.test(modelText))
      throw new InvalidPolicyError('the model uses regexMatch or eval, which golog does not run over policy text');
    try {
      const model = newModelFromString(modelText);
      const lines = readLines(model, policy);
      const enforcer = await newEnforcer(model);
      await enforcer.buildRoleLinks();
      const parsed = new CasbinPolicy(enforcer, lines);
      parsed.#enforce('nobody', '*', 'consume');
      return parsed;
    } catch (cause) {
      if (cause instanceof InvalidPolicyError) throw cause;
      throw new InvalidPolicyError(
        cause instanceof Error ? cause.message : 'Casbin cannot read the model or the policy',
        { cause },
      );
    }
  }

  decide(subject: string, object: string, action: Action): Decision {
    // Without rules Casbin compares with empty fields, and an empty subject would match them.
    if (subject === '' || this.lines.length === 0) return { allowed: false, because: 'no policy line allows it' };
    const { allowed, rule } = this.#enforce(subject, object, action);
    const line = this.lines.find(({ key }) => key === keyOf(['p', ...rule]));
    const because = line === undefined ? undefined : `policy line ${line.number}: ${line.text}`;
    return { allowed, because: because ?? (allowed ? 'the model allows it' : 'no policy line allows it') };
  }

  #enforce(subject: string, object: string, action: Action): { allowed: boolean; rule: readonly string[] } {
    const [allowed, rule] = this.enforcer.enforceExSync(subject, object, action);
    return { allowed, rule };
  }
}

/** Loads each line of the policy into the model and returns the lines that are rules. */
function readLines(model: Model, policy: string): PolicyLine[] {
  const lines: PolicyLine[] = [];
  for (const [i, raw] of policy.split('\n').entries()) {
    const text = raw.trim();
    if (text === '' || text.startsWith('#')) continue;
    const number = i + 1;
    const type = text.split(',', 1)[0].trim();
    const assertion = model.model.get(type.slice(0, 1))?.get(type);
    if (assertion === undefined || !/^[pg]/.test(type))
      throw new InvalidPolicyError(
        `policy line ${number} begins with ${JSON.stringify(type.slice(0, 64))}: expected p`,
      );
    Helper.loadPolicyLine(text, model);
    const rule = assertion.policy.at(-1) ?? [];
    const fields = type.startsWith('p') ? assertion.tokens.length : assertion.value.split('_').length - 1;
    if (rule.length !== fields)
      throw new InvalidPolicyError(`policy line ${number} has ${rule.length} fields after ${type}: expected ${fields}`);
    lines.push({ number, text, key: keyOf([type, ...rule]) });
  }
  return lines;
}
