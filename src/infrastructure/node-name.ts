import { crc32c } from '../adapters/checksum/crc32c.js';
import { ConfigurationFile } from '../application/configuration/configuration-file.js';
import { swappedMember } from '../application/join/swapped-member.js';
import type { DataDirectory } from '../application/ports/data-directory.js';
import type { Logger } from '../application/ports/logger.js';
import { type Config, ConfigError } from './config.js';

/**
 * Returns the name of the node in its cluster: `--node-name`, or, if that is the name of another member than the one whose
 * data directory this is, the name of the latter: the two directories may have been swapped.
 *
 * @throws ConfigError with TLS in that case, since the certificate stays with the machine
 */
export async function nodeNameOf(config: Config, directory: DataDirectory, logger: Logger): Promise<string> {
  const name = config['node-name'];
  const { current } = await ConfigurationFile.open(directory.raft, crc32c);
  const owner = swappedMember(current, { name, uuid: directory.nodeId });
  if (owner === undefined) return name;
  if (config['server-tls-ca-file'] !== undefined)
    throw new ConfigError(
      `--data-dir ${config['data-dir']} is the data directory of the member ${owner.name} (UUID ${owner.uuid}), but this is ` +
        `the machine of ${name}, another member: the two directories may have been swapped. It belongs on the machine ` +
        `of ${owner.name}, which the cluster last knew at ${owner.rpcAddr}. Move it there, move the directory of ` +
        `${name} here, and start both nodes`,
    );
  logger.warn(
    'node_name_ignored',
    { dataDir: config['data-dir'], nodeName: name, member: owner.name, uuid: owner.uuid, rpcAddr: owner.rpcAddr },
    'the data directory is that of another member than --node-name names; running as the member of the directory',
  );
  return owner.name;
}
