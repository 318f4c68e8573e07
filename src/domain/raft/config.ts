import type { RaftLogger } from './raft-logger.js';
import { silentLogger } from './raft-logger.js';
import type { Storage } from './storage.js';

/**
 * How reads are linearized (thesis §6.4). `safe` asks a quorum for every read; `lease-based` trusts the clocks and
 * needs `checkQuorum`.
 */
export type ReadOnlyOption = 'safe' | 'lease-based';

/** No limit, wherever a size is one. */
export const noLimit = Number.MAX_SAFE_INTEGER;

export interface RaftConfig {
  /** Positive, never reused by another node. */
  readonly id: number;
  /** Ticks without a leader until a follower campaigns; the real wait is drawn from [electionTick, 2·electionTick). */
  readonly electionTick: number;
  /** Ticks between heartbeats of a leader; below `electionTick`. */
  readonly heartbeatTick: number;
  readonly storage: Storage;
  /** A number of [0, n), the only source of chance. */
  readonly random: (n: number) => number;
  /** The last index that was applied before this start. */
  readonly applied?: number | undefined;
  /** Storage work leaves as messages to the local threads instead of through `Ready` and `advance`. */
  readonly asyncStorageWrites?: boolean | undefined;
  /** Bytes of entries in one MsgApp; 0: one entry each. */
  readonly maxSizePerMsg?: number | undefined;
  /** Bytes of committed entries that are out to be applied; 0 or nothing: as `maxSizePerMsg`. */
  readonly maxCommittedSizePerReady?: number | undefined;
  /** Bytes of payload of a leader's uncommitted entries, above which proposals are dropped; 0: no limit. */
  readonly maxUncommittedEntriesSize?: number | undefined;
  /** MsgApp in flight to a follower. */
  readonly maxInflightMsgs?: number | undefined;
  /** Bytes in flight to a follower; 0: no limit. At least `maxSizePerMsg`. */
  readonly maxInflightBytes?: number | undefined;
  /** A leader that does not hear from a quorum for an election timeout steps down (thesis §6.2). */
  readonly checkQuorum?: boolean | undefined;
  /** A candidate first asks whether it could win (thesis §9.6). */
  readonly preVote?: boolean | undefined;
  readonly readOnlyOption?: ReadOnlyOption | undefined;
  readonly logger?: RaftLogger | undefined;
  /** Followers drop proposals instead of sending them to the leader. */
  readonly disableProposalForwarding?: boolean | undefined;
  /** Configuration changes enter the log unchecked. Not for the product. */
  readonly disableConfChangeValidation?: boolean | undefined;
  /** A leader that is removed or demoted steps down when it applies that change (thesis §4.2.2). */
  readonly stepDownOnRemoval?: boolean | undefined;
}

export class RaftConfigError extends Error {
  override readonly name = 'RaftConfigError';
}

type Definite<T> = { readonly [K in keyof T]-?: Exclude<T[K], undefined> };

/** A checked configuration: defaults filled in, every limit a number to compare with. */
export type CheckedConfig = Definite<RaftConfig>;

/** Throws RaftConfigError. */
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
