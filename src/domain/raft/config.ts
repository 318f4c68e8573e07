import type { RaftLogger } from './raft-logger.js';
import { silentLogger } from './raft-logger.js';
import type { Storage } from './storage.js';

/**
 * The mode of linearizable reads (thesis §6.4). `safe` confirms every read with a quorum; `lease-based` relies on
 * clocks and requires `checkQuorum`.
 */
export type ReadOnlyOption = 'safe' | 'lease-based';

/** The value of a size limit that means no limit. */
export const noLimit = Number.MAX_SAFE_INTEGER;

export interface RaftConfig {
  /** A positive ID, never reused by another node. */
  readonly id: number;
  /**
   * Ticks without a leader until a follower campaigns; the actual timeout is drawn from [electionTick, 2·electionTick).
   */
  readonly electionTick: number;
  /** Ticks between heartbeats of a leader; below `electionTick`. */
  readonly heartbeatTick: number;
  readonly storage: Storage;
  /** Returns a random integer in [0, n); the only source of randomness. */
  readonly random: (n: number) => number;
  /** The last index that was applied before this node started. */
  readonly applied?: number | undefined;
  /** Sends storage work as messages to the local threads instead of through `Ready` and `advance`. */
  readonly asyncStorageWrites?: boolean | undefined;
  /** Maximum size of the entries in one MsgApp; 0 means one entry each. */
  readonly maxSizePerMsg?: number | undefined;
  /** Maximum size of the committed entries that are being applied; defaults to `maxSizePerMsg`, also when 0. */
  readonly maxCommittedSizePerReady?: number | undefined;
  /** Maximum payload size of a leader's uncommitted entries, above which it drops proposals; 0 means no limit. */
  readonly maxUncommittedEntriesSize?: number | undefined;
  /** Maximum number of MsgApp messages in flight to a follower. */
  readonly maxInflightMsgs?: number | undefined;
  /** Maximum payload bytes in flight to a follower; 0 means no limit. At least `maxSizePerMsg`. */
  readonly maxInflightBytes?: number | undefined;
  /** A leader steps down when a quorum does not answer for an election timeout (thesis §6.2). */
  readonly checkQuorum?: boolean | undefined;
  /** A candidate first checks with a pre-vote whether it could win (thesis §9.6). */
  readonly preVote?: boolean | undefined;
  readonly readOnlyOption?: ReadOnlyOption | undefined;
  readonly logger?: RaftLogger | undefined;
  /** Followers drop proposals instead of sending them to the leader. */
  readonly disableProposalForwarding?: boolean | undefined;
  /** Appends configuration changes without checks. For tests only. */
  readonly disableConfChangeValidation?: boolean | undefined;
  /** A removed or demoted leader steps down when it applies that change (thesis §4.2.2). */
  readonly stepDownOnRemoval?: boolean | undefined;
}

export class RaftConfigError extends Error {
  override readonly name = 'RaftConfigError';
}

type Definite<T> = { readonly [K in keyof T]-?: Exclude<T[K], undefined> };

/** A validated configuration with all defaults filled in; every limit is a number to compare with. */
export type CheckedConfig = Definite<RaftConfig>;

/** Validates a configuration and fills in the defaults. Throws RaftConfigError. */
export function checkConfig(config: RaftConfig): CheckedConfig {
  const refuseIf = (broken: boolean, rule: string): void => {
    if (broken) throw new RaftConfigError(rule);
  };
  const maxSizePerMsg = config.maxSizePerMsg ?? noLimit;
  const maxInflightMsgs = config.maxInflightMsgs ?? 256;
  const maxInflightBytes = config.maxInflightBytes || noLimit;
  const checkQuorum = config.checkQuorum ?? false;
  const readOnlyOption = config.readOnlyOption ?? 'safe';
  refuseIf(!Number.isSafeInteger(config.id) || config.id <= 0, 'cannot use none as id');
  refuseIf(config.id >= Number.MAX_SAFE_INTEGER - 1, 'cannot use local target as id');
  refuseIf(config.heartbeatTick <= 0, 'heartbeat tick must be greater than 0');
  refuseIf(config.electionTick <= config.heartbeatTick, 'election tick must be greater than heartbeat tick');
  refuseIf(maxInflightMsgs <= 0, 'max inflight messages must be greater than 0');
  refuseIf(maxInflightBytes < maxSizePerMsg, 'max inflight bytes must be >= max message size');
  refuseIf(
    readOnlyOption === 'lease-based' && !checkQuorum,
    'CheckQuorum must be enabled when ReadOnlyOption is ReadOnlyLeaseBased',
  );
  return {
    id: config.id,
    electionTick: config.electionTick,
    heartbeatTick: config.heartbeatTick,
    storage: config.storage,
    random: config.random,
    applied: config.applied ?? 0,
    asyncStorageWrites: config.asyncStorageWrites ?? false,
    maxSizePerMsg,
    maxCommittedSizePerReady: config.maxCommittedSizePerReady || maxSizePerMsg,
    maxUncommittedEntriesSize: config.maxUncommittedEntriesSize || noLimit,
    maxInflightMsgs,
    maxInflightBytes,
    checkQuorum,
    preVote: config.preVote ?? false,
    readOnlyOption,
    logger: config.logger ?? silentLogger,
    disableProposalForwarding: config.disableProposalForwarding ?? false,
    disableConfChangeValidation: config.disableConfChangeValidation ?? false,
    stepDownOnRemoval: config.stepDownOnRemoval ?? false,
  };
}
