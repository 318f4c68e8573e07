import { ratioRow, type Figure } from '../harness/figure.js';
import { appendFor, highWatermark } from '../harness/loads.js';
import { inTurn } from '../harness/rounds.js';

const rounds = 5;
const roundSeconds = 2;

export const appendStream: Figure = {
  name: 'append-stream',
  title: 'batched append over gRPC, 1,000 a batch, 16 in flight',
  run: async (bench) => {
    const golog = await bench.startGolog();
    const peer = await bench.startPeer();
    let appended = 0;
    const pair = await inTurn(
      rounds,
      {
        pid: golog.pid,
        load: async () => {
          const load = await appendFor(golog.rpcAddr, roundSeconds);
          appended += load.units;
          return load;
        },
      },
      { pid: peer.pid, load: () => appendFor(peer.rpcAddr, roundSeconds) },
    );
    const watermark = await highWatermark(golog.rpcAddr);
    if (watermark !== appended) throw new Error(`${appended} records acknowledged, the high watermark is ${watermark}`);
    await Promise.all([golog.stop(), peer.stop()]);
    await bench.remove(golog.dataDirectory);
    const head = { figure: 'append stream', unit: 'records/s', baselineName: 'grpc-js, counts' };
    return [ratioRow(head, pair, { ratioAtLeast: 0.6 })];
  },
};
