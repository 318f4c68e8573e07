import { randomBytes, randomUUID } from 'node:crypto';
import type { DataDirectory } from '../../application/ports/data-directory.js';
import { MemoryDirectory } from './memory-directory.js';

/**
 * Creates a data directory in memory with its own identity. Closing it keeps the contents; they are lost with the
 * process.
 */
export function memoryDataDirectory(): DataDirectory {
  let logId: Uint8Array = randomBytes(16);
  let log = new MemoryDirectory();
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
    get log() {
      return log;
    },
    setLogAside() {
      log = new MemoryDirectory();
      return Promise.resolve(undefined);
    },
    close: () => Promise.resolve(),
  };
}
