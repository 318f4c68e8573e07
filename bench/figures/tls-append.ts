import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ratioRow, type Figure } from '../harness/figure.js';
import type { SessionTls } from '../harness/grpc-session.js';
import { appendFor } from '../harness/loads.js';
import { inTurn } from '../harness/rounds.js';

const rounds = 5;
const roundSeconds = 2;

export const tlsAppend: Figure = {
  name: 'tls-append',
  title: 'batched append over gRPC by mutual TLS, against the same in clear',
  run: async (bench) => {
    const certificates = await bench.temporaryDirectory();
    await bench.runGolog(['certs', 'init', '--dir', certificates, '--node', 'n1']);
    const file = (name: string): string => join(certificates, `${name}.pem`);
    const pem = (name: string): Promise<string> => readFile(file(name), 'utf8');
    const [ca, cert, key] = await Promise.all([pem('ca'), pem('root-client'), pem('root-client-key')]);
    const tls: SessionTls = { ca, cert, key };
    const flags = ['cert', 'key', 'ca'].map((what) => `--server-tls-${what}-file`);
    const files = [file('node-n1'), file('node-n1-key'), file('ca')];
    const pairs = flags.flatMap((flag, place) => [flag, files[place]]);
    const secured = await bench.startGolog(undefined, ['--node-name', 'n1', ...pairs]);
    const plain = await bench.startGolog();
    const pair = await inTurn(
      rounds,
      { pid: secured.pid, load: () => appendFor(secured.rpcAddr, roundSeconds, tls) },
      { pid: plain.pid, load: () => appendFor(plain.rpcAddr, roundSeconds) },
    );
    await Promise.all([secured.stop(), plain.stop()]);
    for (const directory of [secured.dataDirectory, plain.dataDirectory, certificates]) await bench.remove(directory);
    const head = { figure: 'append stream, mutual TLS', unit: 'records/s', baselineName: 'in clear' };
    return [ratioRow(head, pair, { ratioAtLeast: 0.6 })];
  },
};
