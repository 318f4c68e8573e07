import type { Directory } from '../../domain/log/directory.js';

/** Where one node keeps everything; no other process has it open. */
export interface DataDirectory {
  /** Where it is on disk, for what keeps files of its own there; undefined in memory. */
  readonly path: string | undefined;
  /** UUID of this node's disk: a wiped disk is a new node. */
  readonly nodeId: string;
  /** Identity of the log, 16 bytes: the same on every node that keeps it, sealed into each batch. */
  readonly logId: Uint8Array;
  /** Makes this the log's identity, durably: for a node that joins a cluster. There must be no data yet. */
  adoptLogId(logId: Uint8Array): Promise<void>;
  readonly raft: Directory;
  /** The segments of the one log there is today. */
  readonly log: Directory;
  /** Gives the directory up. Idempotent. */
  close(): Promise<void>;
}

export const DataDirectory = Symbol('DataDirectory');
