import { ratioRow, type Figure } from '../harness/figure.js';
import { h2load, hasH2load, ownUnaryLoad } from '../harness/h2load.js';
import { highWatermark, paths } from '../harness/loads.js';
import { inTurn, type Load } from '../harness/rounds.js';
import { grpcFrame, produceRequest } from '../harness/wire.js';

const rounds = 4;
const roundSeconds = 2;
const inFlight = 256;

export const unaryProduce: Figure = {
  name: 'unary-produce',
  title: 'unary Produce over gRPC, 256 in flight',
  run: async (bench) => {
    const directory = await bench.temporaryDirectory();
    const external = await hasH2load();
    if (!external)
      bench.notice('h2load is not installed (Debian: nghttp2-client): the own client, which costs more, loads');
    const load = (address: string): Promise<Load> => {
      const body = grpcFrame(produceRequest());
      const target = { address, path: paths.produce, contentType: 'application/grpc', body, seconds: roundSeconds };
      return external ? h2load(target, directory) : ownUnaryLoad(target);
    };
    const golog = await bench.startGolog();
    const peer = await bench.startPeer();
    const pair = await inTurn(
      rounds,
      {
        pid: golog.pid,
        load: async () => {
          const before = await highWatermark(golog.rpcAddr);
          const done = await load(golog.rpcAddr);
          const grown = (await highWatermark(golog.rpcAddr)) - before;
          if (grown < done.units || grown > done.units + inFlight)
            throw new Error(`${done.units} calls succeeded, the log grew by ${grown}`);
          return done;
        },
      },
      { pid: peer.pid, load: () => load(peer.rpcAddr) },
    );
    await Promise.all([golog.stop(), peer.stop()]);
    await bench.remove(golog.dataDirectory);
    await bench.remove(directory);
    const head = {
      figure: 'unary Produce',
      unit: 'calls/s',
      baselineName: 'grpc-js, empty',
      ...(external ? {} : { note: 'own client' }),
    };
    return [ratioRow(head, pair, { ratioAtLeast: 0.6 })];
  },
};
