import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { SerfGossip } from '../adapters/serf/index.js';
import { mayGossip } from '../application/join/gossip-tags.js';
import type { Clock } from '../application/ports/clock.js';
import type { DataDirectory } from '../application/ports/data-directory.js';
import type { Gossip } from '../application/ports/gossip.js';
import type { Logger } from '../application/ports/logger.js';
import { lanTiming, localTiming, wanTiming } from '../domain/gossip/timing.js';
import { advertisedGossipAddr, type Config, ConfigError, gossipsBeyondLoopback } from './config.js';
import { checkKeyFiles, gossipKeyOf } from './key-files.js';

const timings = { lan: lanTiming, wan: wanTiming, local: localTiming };

/**
 * Creates the gossip of a node. Its keyring and the members it has seen are stored in `serf/` of the data directory,
 * unless that is in memory.
 *
 * @throws ConfigError when unencrypted gossip would leave the loopback interface
 */
export function nodeGossip(
  config: Config,
  name: string,
  directory: DataDirectory,
  clock: Clock,
  logger: Logger,
): Gossip {
  const files = directory.path === undefined ? undefined : filesIn(directory.path);
  const encryptKey = gossipKeyOf(config);
  checkKeyFiles(config, files?.keyringPath, logger);
  const isEncrypted = encryptKey !== undefined || (files !== undefined && existsSync(files.keyringPath));
  if (gossipsBeyondLoopback(config) && !isEncrypted && !config.insecure)
    throw new ConfigError(
      `--bind-addr ${config['bind-addr']} is not a loopback address and gossip is not encrypted: give --encrypt-file FILE, or --insecure to allow this`,
    );
  const advertiseAddr = advertisedGossipAddr(config);
  return new SerfGossip({
    name,
    bindAddr: config['bind-addr'],
    ...(advertiseAddr !== undefined && { advertiseAddr }),
    ...(encryptKey !== undefined && { encryptKey }),
    ...files,
    tags: new Map(),
    timing: timings[config['gossip-profile']],
    accepts: mayGossip,
    clock,
    logger,
  });
}

function filesIn(path: string): { readonly keyringPath: string; readonly snapshotPath: string } {
  const folder = join(path, 'serf');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return { keyringPath: join(folder, 'keyring.json'), snapshotPath: join(folder, 'snapshot') };
}
