import { closeSync, openSync, readdirSync, readSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { eventually, tell } from './deadline.js';
import { clusterTests } from './fixture.js';
import type { LiveCluster, LiveNode } from './live-cluster.js';
import { Appender, type Load } from './load.js';
import { expectAllKept } from './verdict.js';
import { hasLogged } from '../logging/logged-lines.js';

const run = clusterTests();
const storeHeaderBytes = 52;

interface Store {
  readonly path: string;
  readonly size: number;
}

function stores({ dataDir }: LiveNode): Store[] {
  const folder = join(dataDir, 'logs', 'default');
  const names = readdirSync(folder).filter((name) => name.endsWith('.store'));
  return names.sort().map((name) => ({ path: join(folder, name), size: statSync(join(folder, name)).size }));
}

function overwrite({ path }: Store, position: number, bytes: number, change: (byte: number) => number): void {
  const file = openSync(path, 'r+');
  const content = Buffer.alloc(bytes);
  readSync(file, content, 0, bytes, position);
  writeSync(file, content.map(change), 0, bytes, position);
  closeSync(file);
}

/** Resolves when the node's last store has batches, and the next one is not about to begin. */
async function inSegment(node: LiveNode): Promise<void> {
  await eventually('a store that is partly filled', () => {
    const { size } = stores(node).at(-1)!;
    return (size > 8 * 1024 && size < 40 * 1024) || undefined;
  });
}

const flip = (byte: number): number => byte ^ 0x10;
const zero = (): number => 0;

/** Damages the stopped node by `damage`, which gets its stores, and has it come back. */
async function damageAndReturn(
  nodes: LiveCluster,
  node: LiveNode,
  load: Load,
  damage: (stores: readonly Store[]) => void,
): Promise<void> {
  await load.more();
  damage(stores(node));
  const before = node.output.length;
  const startMs = performance.now();
  await node.start();
  await eventually(
    'the log to be repaired',
    () => hasLogged(node.output.slice(before), 'log_repair_finished') || undefined,
  );
  await nodes.replicating(3);
  tell(`${node.name} is a member again after ${Math.round(performance.now() - startMs)} ms`);
  await load.more();
}

describe('a node of three whose stored log was damaged while it was stopped, under load', () => {
  it(
    'fetches what is damaged from its peers and is an equal member again',
    run('repair', async (own) => {
      const nodes = await own.cluster(3, ['--segment-bytes', '64KiB']);
      const load = own.load(nodes);
      await load.more(1_500);

      const [first, second] = await nodes.followers();
      await inSegment(first);
      await first.stop();
      await damageAndReturn(nodes, first, load, (found) => {
        const { size } = found.at(-1)!;
        overwrite(found.at(-1)!, storeHeaderBytes + ((size - storeHeaderBytes) >> 1), 3, flip);
      });

      await inSegment(first);
      await first.killNine();
      await damageAndReturn(nodes, first, load, (found) => {
        const { size } = found.at(-1)!;
        overwrite(found.at(-1)!, storeHeaderBytes, Math.min(4096, size - storeHeaderBytes), zero);
      });

      await inSegment(second);
      await second.stop();
      await damageAndReturn(nodes, second, load, (found) => {
        overwrite(found.at(-1)!, 0, storeHeaderBytes, zero);
      });

      const leader = await nodes.leader();
      await inSegment(leader);
      await leader.stop();
      await damageAndReturn(nodes, leader, load, (found) => {
        const { size } = found.at(-1)!;
        overwrite(found.at(-1)!, size >> 1, size - (size >> 1), zero);
      });
      await expectAllKept(nodes, load);
      tell(load.describe());
    }),
    240_000,
  );

  it(
    'serves no damaged segment, and repairs it while it runs',
    run('sealed', async (own) => {
      const nodes = await own.cluster(3, ['--segment-bytes', '64KiB']);
      const load = own.load(nodes);
      await load.more(1_500);
      const [node] = await nodes.followers();
      await node.stop();
      const [oldest] = stores(node);
      overwrite(oldest, oldest.size >> 1, 512, zero);
      await node.start();
      await nodes.replicating(3);
      const readThrough = async (): Promise<void> => {
        for (let offset = 0; offset < 600;) {
          const { batches } = await node.log.read({ from: { offset }, maxBytes: 4096 });
          offset = batches.at(-1)!.baseOffset + batches.at(-1)!.recordCount;
        }
      };
      await expect(readThrough()).rejects.toMatchObject({ code: 'DATA_LOSS' });
      await eventually('the repair', () => hasLogged(node.output, 'damaged_segment_repaired') || undefined);
      await readThrough();
      await expectAllKept(nodes, load);
    }),
    240_000,
  );
});

describe('a replica whose stored log was damaged while it was stopped', () => {
  it(
    'fetches what is damaged in an older term, and serves all of it again',
    run('replica', async (own) => {
      const nodes = await own.cluster(3);
      const members = [...nodes.nodes];
      const replica = await own.node('r1', ['--replica']);
      await replica.start(nodes.joining);
      nodes.nodes.push(replica);
      const load = own.load(nodes, 1);
      const first = await nodes.leader();
      const firstTerm = (await first.view())?.term ?? 0;

      // More than a source sends at once, so that the first entries to come again are of that term alone.
      const appender = new Appender(first.address, own.tls('appender'));
      for (let count = 0; count < 40; count += 1)
        await load.append(appender, `${count} ${'.'.repeat(100_000)}`, 10_000);
      appender.close();
      await first.killNine();
      await load.more();
      await first.start();
      await nodes.replicating(members.length);
      await load.more();
      await load.stop();
      await nodes.converged();
      expect((await replica.view())?.term).toBeGreaterThan(firstTerm);

      await replica.stop();
      const [store] = stores(replica);
      expect(store.size).toBeGreaterThan(4_000_000);
      overwrite(store, 100_000, 1, flip);
      const before = replica.output.length;
      await replica.start();
      await eventually(
        'the log to be repaired',
        () => hasLogged(replica.output.slice(before), 'damaged_entries_truncated') || undefined,
      );
      await expectAllKept(nodes, load);
    }),
    240_000,
  );
});
