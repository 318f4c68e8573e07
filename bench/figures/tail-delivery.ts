import { valueRow, type Figure } from '../harness/figure.js';
import { GrpcSession, MessageReader } from '../harness/grpc-session.js';
import { paths } from '../harness/loads.js';
import { percentile } from '../harness/rounds.js';
import { appendRequest, grpcFrame, readEarliestRequest } from '../harness/wire.js';

const tails = 1_000;
const connections = 10;
const appends = 50;
const warmUpAppends = 10;

export const tailDelivery: Figure = {
  name: 'tail-delivery',
  title: 'from one append to its delivery to each of 1,000 tails',
  run: async (bench) => {
    const golog = await bench.startGolog();
    const sessions = await Promise.all(Array.from({ length: connections }, () => GrpcSession.connect(golog.rpcAddr)));
    const delivery = { sentAtMs: 0, left: tails, onAll: (): void => undefined };
    const latenciesMs: number[] = [];
    const calls = Array.from({ length: tails }, (_, i) => {
      const reader = new MessageReader(() => {
        latenciesMs.push(performance.now() - delivery.sentAtMs);
        delivery.left -= 1;
        if (delivery.left === 0) delivery.onAll();
      });
      const call = sessions[i % connections].open(paths.tail, reader);
      call.stream.end(grpcFrame(readEarliestRequest()));
      return call;
    });
    const producer = await GrpcSession.connect(golog.rpcAddr);
    const frame = grpcFrame(appendRequest(1));
    for (let append = 0; append < warmUpAppends + appends; append += 1) {
      if (append === warmUpAppends) latenciesMs.length = 0;
      delivery.left = tails;
      const delivered = new Promise<void>((resolve) => (delivery.onAll = resolve));
      delivery.sentAtMs = performance.now();
      await producer.unary('/golog.v1.LogService/Append', frame);
      await delivered;
    }
    for (const { cancel } of calls) cancel();
    for (const session of [producer, ...sessions]) session.close();
    await golog.stop();
    await bench.remove(golog.dataDirectory);
    latenciesMs.sort((a, b) => a - b);
    return [
      valueRow({ figure: 'delivery to 1,000 tails: p50', unit: 'ms' }, percentile(latenciesMs, 0.5)),
      valueRow({ figure: 'delivery to 1,000 tails: p99', unit: 'ms' }, percentile(latenciesMs, 0.99), { below: 50 }),
    ];
  },
};
