import type { Bench, Golog } from '../harness/bench.js';
import { type Row, valueRow, type Figure } from '../harness/figure.js';
import { grpcContentType, GrpcSession, MessageReader } from '../harness/grpc-session.js';
import { paths } from '../harness/loads.js';
import { useOf } from '../harness/processes.js';
import { percentile } from '../harness/rounds.js';
import { appendRequest, grpcFrame, readEarliestRequest } from '../harness/wire.js';

const tails = 1_000;
const connections = 10;
const appends = 50;
const warmUpAppends = 10;

interface Transport {
  readonly name: string;
  readonly contentType: string;
  readonly addressOf: (golog: Golog) => string;
}

const transports: readonly Transport[] = [
  { name: 'gRPC', contentType: grpcContentType, addressOf: ({ rpcAddr }) => rpcAddr },
  { name: 'Connect', contentType: 'application/connect+proto', addressOf: ({ httpAddr }) => httpAddr },
];

export const tailDelivery: Figure = {
  name: 'tail-delivery',
  title: 'from one append to its delivery to each of 1,000 tails, on both ports',
  run: async (bench) => {
    const rows: Row[] = [];
    for (const transport of transports) rows.push(...(await measure(bench, transport)));
    return rows;
  },
};

async function measure(bench: Bench, { name, contentType, addressOf }: Transport): Promise<Row[]> {
  const golog = await bench.startGolog();
  const sessions = await Promise.all(Array.from({ length: connections }, () => GrpcSession.connect(addressOf(golog))));
  const delivery = { sentAtMs: 0, left: tails, onAll: (): void => undefined };
  const latenciesMs: number[] = [];
  const calls = Array.from({ length: tails }, (_, i) => {
    const reader = new MessageReader(() => {
      latenciesMs.push(performance.now() - delivery.sentAtMs);
      delivery.left -= 1;
      if (delivery.left === 0) delivery.onAll();
    });
    const call = sessions[i % connections].open(paths.tail, reader, contentType);
    call.stream.end(grpcFrame(readEarliestRequest()));
    return call;
  });
  const producer = await GrpcSession.connect(golog.rpcAddr);
  const frame = grpcFrame(appendRequest(1));
  const append = async (): Promise<void> => {
    delivery.left = tails;
    const delivered = new Promise<void>((resolve) => (delivery.onAll = resolve));
    delivery.sentAtMs = performance.now();
    await producer.unary('/golog.v1.LogService/Append', frame);
    await delivered;
  };
  for (let done = 0; done < warmUpAppends; done += 1) await append();
  latenciesMs.length = 0;
  const before = await useOf(golog.pid);
  for (let done = 0; done < appends; done += 1) await append();
  const { cpuSeconds } = await useOf(golog.pid);
  for (const { cancel } of calls) cancel();
  for (const session of [producer, ...sessions]) session.close();
  await golog.stop();
  await bench.remove(golog.dataDirectory);
  latenciesMs.sort((a, b) => a - b);
  const figure = `delivery to 1,000 tails by ${name}`;
  const microsPerDelivery = ((cpuSeconds - before.cpuSeconds) * 1e6) / (appends * tails);
  return [
    valueRow({ figure: `${figure}: p50`, unit: 'ms' }, percentile(latenciesMs, 0.5)),
    valueRow({ figure: `${figure}: p99`, unit: 'ms' }, percentile(latenciesMs, 0.99), { below: 50 }),
    valueRow({ figure: `${figure}: CPU of the node for each`, unit: 'µs' }, microsPerDelivery),
  ];
}
