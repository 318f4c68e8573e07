import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Bench, Golog } from '../harness/bench.js';
import { isInStep, removeMember, untilCluster, type ClusterStatus, type Member } from '../harness/cluster-status.js';
import { plainRatioRow, type Figure } from '../harness/figure.js';
import { startFollower, type ClusterNode } from '../harness/golog-cluster.js';
import { GrpcSession } from '../harness/grpc-session.js';
import { fill, largeLogRecords } from '../harness/large-log.js';
import { appendFor, appendUntil } from '../harness/loads.js';
import { run } from '../harness/processes.js';
import { sampleOf } from '../harness/rounds.js';

const rounds = 3;
const appendSeconds = 4;
const megabyte = 1e6;
const polling = { everyMs: 10, withinMs: 60_000 };

/** The stored batches of a node. */
async function storeFiles({ dataDirectory }: Golog): Promise<{ files: readonly string[]; bytes: number }> {
  const names = await readdir(dataDirectory, { recursive: true });
  const files = names.filter((name) => name.endsWith('.store')).map((name) => join(dataDirectory, name));
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size));
  return { files: files.sort(), bytes: sizes.reduce((sum, size) => sum + size, 0) };
}

interface CatchUp {
  readonly node: ClusterNode;
  /** From the leader's first word that it sends stored segments to all being on the follower's disk. */
  readonly seconds: number;
}

async function catchUp(
  bench: Bench,
  leader: Golog,
  name: string,
  on: { readonly begin?: () => void; readonly end?: () => void } = {},
): Promise<CatchUp> {
  const memberIn = ({ members }: ClusterStatus): Member | undefined => members.find((member) => member.name === name);
  const starting = startFollower(bench, name, leader);
  const began = await untilCluster(
    leader.rpcAddr,
    `sending to ${name}`,
    (status) => {
      const member = memberIn(status);
      return member?.state === 'catching-up' || (member?.matchIndex ?? 0) > 0;
    },
    polling,
  );
  const startedAt = performance.now();
  on.begin?.();
  await untilCluster(
    leader.rpcAddr,
    `matched by ${name}`,
    (status) => (memberIn(status)?.matchIndex ?? 0) >= began.lastIndex,
    polling,
  );
  const seconds = (performance.now() - startedAt) / 1000;
  on.end?.();
  return { node: await starting, seconds };
}

export const clusterCatchUp: Figure = {
  name: 'cluster-catch-up',
  title: 'a new follower gets 1 GiB, against a file copied through a grpc-js stream; what the leader appends meanwhile',
  run: async (bench) => {
    const leader = await bench.startGolog(undefined, ['--node-name', 'n1', '--bootstrap']);
    await fill(leader, largeLogRecords);
    const { files, bytes } = await storeFiles(leader);

    const copies: number[] = [];
    const caughtUp: number[] = [];
    for (let round = 0; round < rounds; round++) {
      copies.push(await copyRate(bench, files));
      const { node, seconds } = await catchUp(bench, leader, `idle${round}`);
      caughtUp.push(bytes / megabyte / seconds);
      await untilCluster(leader.rpcAddr, 'in step', isInStep(2));
      await removeMember(leader.rpcAddr, node.name);
      await node.stop();
      await bench.remove(node.dataDirectory);
    }

    const second = await startFollower(bench, 'n2', leader);
    await untilCluster(leader.rpcAddr, 'in step', isInStep(2), polling);
    const before = await appendFor(leader.rpcAddr, appendSeconds);
    const during = await appendDuring(bench, leader);
    await removeMember(leader.rpcAddr, during.node.name);
    await during.node.stop();
    await untilCluster(leader.rpcAddr, 'in step', isInStep(2), polling);
    const after = await appendFor(leader.rpcAddr, appendSeconds);
    await Promise.all([leader, second].map((node) => node.stop()));
    for (const { dataDirectory } of [leader, second, during.node]) await bench.remove(dataDirectory);

    const copy = { figure: 'catch-up of 1 GiB', unit: 'MB/s', baselineName: 'file copy, grpc-js' };
    const append = { figure: 'append while one catches up', unit: 'records/s', baselineName: 'before and after' };
    const [rateBefore, rateAfter] = [before, after].map(({ units, seconds }) => units / seconds);
    const thousands = (rate: number): string => `${Math.round(rate / 1000)} k`;
    const took = {
      note: `caught up in ${during.seconds.toFixed(1)} s; ${thousands(rateBefore)} before, ${thousands(rateAfter)} after`,
    };
    return [
      plainRatioRow(copy, sampleOf(caughtUp).median, sampleOf(copies).median, { ratioAtLeast: 0.5 }),
      plainRatioRow({ ...append, ...took }, during.rate, (rateBefore + rateAfter) / 2, { ratioAtLeast: 0.7 }),
    ];
  },
};

/** Megabytes a second. */
async function copyRate(bench: Bench, files: readonly string[]): Promise<number> {
  const directory = await bench.temporaryDirectory();
  const source = await bench.startCopy(files);
  const target = join(directory, 'copy');
  const printed = await run({ file: process.execPath, args: [bench.copyProgram, 'fetch', source.rpcAddr, target] });
  const { bytes, seconds } = JSON.parse(printed) as { bytes: number; seconds: number };
  await source.stop();
  await bench.remove(directory);
  return bytes / megabyte / seconds;
}

async function appendDuring(bench: Bench, leader: Golog): Promise<CatchUp & { readonly rate: number }> {
  const session = await GrpcSession.connect(leader.rpcAddr);
  let records = 0;
  let ended = false;
  const appending = appendUntil(session, (_, __, answered) => {
    records = answered;
    return ended;
  });
  const [from, to] = [
    { records: 0, at: 0 },
    { records: 0, at: 0 },
  ];
  const mark = (place: typeof from): void => {
    place.records = records;
    place.at = performance.now();
  };
  try {
    const result = await catchUp(bench, leader, 'n3', { begin: () => mark(from), end: () => mark(to) });
    return { ...result, rate: (to.records - from.records) / ((to.at - from.at) / 1000) };
  } finally {
    ended = true;
    await appending;
    session.close();
  }
}
