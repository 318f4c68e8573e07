import { type Command, InvalidArgumentError, Option } from 'commander';
import { actions, isAction, testPolicy } from '../infrastructure/acl-test.js';
import { ExitCode, exitCodesHelp, messageOf } from './options/exit-codes.js';

interface Flags {
  readonly aclModelFile: string;
  readonly aclPolicyFile: string;
  readonly json?: true;
}

const testDetails = `
SUBJECT is the SAN URI of a client certificate or, without one, its common name. OBJECT is the log, which policies call
"*". A subject that may produce or consume may also observe.

Examples:
  golog acl test root produce '*' --acl-model-file test/model.conf --acl-policy-file test/policy.csv
  golog acl test nobody consume --acl-model-file test/model.conf --acl-policy-file test/policy.csv --json
${exitCodesHelp}
Here 1 means that the policy denies the action, and 2 also that the policy cannot be read.`;

export function addAclCommand(program: Command): void {
  const acl = program
    .command('acl')
    .summary('test an access control policy')
    .description('Tests an access control policy.')
    .addHelpText(
      'after',
      `\nExample:\n  golog acl test root produce --acl-model-file test/model.conf --acl-policy-file test/policy.csv\n${exitCodesHelp}`,
    );
  acl
    .command('test')
    .summary('test whether a policy allows an action')
    .description('Tests whether a policy allows a subject to perform an action, and prints the line that decides.')
    .argument('<SUBJECT>', 'name of the client')
    .argument('<ACTION>', `one of ${actions.join(', ')}`)
    .argument('[OBJECT]', 'object of the action', '*')
    .addOption(new Option('--acl-model-file <FILE>', 'Casbin model').env('GOLOG_ACL_MODEL_FILE').makeOptionMandatory())
    .addOption(
      new Option('--acl-policy-file <FILE>', 'Casbin policy').env('GOLOG_ACL_POLICY_FILE').makeOptionMandatory(),
    )
    .option('--json', 'print JSON')
    .addHelpText('after', testDetails)
    .action(async (subject: string, action: string, object: string, flags: Flags) => {
      process.exitCode = await test(subject, action, object, flags);
    });
}

async function test(subject: string, action: string, object: string, flags: Flags): Promise<ExitCode> {
  try {
    if (!isAction(action))
      throw new InvalidArgumentError(`invalid action "${action}": expected one of ${actions.join(', ')}`);
    const { aclModelFile: model, aclPolicyFile: policy, json } = flags;
    const { allowed, because } = await testPolicy({ model, policy }, { subject, action, object });
    const text = `${allowed ? 'allowed' : 'denied'}: ${because}`;
    process.stdout.write(
      json === true ? `${JSON.stringify({ subject, action, object, allowed, because })}\n` : `${text}\n`,
    );
    return allowed ? ExitCode.ok : ExitCode.failure;
  } catch (error) {
    process.stderr.write(`golog acl test: ${messageOf(error)}\n`);
    return ExitCode.usage;
  }
}
