import type { Golog } from '../harness/bench.js';
import { ratioRow, type Figure } from '../harness/figure.js';
import { fill, largeLog } from '../harness/large-log.js';
import { callFor, paths, randomConsume } from '../harness/loads.js';
import { percentile, inTurn, type Side } from '../harness/rounds.js';

const rounds = 5;
const limits = { inFlight: 16, seconds: 1.5 };
const few = 10_000;
const many = 10_000_000;

export const consumeAtRandom: Figure = {
  name: 'random-consume',
  title: 'random Consume at 10^4 and at 10^7 records',
  run: async (bench) => {
    const large = await largeLog(bench);
    const small = await bench.startGolog();
    await fill(small, few);
    const p50: [number[], number[]] = [[], []];
    const side = ({ pid, rpcAddr }: Golog, records: number, latencies: number[]): Side => ({
      pid,
      load: async () => {
        const load = await callFor(rpcAddr, paths.consume, randomConsume(records), limits);
        latencies.push(percentile(load.latenciesMs, 0.5));
        return load;
      },
    });
    // Each server's reads are compiled before they are compared; both logs are in the page cache.
    for (const { rpcAddr } of [large.golog, small])
      await callFor(rpcAddr, paths.consume, randomConsume(few), { ...limits, seconds: 3 });
    const pair = await inTurn(rounds, side(large.golog, many, p50[0]), side(small, few, p50[1]));
    await small.stop();
    await bench.remove(small.dataDirectory);
    const [atMany, atFew] = p50.map((latencies) =>
      percentile(
        latencies.sort((a, b) => a - b),
        0.5,
      ).toFixed(2),
    );
    const note = `p50 ${atMany} ms and ${atFew} ms`;
    const head = { figure: 'random Consume at 10^7', unit: 'calls/s', baselineName: 'at 10^4', note };
    return [ratioRow(head, pair, { ratioWithin: 0.2 })];
  },
};
