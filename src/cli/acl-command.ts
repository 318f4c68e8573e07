import { type Command, InvalidArgumentError, Option } from 'commander';
import { actions, isAction, testPolicy } from '../infrastructure/acl-test.js';
import { ExitCode, exitCodesHelp, messageOf } from './options/exit-codes.js';

interface Flags {
  readonly aclModelFile: string;
  readonly aclPolicyFile: string;
  readonly json?: true;
}

const testDetails = `
SUBJECT is the common name, or the SAN URI, of a client's certificate; ACTION is ${actions.join(', ')};
OBJECT is the log, which policies call "*". Who may produce or consume may observe as well.

Examples:
  golog acl test root produce '*' --acl-model-file test/model.conf --acl-policy-file test/policy.csv
  golog acl test nobody consume --acl-model-file test/model.conf --acl-policy-file test/policy.csv --json
${exitCodesHelp}
Here 1 means that the policy denies it, and 2 also that it cannot be read.`;

export function addAclCommand(program: Command): void {
  const acl = program
    .command('acl')
    .summary('ask what a policy says')
    .description('Asks what a policy says.')
    .addHelpText(
      'after',
      `\nExample:\n  golog acl test root produce --acl-model-file test/model.conf --acl-policy-file test/policy.csv\n${exitCodesHelp}`,
    );
  acl
    .command('test')
    .summary('may this subject do that, and which line says so')
    .description('Tells whether the policy lets a subject act, and which line of it says so.')
    .argument('<SUBJECT>', 'who')
    .argument('<ACTION>', actions.join(', '))
    .argument('[OBJECT]', 'on what', '*')
    .addOption(
      new Option('--acl-model-file <FILE>', "Casbin's model").env('GOLOG_ACL_MODEL_FILE').makeOptionMandatory(),
    )
    .addOption(
      new Option('--acl-policy-file <FILE>', "Casbin's policy").env('GOLOG_ACL_POLICY_FILE').makeOptionMandatory(),
    )
    .option('--json', 'print JSON')
    .addHelpText('after', testDetails)
    .action(async (subject: string, action: string, object: string, flags: Flags) => {
      process.exitCode = await test(subject, action, object, flags);
    });
}

async function test(subject: string, action: string, object: string, flags: Flags): Promise<ExitCode> {
  try {
    if (!isAction(action)) throw new InvalidArgumentError(`${action} is no action: expected ${actions.join(', ')}`);
    const { aclModelFile: model, aclPolicyFile: policy, json } = flags;
    const { allowed, because } = await testPolicy({ model, policy }, { subject, action, object });
    const words = `${allowed ? 'allowed' : 'denied'}: ${because}`;
    process.stdout.write(
      json === true ? `${JSON.stringify({ subject, action, object, allowed, because })}\n` : `${words}\n`,
    );
    return allowed ? ExitCode.ok : ExitCode.failure;
  } catch (error) {
    process.stderr.write(`golog acl test: ${messageOf(error)}\n`);
    return ExitCode.usage;
  }
}
