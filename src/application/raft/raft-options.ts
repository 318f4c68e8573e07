import type { HardStateFile } from '../../domain/log/hard-state-file.js';
import type { Log } from '../../domain/log/log.js';
import type { BatchChecksum } from '../../domain/log/record-batch.js';
import type { Retention } from '../../domain/log/retention.js';
import type { RaftConfig } from '../../domain/raft/config.js';
import type { Storage } from '../../domain/raft/storage.js';
import type { ConfigurationFile } from '../configuration/configuration-file.js';
import type { Discovery } from '../join/discovery.js';
import type { DiskReserve } from '../storage/disk-reserve.js';
import type { Clock } from '../ports/clock.js';
import type { Logger } from '../ports/logger.js';
import type { PeerTransport } from '../ports/peer-transport.js';

const mebibyte = 1024 * 1024;

export interface RaftTiming {
  /** The clock of elections; heartbeats go out each third tick. */
  readonly tickMs: number;
  /** A follower campaigns when it has not heard from a leader for this many ticks, up to twice as many. */
  readonly electionTicks: number;
}

export const defaultTiming: RaftTiming = { tickMs: 100, electionTicks: 10 };

export interface RaftNodeOptions {
  readonly log: Log;
  readonly hardState: HardStateFile;
  /** Of a node that is in a cluster: `kept` is there. */
  readonly configuration: ConfigurationFile;
  /** This node's Raft id. */
  readonly id: number;
  readonly self: { readonly name: string; readonly uuid: string; readonly rpcAddr: string };
  readonly checksum: BatchChecksum;
  readonly clock: Clock;
  /** A random integer of [0, n). */
  readonly random: (n: number) => number;
  readonly transport: PeerTransport;
  /** Tells where members are seen besides where the configuration has them. */
  readonly whereabouts?: Pick<Discovery, 'locate' | 'onChange'>;
  readonly diskReserve: DiskReserve;
  readonly retention: Retention;
  readonly timing: RaftTiming;
  readonly logger: Logger;
  /** Called once when the log can no longer be written; the process must end. */
  readonly onFatal: (error: unknown) => void;
}

/** How golog runs the core (raft.md, "The driver"). */
export function coreConfig({ id, timing, random, logger }: RaftNodeOptions, storage: Storage): RaftConfig {
  return {
    id,
    electionTick: timing.electionTicks,
    // A message that wakes an idle node costs it half a millisecond: three in an election timeout do.
    heartbeatTick: 3,
    storage,
    random,
    asyncStorageWrites: true,
    // All that one turn of the loop gathers at full load: the rest would wait for an answer.
    maxSizePerMsg: 3 * mebibyte,
    maxCommittedSizePerReady: 16 * mebibyte,
    maxInflightMsgs: 256,
    // With the one message more that this lets through, below what a link holds.
    maxInflightBytes: 12 * mebibyte,
    checkQuorum: true,
    preVote: true,
    stepDownOnRemoval: true,
    // A follower forwards by itself, and the answer comes back to it.
    disableProposalForwarding: true,
    logger: {
      debug: (text) => logger.debug({}, `raft: ${text}`),
      info: (text) => logger.debug({}, `raft: ${text}`),
      warning: (text) => logger.warn({}, `raft: ${text}`),
      error: (text) => logger.error({}, `raft: ${text}`),
    },
  };
}
