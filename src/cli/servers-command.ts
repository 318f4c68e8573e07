import type { Command } from 'commander';
import { ClusterClient, type ClientTls } from '../client/index.js';
import { addressesOption } from './options/address-option.js';
import { type ServerFlags, withCluster } from './options/cluster-call.js';
import { exitCodesHelp } from './options/exit-codes.js';
import { serverRows, serversText, withReplicaLag } from './servers.js';
import { printableJson } from './options/printable.js';
import { columnsOfOutput } from './options/terminal.js';
import { clientTls } from './options/tls-options.js';

const details = `
The lag of a member is in log entries, as the leader knows it; the lag of a replica is in records, as the replica
reports it.

Examples:
  golog servers
  golog servers --addr 10.0.0.5:8400,10.0.0.6:8400 --json
${exitCodesHelp}`;

const answerMs = 2_000;

export function addServersCommand(program: Command): void {
  program
    .command('servers')
    .summary('list the nodes of the cluster with their Raft and gossip state')
    .description('Lists the members, the replicas and the joining nodes, each with its Raft and gossip state.')
    .addOption(addressesOption())
    .option('--json', 'print JSON')
    .addHelpText('after', details)
    .action(async ({ json, ...servers }: ServerFlags & { json?: true }) => {
      process.exitCode = await withCluster('servers', servers, async (cluster, signal) => {
        const status = await cluster.status({ signal });
        const tls = clientTls(servers);
        const rows = await withReplicaLag(serverRows(status), status.highWatermark, (rpcAddr) =>
          watermarkAt(rpcAddr, tls, signal),
        );
        process.stdout.write(
          json === true
            ? `${printableJson(JSON.stringify({ servers: rows }))}\n`
            : serversText(rows, columnsOfOutput()),
        );
      });
    });
}

/** Asks a node for its own high watermark; undefined when it does not answer in time. */
async function watermarkAt(
  rpcAddr: string,
  tls: ClientTls | undefined,
  signal: AbortSignal,
): Promise<number | undefined> {
  const node = new ClusterClient([rpcAddr], tls);
  try {
    const withTimeout = AbortSignal.any([signal, AbortSignal.timeout(answerMs)]);
    return (await node.status({ local: true, signal: withTimeout })).highWatermark;
  } catch {
    signal.throwIfAborted();
    return undefined;
  } finally {
    node.close();
  }
}
