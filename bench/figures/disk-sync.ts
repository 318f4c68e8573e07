import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { valueRow, type Figure, type Row } from '../harness/figure.js';

const seconds = 1.5;

/** What the disk gives to a bare loop of write and fdatasync, which bounds every durable append. */
export const diskSync: Figure = {
  name: 'disk-sync',
  title: 'write and fdatasync of the disk',
  run: async (bench) => {
    const directory = await bench.temporaryDirectory();
    const rows: Row[] = [];
    for (const writeBytes of [4096, 1024 * 1024]) {
      const block = Buffer.alloc(writeBytes, 7);
      const file = openSync(join(directory, `sync-${writeBytes}`), 'w');
      const startedAt = performance.now();
      let syncs = 0;
      for (; performance.now() - startedAt < seconds * 1000; syncs++) {
        writeSync(file, block);
        fdatasyncSync(file);
      }
      const elapsed = (performance.now() - startedAt) / 1000;
      closeSync(file);
      const note = `${Math.round((syncs * writeBytes) / elapsed / 1e6)} MB/s`;
      rows.push(
        valueRow({ figure: `write ${writeBytes / 1024} KiB + fdatasync`, unit: 'syncs/s', note }, syncs / elapsed),
      );
    }
    await bench.remove(directory);
    return rows;
  },
};
