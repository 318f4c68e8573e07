import { setTimeout as delay } from 'node:timers/promises';
import { valueRow, type Figure, type Row } from '../harness/figure.js';
import { GrpcSession } from '../harness/grpc-session.js';
import { largeLog } from '../harness/large-log.js';
import { appendUntil, highWatermark, tailUntil } from '../harness/loads.js';
import { useOf } from '../harness/processes.js';
import { sampleOf } from '../harness/rounds.js';
import { batchRunOf } from '../harness/wire.js';

const starts = 3;
const readers = 10;
const mebibyte = 1024 * 1024;

export const reopen: Figure = {
  name: 'reopen',
  title: 'opening a 1 GiB log after kill -9, and memory while ten readers read it',
  run: async (bench) => {
    const log = await largeLog(bench);

    let acknowledged = log.records;
    let killed: Promise<void> | undefined;
    const session = await GrpcSession.connect(log.golog.rpcAddr);
    await appendUntil(session, (_, seconds, answered) => {
      acknowledged = log.records + answered;
      if (seconds > 0.5) killed ??= log.golog.stop('SIGKILL');
      return false;
    }).catch((error: unknown) => {
      if (killed === undefined) throw error;
    });
    await killed;
    session.close();

    const startMs: number[] = [];
    const emptyStartMs: number[] = [];
    const openMs: number[] = [];
    for (let start = 0; start < starts; start++) {
      if (start > 0) await log.golog.stop('SIGKILL');
      const empty = await bench.startGolog();
      emptyStartMs.push(empty.startMs);
      await empty.stop();
      await bench.remove(empty.dataDirectory);
      log.golog = await bench.startGolog(log.golog.dataDirectory);
      startMs.push(log.golog.startMs);
      if (typeof log.golog.serving['openMs'] === 'number') openMs.push(log.golog.serving['openMs']);
    }
    const { golog } = log;
    const watermark = await highWatermark(golog.rpcAddr);
    if (watermark < acknowledged) throw new Error(`${acknowledged} records acknowledged, ${watermark} recovered`);
    log.records = watermark;

    const rows: Row[] = [];
    const target = { below: 1000 };
    const opened = { figure: 'open 1 GiB after kill -9: the log', unit: 'ms' };
    if (openMs.length > 0) rows.push(valueRow(opened, sampleOf(openMs).median, target));
    else bench.notice('the server says no openMs: only start to serving is measured');
    const started = { figure: 'open 1 GiB after kill -9: start to serving', unit: 'ms' };
    const note = `an empty node ${Math.round(sampleOf(emptyStartMs).median)} ms`;
    rows.push(valueRow({ ...started, note }, sampleOf(startMs).median, target));

    let residentMost = 0;
    const reading = new AbortController();
    const sampling = (async () => {
      while (!reading.signal.aborted) {
        residentMost = Math.max(residentMost, (await useOf(golog.pid)).residentBytes);
        await delay(100);
      }
    })();
    const read = async (): Promise<number> => {
      let records = 0;
      return tailUntil(golog.rpcAddr, (message) => (records += batchRunOf(message).records) >= watermark);
    };
    const seconds = await Promise.all(Array.from({ length: readers }, read));
    reading.abort();
    await sampling;
    const { residentPeakBytes } = await useOf(golog.pid);
    const rate = (readers * watermark) / Math.max(...seconds);
    const memoryNote = `VmHWM; sampled VmRSS at most ${Math.round(residentMost / mebibyte)} MiB; ${(rate / 1e6).toFixed(1)} M records/s in all`;
    const figure = 'resident memory, ten readers';
    rows.push(valueRow({ figure, unit: 'MiB', note: memoryNote }, residentPeakBytes / mebibyte, { below: 250 }));
    return rows;
  },
};
