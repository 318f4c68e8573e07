import { type Command, Option } from 'commander';
import { isAnswered } from '../client/index.js';
import { addressesOption } from './options/address-option.js';
import { type ServerFlags, withCluster } from './options/cluster-call.js';
import { exitCodesHelp } from './options/exit-codes.js';
import { parseAddress } from './options/option-values.js';

interface Flags extends ServerFlags {
  readonly json?: true;
}

const overview = `
Examples:
  golog member add n4 --rpc-addr 10.0.0.4:8400
  golog member promote n4
  golog member remove n2
${exitCodesHelp}`;

const addDetails = `
The node becomes a learner: it receives the log, and becomes a voter once it has caught up. Start it with
--start-join-addrs and the same --node-name.

Example:
  golog member add n4 --rpc-addr 10.0.0.4:8400
${exitCodesHelp}`;

const promoteDetails = `
A learner that has caught up becomes a voter without this command. A learner that lags behind is refused.

Example:
  golog member promote n4
${exitCodesHelp}`;

const removeDetails = `
A leader transfers its leadership first. The removed node keeps its data directory; started on it again, it joins as a
new member.

Example:
  golog member remove n2
${exitCodesHelp}`;

export function addMemberCommand(program: Command): void {
  const member = program
    .command('member')
    .summary('add, promote or remove a member of the cluster')
    .description(
      'Changes the members of the cluster. Any member accepts the commands; each waits until its change is committed.',
    )
    .addHelpText('after', overview);

  member
    .command('add')
    .summary('add a node as a learner')
    .description('Adds a node to the cluster as a learner.')
    .argument('<NAME>', '--node-name of the node')
    .addOption(
      new Option('--rpc-addr <HOST:PORT>', 'gRPC address of the node').argParser(parseAddress).makeOptionMandatory(),
    )
    .addOption(addressesOption())
    .option('--json', 'print JSON')
    .addHelpText('after', addDetails)
    .action(async (name: string, { rpcAddr, json, ...servers }: Flags & { readonly rpcAddr: string }) => {
      process.exitCode = await withCluster('member add', servers, async (cluster, signal) => {
        await cluster.addMember(name, rpcAddr, signal);
        print(json, { added: name, rpcAddr }, `added ${name} at ${rpcAddr} as a learner`);
        if (!(await isAnswered(rpcAddr)))
          process.stderr.write(
            `golog member add: nothing answers at ${rpcAddr} from here yet; start the node with --node-name ${name}, or remove the member if the address is wrong\n`,
          );
      });
    });

  member
    .command('promote')
    .summary('make a learner a voter')
    .description('Makes a learner a voter.')
    .argument('<NAME>', 'name of the learner')
    .addOption(addressesOption())
    .option('--json', 'print JSON')
    .addHelpText('after', promoteDetails)
    .action(async (name: string, { json, ...servers }: Flags) => {
      process.exitCode = await withCluster('member promote', servers, async (cluster, signal) => {
        await cluster.promoteMember(name, signal);
        print(json, { promoted: name }, `promoted ${name} to voter`);
      });
    });

  member
    .command('remove')
    .summary('remove a member')
    .description('Removes a member from the cluster.')
    .argument('<NAME>', 'name of the member')
    .addOption(addressesOption())
    .option('--json', 'print JSON')
    .addHelpText('after', removeDetails)
    .action(async (name: string, { json, ...servers }: Flags) => {
      process.exitCode = await withCluster('member remove', servers, async (cluster, signal) => {
        await cluster.removeMember(name, signal);
        print(json, { removed: name }, `removed ${name}`);
      });
    });
}

function print(json: true | undefined, fields: object, text: string): void {
  process.stdout.write(json === true ? `${JSON.stringify(fields)}\n` : `${text}\n`);
}
