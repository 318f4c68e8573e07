import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { logStartFileName, logStartSpareFileName } from '../../src/domain/log/file-names.js';
import { runGolog } from '../end-to-end/golog-process.js';
import { hasLogged } from '../logging/logged-lines.js';
import { eventually } from './deadline.js';
import { clusterTests, type Run } from './fixture.js';
import type { LiveCluster, LiveNode } from './live-cluster.js';
import type { Load } from './load.js';
import { readyz } from './readiness.js';
import { expectKept } from './verdict.js';

const run = clusterTests();
const small = ['--segment-bytes', '16KiB'];

interface LogStart {
  /** The log directory of a stopped node. */
  readonly folder: string;
  /** A copy of the file from before the last truncation. */
  readonly older: string;
}

const flipBit = (path: string): void => {
  const bytes = readFileSync(path);
  bytes[30] ^= 1;
  writeFileSync(path, bytes);
};
const damages: Record<string, (start: LogStart) => void> = {
  deleted: ({ folder }) => rmSync(join(folder, logStartFileName)),
  'deleted, with its copy': ({ folder }) => {
    rmSync(join(folder, logStartFileName));
    rmSync(join(folder, logStartSpareFileName), { force: true });
  },
  damaged: ({ folder }) => flipBit(join(folder, logStartFileName)),
  'put back from before a truncation': ({ folder, older }) => copyFileSync(older, join(folder, logStartFileName)),
};

const folderOf = ({ dataDir }: LiveNode): string => join(dataDir, 'logs', 'default');
const startOf = async (node: LiveNode): Promise<number | undefined> => (await node.info())?.logStartOffset;

/** Has the log of every node start at this offset. */
async function truncate(own: Run, { nodes }: LiveCluster, offset: number): Promise<void> {
  const [{ address }] = nodes;
  const before = ['--before', String(offset), '--addr', address, '--yes', ...own.as('operator')];
  expect(await runGolog(['truncate', ...before])).toMatchObject({ code: 0 });
  await startsAt(nodes, offset);
}

async function startsAt(nodes: readonly LiveNode[], offset: number): Promise<void> {
  let seen: unknown;
  await eventually(
    () => `the log start ${offset} at all; the last were ${JSON.stringify(seen)}`,
    async () => {
      const starts = await Promise.all(nodes.map(startOf));
      seen = starts;
      return starts.every((start) => start === offset) || undefined;
    },
  );
}

/** Truncates the log twice; returns the log start of then, and what each node's file was between. */
async function truncatedTwice(own: Run, nodes: LiveCluster, load: Load): Promise<{ start: number; older: string[] }> {
  await load.more(1_000);
  await truncate(own, nodes, 300);
  const older = nodes.nodes.map((node) => own.file(`${node.name}-${logStartFileName}`));
  for (const [i, node] of nodes.nodes.entries()) {
    const path = join(folderOf(node), logStartFileName);
    await eventually(`the log-start of ${node.name}`, () => existsSync(path) || undefined);
    copyFileSync(path, older[i]);
  }
  await load.more(500);
  await truncate(own, nodes, 900);
  for (const [i, node] of nodes.nodes.entries()) {
    const path = join(folderOf(node), logStartFileName);
    const isNew = (): boolean => !readFileSync(path).equals(readFileSync(older[i]));
    await eventually(`the second log-start of ${node.name}`, () => isNew() || undefined);
  }
  return { start: 900, older };
}

async function isReady(own: Run, node: LiveNode): Promise<void> {
  const asked = async (): Promise<true | undefined> => (await readyz(node, own.tls('consumer'))) === 200 || undefined;
  await eventually(`${node.name} to be ready`, asked);
}

describe(`T18: a log-start that was ${Object.keys(damages).join(', or ')}`, () => {
  it(
    'is derived again by a single node, which serves',
    run('log-start-alone', async (own) => {
      const nodes = await own.cluster(1, small, ({ nodes: [node] }) => node.start(['--bootstrap']));
      const [node] = nodes.nodes;
      const load = own.load(nodes);
      const { start, older } = await truncatedTwice(own, nodes, load);
      for (const damage of Object.values(damages))
        for (const end of ['stop', 'killNine'] as const) {
          await node[end]();
          damage({ folder: folderOf(node), older: older[0] });
          await node.start();
          await isReady(own, node);
          await startsAt([node], start);
          await load.more();
          expect(hasLogged(node.output, 'log_segment_quarantined', 'fatal_error')).toBe(false);
          expect(existsSync(join(folderOf(node), logStartFileName))).toBe(true);
        }
      await expectKept(nodes, load, start);
    }),
    240_000,
  );

  it(
    'is derived again by one and by all of three members, under load',
    run('log-start', async (own) => {
      const nodes = await own.cluster(3, small);
      const load = own.load(nodes);
      const { start, older } = await truncatedTwice(own, nodes, load);
      const [follower] = await nodes.followers();
      for (const damage of Object.values(damages))
        for (const damaged of [[follower], nodes.nodes]) {
          await Promise.all(damaged.map((node) => node.killNine()));
          for (const node of damaged) damage({ folder: folderOf(node), older: older[nodes.nodes.indexOf(node)] });
          if (damaged.length === 1) await load.more();
          await Promise.all(damaged.map((node) => node.start()));
          await load.more();
          for (const node of damaged) await isReady(own, node);
          await startsAt(nodes.nodes, start);
        }
      for (const { output } of nodes.nodes)
        expect(hasLogged(output, 'log_segment_quarantined', 'fatal_error')).toBe(false);
      await expectKept(nodes, load, start);
      expect((await nodes.compareStopped()).differences).toEqual([]);
    }),
    240_000,
  );
});
