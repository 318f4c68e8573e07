import { ratioRow, type Figure } from '../harness/figure.js';
import { appendFor } from '../harness/loads.js';
import { versionOf } from '../harness/processes.js';
import { startRedis } from '../harness/redis.js';
import { inTurn } from '../harness/rounds.js';

const rounds = 3;
const roundSeconds = 2;
const entries = 1_000_000;

export const redisAppend: Figure = {
  name: 'redis-append',
  title: 'batched append over gRPC, against Redis XADD with appendfsync always',
  skip: async () => {
    const missing = [];
    for (const program of ['redis-server', 'redis-benchmark']) if (!(await versionOf(program))) missing.push(program);
    return missing.length === 0
      ? undefined
      : `${missing.join(' and ')} not installed (Debian: redis-server, redis-tools)`;
  },
  run: async (bench) => {
    const golog = await bench.startGolog();
    const redis = await startRedis(bench);
    const pair = await inTurn(
      rounds,
      { pid: golog.pid, load: () => appendFor(golog.rpcAddr, roundSeconds) },
      { pid: redis.pid, load: () => redis.xadd(entries) },
    );
    await Promise.all([golog.stop(), redis.stop()]);
    await bench.remove(golog.dataDirectory);
    const head = { figure: 'append stream', unit: 'records/s', baselineName: 'Redis XADD' };
    return [ratioRow(head, pair, { ratioAtLeast: 2 })];
  },
};
