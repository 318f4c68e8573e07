import { type Command, Option } from 'commander';
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
The node becomes a learner: it gets the log, and votes once it has caught up. Start it with --start-join-addrs and the
same --node-name.

Example:
  golog member add n4 --rpc-addr 10.0.0.4:8400
${exitCodesHelp}`;

const promoteDetails = `
A learner that has caught up is made a voter without this command. One that lags is refused.

Example:
  golog member promote n4
${exitCodesHelp}`;

const removeDetails = `
A leader hands over first. The node that is taken out keeps its data directory; started on it again, it joins as a new
member.

Example:
  golog member remove n2
${exitCodesHelp}`;

export function addMemberCommand(program: Command): void {
  const member = program
    .command('member')
    .summary('add, promote or remove a member of the cluster')
    .description('Changes who is in the cluster. Any member can be asked; each command waits for the commit.')
    .addHelpText('after', overview);

  member
    .command('add')
    .summary('let a node in, as a learner')
    .description('Lets a node into the cluster, as a learner.')
    .argument('<NAME>', 'its --node-name')
    .addOption(
      new Option('--rpc-addr <HOST:PORT>', 'where its gRPC is reached').argParser(parseAddress).makeOptionMandatory(),
    )
    .addOption(addressesOption())
    .option('--json', 'print JSON')
    .addHelpText('after', addDetails)
    .action(async (name: string, { rpcAddr, json, ...servers }: Flags & { readonly rpcAddr: string }) => {
      process.exitCode = await withCluster('member add', servers, async (cluster, signal) => {
        await cluster.addMember(name, rpcAddr, signal);
        print(json, { added: name, rpcAddr }, `${name} at ${rpcAddr} is added as a learner`);
      });
    });

  member
    .command('promote')
    .summary('make a learner a voter')
    .description('Makes a learner a voter.')
    .argument('<NAME>', 'the learner')
    .addOption(addressesOption())
    .option('--json', 'print JSON')
    .addHelpText('after', promoteDetails)
    .action(async (name: string, { json, ...servers }: Flags) => {
      process.exitCode = await withCluster('member promote', servers, async (cluster, signal) => {
        await cluster.promoteMember(name, signal);
        print(json, { promoted: name }, `${name} is a voter`);
      });
    });

  member
    .command('remove')
    .summary('take a member out')
    .description('Takes a member out of the cluster.')
    .argument('<NAME>', 'the member')
    .addOption(addressesOption())
    .option('--json', 'print JSON')
    .addHelpText('after', removeDetails)
    .action(async (name: string, { json, ...servers }: Flags) => {
      process.exitCode = await withCluster('member remove', servers, async (cluster, signal) => {
        await cluster.removeMember(name, signal);
        print(json, { removed: name }, `${name} is removed`);
      });
    });
}

function print(json: true | undefined, fields: object, words: string): void {
  process.stdout.write(json === true ? `${JSON.stringify(fields)}\n` : `${words}\n`);
}
