import { mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { aclAppend } from './figures/acl-append.js';
import { appendStream } from './figures/append-stream.js';
import { clusterAppendEtcd } from './figures/cluster-append-etcd.js';
import { clusterAppendNats } from './figures/cluster-append-nats.js';
import { clusterCatchUp } from './figures/cluster-catch-up.js';
import { clusterFailOver, clusterFailOverFast } from './figures/cluster-fail-over.js';
import { clusterIdle } from './figures/cluster-idle.js';
import { clusterProduce } from './figures/cluster-produce.js';
import { connectProduce } from './figures/connect-produce.js';
import { diskSync } from './figures/disk-sync.js';
import { produceLatency } from './figures/produce-latency.js';
import { consumeAtRandom } from './figures/random-consume.js';
import { redisAppend } from './figures/redis-append.js';
import { reopen } from './figures/reopen.js';
import { tail } from './figures/tail.js';
import { tailDelivery } from './figures/tail-delivery.js';
import { tlsAppend } from './figures/tls-append.js';
import { unaryProduce } from './figures/unary-produce.js';
import { Bench } from './harness/bench.js';
import type { Figure, Row } from './harness/figure.js';
import { describeMachine } from './harness/machine.js';
import { heading, table } from './harness/report.js';

const figures: readonly Figure[] = [
  diskSync,
  appendStream,
  redisAppend,
  tlsAppend,
  aclAppend,
  unaryProduce,
  produceLatency,
  connectProduce,
  tail,
  tailDelivery,
  consumeAtRandom,
  reopen,
  clusterAppendNats,
  clusterAppendEtcd,
  clusterProduce,
  clusterFailOver,
  clusterFailOverFast,
  clusterCatchUp,
  clusterIdle,
];

/** Above this the machine was not ours alone. */
const quietShare = 0.1;

const usage = `Usage: npm run bench -- [options]
  --only NAME[,NAME]  run these figures; may be repeated
  --list              name the figures and exit
  --json FILE         write machine, rows and notices to FILE too
  --assert            exit with 1 when a target is missed
  --cpu-prof DIR      run golog under node --cpu-prof, one profile a node in DIR
  --dir DIR           where data directories go, on the disk to measure (default: the system's temporary directory)
Exit codes: 0 measured, 1 a figure failed (or, with --assert, missed its target), 2 wrong arguments
`;

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    list: { type: 'boolean', default: false },
    json: { type: 'string' },
    assert: { type: 'boolean', default: false },
    'cpu-prof': { type: 'string' },
    dir: { type: 'string', default: tmpdir() },
    help: { type: 'boolean', default: false },
  },
});

function chosen(): readonly Figure[] {
  const names = values.only?.flatMap((list) => list.split(','));
  const unknown = names?.find((name) => !figures.some((figure) => figure.name === name));
  if (unknown === undefined) return figures.filter(({ name }) => names?.includes(name) ?? true);
  process.stderr.write(`no figure "${unknown}"; there are ${figures.map(({ name }) => name).join(', ')}\n`);
  process.exit(2);
}

async function measure(toRun: readonly Figure[]): Promise<number> {
  const startedAt = performance.now();
  const profiles = values['cpu-prof'] === undefined ? undefined : resolve(values['cpu-prof']);
  if (profiles !== undefined) await mkdir(profiles, { recursive: true });
  const machine = await describeMachine(values.dir);
  process.stdout.write(`${heading(machine)}\n\n`);

  const notices: string[] = [];
  const notice = (text: string): void => {
    notices.push(text);
    process.stderr.write(`  ${text}\n`);
  };
  if (machine.fileSystem === 'tmpfs') notice(`${values.dir} is in memory: syncs cost nothing there; give --dir`);
  const bench = new Bench({
    directory: values.dir,
    ...(profiles !== undefined && { cpuProfDirectory: profiles }),
    notice,
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      bench.closeNow();
      process.exit(130);
    });
  }

  const rows: Row[] = [];
  let failed = 0;
  try {
    for (const figure of toRun) {
      process.stderr.write(`${figure.name}: ${figure.title}\n`);
      const reason = await figure.skip?.();
      if (reason !== undefined) {
        notice(`${figure.name} skipped: ${reason}`);
        continue;
      }
      try {
        const measured = await figure.run(bench);
        rows.push(...measured);
        const others = measured.flatMap(({ rounds }) => (rounds ? [rounds.value, rounds.baseline] : []));
        const share = Math.max(0, ...others.map(({ othersCpuShare }) => othersCpuShare));
        if (share > quietShare)
          notice(
            `${figure.name}: other processes took ${Math.round(share * 100)} % of the cores; measure again when idle`,
          );
      } catch (error) {
        failed++;
        notice(`${figure.name} failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      }
    }
  } finally {
    await bench.close();
  }

  const seconds = Math.round((performance.now() - startedAt) / 1000);
  process.stdout.write(`\n${table(rows)}\n\n`);
  for (const text of notices) process.stdout.write(`notice: ${text}\n`);
  process.stdout.write(
    `${seconds} s; 100-byte records, acknowledged after fdatasync; medians, spread = (most - least) / median\n`,
  );
  if (values.json !== undefined)
    await writeFile(values.json, `${JSON.stringify({ machine, rows, notices, seconds }, null, 2)}\n`);
  const missed = rows.filter(({ pass }) => pass === false).length;
  return failed > 0 || (values.assert && missed > 0) ? 1 : 0;
}

if (values.help) process.stdout.write(usage);
else if (values.list) process.stdout.write(figures.map(({ name, title }) => `${name.padEnd(24)}${title}\n`).join(''));
else process.exitCode = await measure(chosen());
