import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ratioRow, type Figure } from '../harness/figure.js';
import { largeLog } from '../harness/large-log.js';
import { tailBytes, tailUntil } from '../harness/loads.js';
import { inTurn, type Side } from '../harness/rounds.js';
import { batchRunOf, grpcFrame } from '../harness/wire.js';

const rounds = 4;
const recordedBytes = 64 * 1024 * 1024;

export const tail: Figure = {
  name: 'tail',
  title: 'reading 1 GiB back by LogService.Tail, one consumer',
  run: async (bench) => {
    const log = await largeLog(bench);
    const directory = await bench.temporaryDirectory();
    const recording = join(directory, 'tail-messages');

    const frames: Buffer[] = [];
    let messages = 0;
    let bytes = 0;
    let keptBytes = 0;
    let next = 0;
    await tailUntil(log.golog.rpcAddr, (message) => {
      const { firstOffset, records } = batchRunOf(message);
      if (firstOffset !== next) throw new Error(`offset ${firstOffset} came where ${next} was expected`);
      next += records;
      messages++;
      bytes += message.length;
      if (keptBytes < recordedBytes) {
        frames.push(grpcFrame(message));
        keptBytes += message.length;
      }
      return next >= log.records;
    });
    await writeFile(recording, Buffer.concat(frames));
    const peer = await bench.startPeer(['--tail', recording, '--tail-bytes', String(bytes)]);

    const share = 0.999;
    const side = ({ pid, rpcAddr }: { pid: number; rpcAddr: string }): Side => ({
      pid,
      load: async () => ({ units: log.records * share, seconds: await tailBytes(rpcAddr, bytes * share) }),
    });
    const pair = await inTurn(rounds, side(log.golog), side(peer));
    await peer.stop();
    await bench.remove(directory);
    const note = `messages of ${Math.round(bytes / messages / 1024)} KiB`;
    const head = { figure: 'tail, one consumer', unit: 'records/s', baselineName: 'grpc-js, from memory', note };
    return [ratioRow(head, pair, { ratioAtLeast: 0.6 })];
  },
};
