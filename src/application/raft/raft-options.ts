import type { HardStateFile } from '../../domain/log/hard-state-file.js';
import type { Log } from '../../domain/log/log.js';
import type { BatchChecksum } from '../../domain/log/record-batch.js';
import type { Retention } from '../../domain/log/retention.js';
import type { EntryId } from '../../domain/raft/entry-id.js';
import type { RaftConfig } from '../../domain/raft/config.js';
import type { Storage } from '../../domain/raft/storage.js';
import type { ConfigurationBase } from '../configuration/configuration-base.js';
import type { ConfigurationFile } from '../configuration/configuration-file.js';
import type { Discovery } from '../join/discovery.js';
import type { DiskReserve } from '../storage/disk-reserve.js';
import type { PeerNotes } from '../vouching/peer-notes.js';
import type { Clock } from '../ports/clock.js';
import type { Logger } from '../ports/logger.js';
import type { PeerTransport } from '../ports/peer-transport.js';

const mebibyte = 1024 * 1024;

/** From one heartbeat to the next. */
export const heartbeatTicks = 3;

export interface RaftTiming {
  /** The unit of election timeouts and of the time between heartbeats. */
  readonly tickMs: number;
  /** A follower campaigns when it has not heard from a leader for this many ticks, up to twice as many. */
  readonly electionTicks: number;
}

export const defaultTiming: RaftTiming = { tickMs: 100, electionTicks: 10 };

export interface RaftNodeOptions {
  readonly log: Log;
  readonly hardState: HardStateFile;
  /** The configuration of a node that is in a cluster: `stored` is defined. */
  readonly configuration: ConfigurationFile;
  readonly configurationBase: Pick<ConfigurationBase, 'raise'>;
  /** This node's Raft id. */
  readonly id: number;
  readonly self: { readonly name: string; readonly uuid: string; readonly rpcAddr: string };
  readonly checksum: BatchChecksum;
  /** What this node has seen of its peers. */
  readonly notes: PeerNotes;
  /** The incarnation of this start. */
  readonly incarnation: number;
  /**
   * Until the log of this node reaches this entry, it elects nobody whose log does not, and not itself: see
   * `ElectionFloor`.
   */
  readonly voteFloor?: EntryId;
  readonly clock: Clock;
  /** A random integer of [0, n), which nobody can guess. */
  readonly random: (n: number) => number;
  readonly transport: PeerTransport;
  /** Adds the addresses at which gossip sees members to the configured ones. */
  readonly whereabouts?: Pick<Discovery, 'locate' | 'onChange'>;
  readonly diskReserve: DiskReserve;
  readonly retention: Retention;
  readonly timing: RaftTiming;
  /** The feature level at which producers are accepted (default: the one of this release). */
  readonly exactlyOnceLevel?: number;
  readonly logger: Logger;
  /** Called once when the log can no longer be written; the process must end. */
  readonly onFatal: (error: unknown) => void;
}

/** Returns the configuration that golog runs the core with. */
export function coreConfig({ id, timing, random, logger }: RaftNodeOptions, storage: Storage): RaftConfig {
  return {
    id,
    electionTick: timing.electionTicks,
    // A message that wakes an idle node costs it half a millisecond, so only three are sent per election timeout.
    heartbeatTick: heartbeatTicks,
    storage,
    random,
    asyncStorageWrites: true,
    // All that one turn of the loop gathers at full load: the rest would wait for an acknowledgement.
    maxSizePerMsg: 3 * mebibyte,
    maxCommittedSizePerReady: 16 * mebibyte,
    maxInflightMsgs: 256,
    // Together with the one message that may exceed it, less than a link holds.
    maxInflightBytes: 12 * mebibyte,
    checkQuorum: true,
    preVote: true,
    stepDownOnRemoval: true,
    // Followers forward appends themselves, and receive the answer.
    disableProposalForwarding: true,
    logger: {
      debug: (text) => logger.debug('raft_trace', { text }, 'raft trace'),
      info: (text) => logger.debug('raft_trace', { text }, 'raft trace'),
      warning: (text) => logger.warn('raft_trace', { text }, 'raft trace'),
      error: (text) => logger.error('raft_trace', { text }, 'raft trace'),
    },
  };
}
