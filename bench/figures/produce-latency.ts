import { valueRow, type Figure } from '../harness/figure.js';
import { callFor, paths } from '../harness/loads.js';
import { percentile } from '../harness/rounds.js';
import { grpcFrame, produceRequest } from '../harness/wire.js';

export const produceLatency: Figure = {
  name: 'produce-latency',
  title: 'latency of Produce with one in flight',
  run: async (bench) => {
    const golog = await bench.startGolog();
    const body = grpcFrame(produceRequest());
    const load = (seconds: number) => callFor(golog.rpcAddr, paths.produce, () => body, { inFlight: 1, seconds });
    await load(1);
    const { latenciesMs } = await load(3);
    await golog.stop();
    await bench.remove(golog.dataDirectory);
    return [0.5, 0.99].map((share) =>
      valueRow({ figure: `Produce, 1 in flight: p${share * 100}`, unit: 'ms' }, percentile(latenciesMs, share)),
    );
  },
};
