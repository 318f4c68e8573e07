import { valueRow, type Figure } from '../harness/figure.js';
import { h2load, hasH2load } from '../harness/h2load.js';
import { highWatermark, paths } from '../harness/loads.js';
import { sampleOf } from '../harness/rounds.js';
import { produceRequest } from '../harness/wire.js';

const rounds = 2;

export const connectProduce: Figure = {
  name: 'connect-produce',
  title: 'unary Produce by the Connect protocol over HTTP/2, 256 in flight',
  skip: async () => ((await hasH2load()) ? undefined : 'h2load not installed (Debian: nghttp2-client)'),
  run: async (bench) => {
    const directory = await bench.temporaryDirectory();
    const golog = await bench.startGolog();
    const target = { path: paths.produce, contentType: 'application/proto', body: produceRequest(), seconds: 2 };
    const rates: number[] = [];
    let succeeded = 0;
    for (let round = 0; round <= rounds; round++) {
      const load = await h2load({ ...target, address: golog.httpAddr }, directory);
      succeeded += load.units;
      if (round > 0) rates.push(load.units / load.seconds);
    }
    const watermark = await highWatermark(golog.rpcAddr);
    if (watermark < succeeded) throw new Error(`${succeeded} calls succeeded, the log holds ${watermark}`);
    await golog.stop();
    await bench.remove(golog.dataDirectory);
    await bench.remove(directory);
    return [valueRow({ figure: 'Connect Produce, 256 in flight', unit: 'calls/s' }, sampleOf(rates).median)];
  },
};
