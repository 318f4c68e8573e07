import { randomBytes, randomUUID } from 'node:crypto';
import type { DataDirectory } from '../../application/ports/data-directory.js';
import { MemoryDirectory } from './memory-directory.js';

/** A data directory that is gone with the process, with an identity of its own. Closing it keeps what it holds. */
export function memoryDataDirectory(): DataDirectory {
  let logId: Uint8Array = randomBytes(16);
  return {
    path: undefined,
    nodeId: randomUUID(),
    get logId() {
      return logId;
    },
    adoptLogId(adopted) {
      logId = adopted;
      return Promise.resolve();
    },
    raft: new MemoryDirectory(),
    log: new MemoryDirectory(),
    close: () => Promise.resolve(),
  };
}
