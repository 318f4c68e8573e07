import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ratioRow, type Figure } from '../harness/figure.js';
import { appendFor } from '../harness/loads.js';
import { inTurn } from '../harness/rounds.js';

const rounds = 5;
const roundSeconds = 2;

/** The original's. */
const modelFile = fileURLToPath(new URL('../../../test/model.conf', import.meta.url));
/** So many rules that a decision which is not kept would be seen. */
const strangers = Array.from({ length: 200 }, (_, place) => `p, client-${place}, *, produce\n`);

export const aclAppend: Figure = {
  name: 'acl-append',
  title: 'batched append over gRPC by leave of a policy, against none',
  run: async (bench) => {
    const directory = await bench.temporaryDirectory();
    const policyFile = join(directory, 'policy.csv');
    await writeFile(policyFile, `${strangers.join('')}p, anonymous, *, produce\n`);
    const acl = ['--acl-model-file', modelFile, '--acl-policy-file', policyFile];
    const guarded = await bench.startGolog(undefined, acl);
    const open = await bench.startGolog();
    const pair = await inTurn(
      rounds,
      { pid: guarded.pid, load: () => appendFor(guarded.rpcAddr, roundSeconds) },
      { pid: open.pid, load: () => appendFor(open.rpcAddr, roundSeconds) },
    );
    await Promise.all([guarded.stop(), open.stop()]);
    for (const each of [guarded.dataDirectory, open.dataDirectory, directory]) await bench.remove(each);
    const head = { figure: 'append stream, ACL', unit: 'records/s', baselineName: 'no ACL' };
    return [ratioRow(head, pair, { ratioAtLeast: 0.95 })];
  },
};
