import { crc32c } from '../adapters/checksum/crc32c.js';
import { ConfigurationFile } from '../application/configuration/configuration-file.js';
import { swappedMember } from '../application/join/swapped-member.js';
import type { DataDirectory } from '../application/ports/data-directory.js';
import type { Logger } from '../application/ports/logger.js';
import { type Config, ConfigError } from './config.js';

/**
 * The name by which a node goes: `--node-name`, unless its data directory and that of another member are in each other's
 * place. Without certificates each node is then who its directory says.
 *
 * @throws ConfigError with certificates, which stay with the machine
 */
export async function nodeNameOf(config: Config, directory: DataDirectory, logger: Logger): Promise<string> {
  const name = config['node-name'];
  const { current } = await ConfigurationFile.open(directory.raft, crc32c);
  const owner = swappedMember(current, { name, uuid: directory.nodeId });
  if (owner === undefined) return name;
  if (config['server-tls-ca-file'] !== undefined)
    throw new ConfigError(
      `--data-dir ${config['data-dir']} is the data directory of the member ${owner.name} (UUID ${owner.uuid}), and this ` +
        `is the machine of ${name}, another member: the two may have been swapped. It belongs on the machine of ` +
        `${owner.name}, which the cluster last knew at ${owner.rpcAddr}. Bring it there, and the directory of ${name} here; ` +
        `then start both nodes`,
    );
  logger.warn(
    { dataDir: config['data-dir'], nodeName: name, member: owner.name, uuid: owner.uuid, lastAt: owner.rpcAddr },
    'the data directory is that of another member than --node-name says: the node is the member of its directory',
  );
  return owner.name;
}
