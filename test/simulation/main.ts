import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { controls } from './controls.js';
import { requiredMarks } from './coverage.js';
import { isCaught, playJob, sweep, type Job, type Outcome } from './sweep.js';

const usage =
  'usage: [SIM_SEED=N] npm run sim -- [--seeds N | --minutes M] [--seed FIRST] [--nodes 3|5] [--control NAME] [--also FAULTS]';
/** With fewer seeds, a state that was never seen proves nothing. */
const seedsForCoverage = 100;
/** A control that is not caught in this many seeds counts as not caught. */
const seedsForControl = 40;
const traceLines = 50;
/** After this many failures there is enough to look at. */
const failuresMax = 10;

function numberOption(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const number = Number(value);
  if (!(number > 0)) throw new RangeError(usage);
  return number;
}

function report({ job, failure }: Outcome): void {
  if (failure === undefined) return;
  const nodes = job.nodes === undefined ? '' : ` --nodes ${job.nodes}`;
  const also = job.also === undefined ? '' : ` --also '${job.also.join(', ')}'`;
  const options = nodes + also === '' ? '' : ` --${nodes}${also}`;
  console.log(failure.trace.slice(-traceLines).join('\n'));
  console.log(`FAILED ${failure.detail}`);
  console.log(`SIM_SEED=${job.seed} npm run sim${options}`);
}

const faultsIn = (text: string): string[] => (text === '' ? [] : text.split(/ *, */));

function corpus(): Job[] {
  const path = join(process.cwd(), 'test/simulation/corpus.txt');
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, 'utf8').split('\n');
  return lines.flatMap((line) => {
    const [, seed, faults = ''] = /^(\d+) *([a-z, ]*[a-z])?/.exec(line.replace(/#.*/, '')) ?? [];
    return seed === undefined ? [] : [{ seed: Number(seed), also: faultsIn(faults) }];
  });
}

/** Yields the seeds of the corpus, then those requested; endless while there is time. */
function* jobsOf(first: number, count: number, untilMs: number, shape: Omit<Job, 'seed'>): Generator<Job> {
  for (const job of corpus()) yield { ...shape, ...job };
  for (let seed = first; seed < first + count && Date.now() < untilMs; seed++) yield { seed, ...shape };
}

async function sweepSeeds(
  jobs: Iterable<Job>,
): Promise<{ played: number; failed: number; marks: Map<string, number> }> {
  const marks = new Map<string, number>();
  let played = 0;
  let failed = 0;
  await sweep(jobs, (outcome) => {
    played += 1;
    for (const [name, count] of outcome.marks) marks.set(name, (marks.get(name) ?? 0) + count);
    if (outcome.failure !== undefined) failed += 1;
    report(outcome);
    return failed < failuresMax;
  });
  return { played, failed, marks };
}

async function findsControl(name: string, first: number): Promise<boolean> {
  const jobs = Array.from({ length: seedsForControl }, (_, i): Job => ({ seed: first + i, control: name }));
  let caught: Outcome | undefined;
  await sweep(jobs, (outcome) => {
    if (isCaught(outcome)) caught ??= outcome;
    return caught === undefined;
  });
  if (caught === undefined) console.log(`NOT CAUGHT in ${seedsForControl} seeds: ${name}`);
  else console.log(`caught by ${caught.failure?.invariant} with seed ${caught.job.seed}: ${name}`);
  return caught !== undefined;
}

/** Checks that the same seed gives the same run. */
async function repeats(seed: number): Promise<boolean> {
  const [once, again] = [await playJob({ seed }), await playJob({ seed })];
  if (once.hash === again.hash) return true;
  console.log(`seed ${seed} gave the hashes ${once.hash} and ${again.hash}`);
  return false;
}

async function main(args: readonly string[]): Promise<number> {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      seeds: text,
      seed: text,
      minutes: text,
      nodes: text,
      control: text,
      also: text,
      help: { type: 'boolean' },
    },
  });
  if (values.help === true) {
    console.log(usage);
    return 0;
  }
  const single = numberOption(process.env['SIM_SEED']);
  const nodes = numberOption(values.nodes);
  const shape = {
    ...(nodes !== undefined && { nodes }),
    ...(values.also !== undefined && { also: faultsIn(values.also) }),
  };
  if (single !== undefined) {
    const { control } = values;
    const job = { seed: single, ...shape, ...(control !== undefined && { control }) };
    const outcome = await playJob(job);
    report(outcome);
    console.log(`seed ${single}: hash ${outcome.hash}, ${outcome.events} events, ${outcome.acknowledged} acknowledged`);
    return outcome.failure === undefined ? 0 : 1;
  }
  const began = Date.now();
  const minutes = numberOption(values.minutes);
  const first = numberOption(values.seed) ?? 1;
  const count = minutes === undefined ? (numberOption(values.seeds) ?? 20) : Infinity;
  const untilMs = minutes === undefined ? Infinity : began + minutes * 60_000;
  const { played, failed, marks } = await sweepSeeds(jobsOf(first, count, untilMs, shape));
  for (const [name, seen] of [...marks].sort()) console.log(`${String(seen).padStart(8)} ${name}`);
  const missed = played < seedsForCoverage ? [] : requiredMarks.filter((name) => !marks.has(name));
  for (const name of missed) console.log(`NEVER SEEN: ${name}`);
  let uncaught = 0;
  if (played >= seedsForCoverage)
    for (const { name } of controls) if (!(await findsControl(name, first))) uncaught += 1;
  const isSame = await repeats(first);
  const seconds = Math.round((Date.now() - began) / 1000);
  console.log(
    `${played} seeds, ${failed} failed, ${missed.length} marks missed, ${uncaught} controls missed, ${seconds} s`,
  );
  return failed + missed.length + uncaught === 0 && isSame ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
