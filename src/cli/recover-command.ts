import type { Command } from 'commander';
import { counted, offsetsText } from './options/counted.js';
import { recover, type RecoveryPlan } from '../infrastructure/recover.js';
import { confirmOrThrow } from './options/confirm.js';
import { ExitCode, exitCodeOf, exitCodesHelp, messageOf } from './options/exit-codes.js';
import { interruptible } from './options/interruption.js';

interface Flags {
  readonly yes?: true;
  readonly json?: true;
}

const details = `
Use it when a majority of the voters is lost for good, or when two histories of the log exist. Stop all nodes that are
left, find the one whose log is the longest (golog verify shows its end offset), and run the command on its data
directory. It keeps everything in that log and makes the node the only member, in the next generation of the log.
Records that only other nodes had are lost.

Then start the node. Every other node that comes back moves its log aside (logs/before-generation-N in its data
directory), and joins again with an empty one. The file raft/recovered-N.json says what was done.

On a terminal the command asks first; without one it needs --yes.

Examples:
  golog recover ./golog-data
  golog recover /var/lib/golog --yes --json
${exitCodesHelp}`;

export function addRecoverCommand(program: Command): void {
  program
    .command('recover')
    .summary('go on with one member after a majority was lost')
    .description('Makes the node of a data directory the only member of its cluster. The node must not run.')
    .argument('<DIR>', 'data directory of the member to go on with')
    .option('--yes', 'do not ask')
    .option('--json', 'print JSON')
    .addHelpText('after', details)
    .action(async (directory: string, { yes, json }: Flags) => {
      process.exitCode = await interruptible(async (signal) => {
        try {
          let planned: RecoveryPlan | undefined;
          const file = await recover(directory, async (plan) => {
            planned = plan;
            process.stderr.write(describe(plan));
            if (yes !== true) await confirmOrThrow('Go on with this member alone?', signal);
          });
          const text = `recovered; start the node. What was done is in ${file}\n`;
          process.stdout.write(json === true ? `${JSON.stringify({ ...planned, file })}\n` : text);
          return ExitCode.ok;
        } catch (error) {
          if (signal.aborted) return ExitCode.interrupted;
          process.stderr.write(`golog recover: ${messageOf(error)}\n`);
          return exitCodeOf(error);
        }
      });
    });
}

function describe(plan: RecoveryPlan): string {
  const { name, generation, commitIndex, lastIndex, startOffset, endOffset, removed, memberId, lacksBelow } = plan;
  const unknown = lastIndex - commitIndex;
  const lines = [
    `${name} becomes the only member, as member ${memberId}, in generation ${generation} of the log.`,
    `kept: ${counted(endOffset - startOffset, 'record')}, offsets ${offsetsText(startOffset, endOffset)}; ${unknown} of the ${lastIndex} entries are not known to be committed, and count as committed from now on.`,
    `lost: records that only other nodes have, that is, any acknowledged at offset ${endOffset} or later.`,
    ...(lacksBelow === undefined ? [] : [`missing: entries below ${lacksBelow} that a repair has not fetched yet.`]),
    `removed: ${removed.length === 0 ? 'no other member' : removed.map((member) => `${member.name} (${member.rpcAddr})`).join(', ')}; they set their logs aside and join again when they come back.`,
  ];
  return `${lines.join('\n')}\n`;
}
