import { expect, it } from '@jest/globals';
import { crc32c } from '../../adapters/checksum/crc32c.js';
import { FaultyDirectory } from '../../adapters/memory/faulty-directory.js';
import type { Directory } from '../../domain/log/directory.js';
import { readWholeOrThrow } from '../../domain/log/durable-file.js';
import { RecordingLogger } from '../../../test/logging/recording-logger.js';
import { openIdentity } from './member-identity.js';

const parts = ['raft', 'log'] as const;

async function open(disk: FaultyDirectory): Promise<string[]> {
  const logger = new RecordingLogger();
  const [raft, log] = await Promise.all(parts.map((part) => disk.subdirectory(part)));
  const deps = { directory: { raft, log }, crc32c, random: () => 0, logger };
  const context = { configuration: { current: { settings: { featureLevel: 1 } } } };
  await openIdentity(deps as never, context as never);
  return logger.lines.map(({ event }) => event);
}

/** As `cp`: nothing of it is synced. */
async function copy(from: Directory, to: Directory): Promise<void> {
  for (const name of await from.list()) {
    const file = await to.create(name);
    await file.write(0, [(await readWholeOrThrow(from, name)) ?? new Uint8Array()]);
    await file.close();
  }
}

it('makes a copied directory durable before anything is said in its name', async () => {
  const disk = FaultyDirectory.create();
  const log = await disk.subdirectory('log');
  const segment = await log.create('00000000000000000000.store');
  await segment.write(0, [Uint8Array.of(1, 2, 3)]);
  await open(disk);
  const copied = FaultyDirectory.create();
  for (const part of parts) await copy(await disk.subdirectory(part), await copied.subdirectory(part));
  expect(await open(copied)).toContain('data_directory_changed');
  const found = copied.afterCrash({ keep: 'none' });
  for (const part of parts) {
    const [before, after] = [await disk.subdirectory(part), await found.subdirectory(part)];
    expect(await after.list()).toEqual(await before.list());
  }
  const stored = await readWholeOrThrow(await found.subdirectory('log'), '00000000000000000000.store');
  expect([...(stored ?? [])]).toEqual([1, 2, 3]);
});
