import { ratioRow, type Figure } from '../harness/figure.js';
import { appendFor } from '../harness/loads.js';
import { missingPrograms } from '../harness/processes.js';
import { startRedis } from '../harness/redis.js';
import { inTurn } from '../harness/rounds.js';

const rounds = 3;
const roundSeconds = 2;
const entries = 1_000_000;

export const redisAppend: Figure = {
  name: 'redis-append',
  title: 'batched append over gRPC, against Redis XADD with appendfsync always',
  skip: () => missingPrograms(['redis-server', 'redis-benchmark'], 'redis-server, redis-tools'),
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
