import { describe, expect, it } from '@jest/globals';
import { crc32c } from '../../adapters/checksum/crc32c.js';
import { FaultyDirectory } from '../../adapters/memory/faulty-directory.js';
import { ConfigurationFile, CorruptConfigurationError } from './configuration-file.js';

describe('a configuration file that the disk cannot read', () => {
  it('keeps the node from starting, which says why; but not if it can be read when that is tried again', async () => {
    const directory = FaultyDirectory.create();
    const stored = { id: 1, contacts: [], history: [] };
    await (await ConfigurationFile.open(directory, crc32c)).write(stored);
    directory.inject({ operation: 'read', fileName: 'snapshot' });
    expect((await ConfigurationFile.open(directory, crc32c)).stored).toEqual(stored);
    directory.spoil('snapshot', 0, 1);
    const opening = ConfigurationFile.open(directory, crc32c);
    await expect(opening).rejects.toThrow(CorruptConfigurationError);
    await expect(opening).rejects.toThrow('raft/snapshot cannot be read from the disk: this node no longer knows');
  });
});
