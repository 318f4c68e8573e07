import { parentPort, workerData } from 'node:worker_threads';
import { tryOnce } from './campaign.js';
import { targets } from './targets.js';

/** The input of a worker: `progress` is shared memory for the current target and seed. */
export interface Task {
  readonly names: readonly string[];
  readonly firstSeed: number;
  readonly milliseconds: number;
  readonly inputsMax: number;
  readonly progress: Int32Array;
}

export interface Report {
  readonly name: string;
  readonly values: number;
  readonly refused: number;
  readonly findings: readonly { readonly seed: number; readonly what: string }[];
}

const findingsMax = 5;

async function sweep({ names, firstSeed, milliseconds, inputsMax, progress }: Task): Promise<void> {
  for (const name of names) {
    const target = targets.find((each) => each.name === name);
    if (target === undefined) continue;
    const counts = { value: 0, refused: 0 };
    const findings: { seed: number; what: string }[] = [];
    const endsAt = performance.now() + milliseconds / names.length;
    for (let seed = firstSeed; seed < firstSeed + inputsMax && performance.now() < endsAt; seed++) {
      progress[0] = targets.indexOf(target);
      progress[1] = seed;
      try {
        counts[await tryOnce(target, seed)] += 1;
      } catch (error) {
        findings.push({ seed, what: error instanceof Error ? error.message : String(error) });
        if (findings.length === findingsMax) break;
      }
    }
    const report: Report = { name, values: counts.value, refused: counts.refused, findings };
    parentPort?.postMessage(report);
  }
}

await sweep(workerData as Task);
