import { fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { controls } from './controls.js';
import { faultKind } from './faults.js';
import { play, type RunOptions } from './run.js';

/** A run for another process: the part of `RunOptions` that can be sent there. */
export interface Job {
  readonly seed: number;
  readonly nodes?: number;
  /** Kinds of faults besides; by default the seed chooses, and chooses only among the older ones if this is empty. */
  readonly also?: readonly string[];
  /** The name of a negative control. */
  readonly control?: string;
}

/** A `RunResult` as it is sent back. */
export interface Outcome {
  readonly job: Job;
  readonly hash: string;
  readonly events: number;
  readonly virtualMs: number;
  readonly acknowledged: number;
  readonly marks: readonly (readonly [name: string, count: number])[];
  readonly failure?: { readonly invariant: string; readonly detail: string; readonly trace: readonly string[] };
}

export async function playJob(job: Job): Promise<Outcome> {
  const { control: name, also, ...options } = job;
  const control = controls.find((each) => each.name === name);
  if (name !== undefined && control === undefined) throw new RangeError(`there is no control ${JSON.stringify(name)}`);
  const runOptions: RunOptions = {
    ...options,
    ...(control && { control }),
    ...(also && { also: also.map(faultKind) }),
  };
  const { hash, events, virtualMs, acknowledged, marks, failure } = await play(runOptions);
  return { job, hash, events, virtualMs, acknowledged, marks: [...marks], ...(failure && { failure }) };
}

/** Whether the control's bug was found by its invariant, and not by an unrelated check. */
export function isCaught({ job, failure }: Outcome): boolean {
  const control = controls.find(({ name }) => name === job.control);
  return failure !== undefined && control?.breaks.includes(failure.invariant) === true;
}

/** Runs the jobs in as many processes as there are cores, two at most; ends early if `onOutcome` says so. */
export async function sweep(jobs: Iterable<Job>, onOutcome: (outcome: Outcome) => boolean): Promise<void> {
  const waiting = jobs[Symbol.iterator]();
  let ended = false;
  const work = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const worker = fork(new URL('./worker.js', import.meta.url));
      const handOut = (): void => {
        const next = ended ? undefined : waiting.next();
        if (next?.done === false) worker.send(next.value);
        else worker.disconnect();
      };
      worker.on('message', (outcome: Outcome) => {
        if (!ended && !onOutcome(outcome)) ended = true;
        handOut();
      });
      worker.on('error', reject);
      worker.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`a worker ended with status ${code}`))));
      handOut();
    });
  const workers = Math.min(2, availableParallelism());
  await Promise.all(Array.from({ length: workers }, work));
}
