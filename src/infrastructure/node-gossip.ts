import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { SerfGossip } from '../adapters/serf/index.js';
import { mayMeet } from '../application/join/gossip-tags.js';
import type { Clock } from '../application/ports/clock.js';
import type { DataDirectory } from '../application/ports/data-directory.js';
import type { Gossip } from '../application/ports/gossip.js';
import type { Logger } from '../application/ports/logger.js';
import { lanTiming, localTiming, wanTiming } from '../domain/gossip/timing.js';
import { advertisedGossipAddr, type Config, ConfigError, gossipsBeyondLoopback } from './config.js';

const timings = { lan: lanTiming, wan: wanTiming, local: localTiming };

/**
 * The gossip of a node, which keeps its keys and whom it knew in `serf/` of the data directory, where that is on disk.
 *
 * @throws ConfigError where it would be in clear beyond loopback
 */
export function nodeGossip(
  config: Config,
  name: string,
  directory: DataDirectory,
  clock: Clock,
  logger: Logger,
): Gossip {
  const files = directory.path === undefined ? undefined : filesIn(directory.path);
  const isEncrypted = config.encrypt !== undefined || (files !== undefined && existsSync(files.keyringPath));
  if (gossipsBeyondLoopback(config) && !isEncrypted && !config.insecure)
    throw new ConfigError(
      `--bind-addr ${config['bind-addr']} is beyond loopback and the gossip is not encrypted: give --encrypt KEY, or --insecure if that is meant`,
    );
  const advertiseAddr = advertisedGossipAddr(config);
  return new SerfGossip({
    name,
    bindAddr: config['bind-addr'],
    ...(advertiseAddr !== undefined && { advertiseAddr }),
    ...(config.encrypt !== undefined && { encryptKey: config.encrypt }),
    ...files,
    tags: new Map(),
    timing: timings[config['gossip-profile']],
    accepts: mayMeet,
    clock,
    logger,
  });
}

function filesIn(path: string): { readonly keyringPath: string; readonly snapshotPath: string } {
  const folder = join(path, 'serf');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return { keyringPath: join(folder, 'keyring.json'), snapshotPath: join(folder, 'snapshot') };
}
