import { randomBytes, randomUUID } from 'node:crypto';
import type { DataDirectory } from '../../application/ports/data-directory.js';
import { MemoryDirectory } from './memory-directory.js';

/** A data directory that is gone with the process, with an identity of its own. Closing it keeps what it holds. */
export function memoryDataDirectory(): DataDirectory {
  return {
    nodeId: randomUUID(),
    logId: randomBytes(16),
    raft: new MemoryDirectory(),
    log: new MemoryDirectory(),
    close: () => Promise.resolve(),
  };
}
