import type { Directory } from '../../domain/log/directory.js';

/** The data of one node; no other process has it open. */
export interface DataDirectory {
  /** Its path on disk, for adapters with files of their own; undefined in memory. */
  readonly path: string | undefined;
  /** UUID of this node's disk: a wiped disk is a new node. */
  readonly nodeId: string;
  /** Identity of the log, 16 bytes: the same on every node that stores it, and covered by each batch's checksum. */
  readonly logId: Uint8Array;
  /** Durably adopts the log id of the cluster that this node joins. The directory must not hold data yet. */
  adoptLogId(logId: Uint8Array): Promise<void>;
  readonly raft: Directory;
  /** The segments of the only log. */
  readonly log: Directory;
  /**
   * Moves the segments to a directory of their own beside `log`, which is then empty. No log is open. Resolves with the
   * path of the new directory, durably; undefined in memory. After a crash in between, the log is either there or moved.
   */
  setLogAside(name: string): Promise<string | undefined>;
  /** Releases the directory. Idempotent. */
  close(): Promise<void>;
}

export const DataDirectory = Symbol('DataDirectory');
