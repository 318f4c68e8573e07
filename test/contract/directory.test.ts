import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NodeDirectory } from '../../src/adapters/file-system/node-directory.js';
import { FaultyDirectory } from '../../src/adapters/memory/faulty-directory.js';
import { MemoryDirectory } from '../../src/adapters/memory/memory-directory.js';
import { describeDirectory } from './directory.js';

describeDirectory('NodeDirectory', async () => {
  const path = await mkdtemp(join(tmpdir(), 'golog-contract-'));
  return {
    directory: await NodeDirectory.open(path),
    dispose: () => rm(path, { recursive: true }),
  };
});

describeDirectory('MemoryDirectory', async () => ({ directory: new MemoryDirectory(), dispose: async () => {} }));

describeDirectory('FaultyDirectory without faults', async () => ({
  directory: FaultyDirectory.create(),
  dispose: async () => {},
}));
