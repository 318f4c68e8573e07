import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { targets } from './targets.js';
import type { Report, Task } from './worker.js';

const usage = 'usage: npm run fuzz -- [--seconds N] [--seed FIRST] [--target NAME] [--inputs N] [--list]';
/** An input that takes longer counts as a hang. */
const hangMs = 30_000;
const heapMegabytesMax = 512;
/** With fewer inputs, all or none may be accepted by chance. */
const inputsToJudge = 300;

function numberOption(value: string | undefined, otherwise: number): number {
  const number = value === undefined ? otherwise : Number(value);
  if (!(number > 0)) throw new RangeError(usage);
  return number;
}

/** Runs the task in a worker thread, so that a hang or unbounded memory is reported with its seed. */
function runTask(task: Task, onReport: (report: Report) => void): Promise<string | undefined> {
  return new Promise((resolve) => {
    const worker = new Worker(new URL('./worker.js', import.meta.url), {
      workerData: task,
      resourceLimits: { maxOldGenerationSizeMb: heapMegabytesMax },
    });
    const currentInput = (): string =>
      `--target ${targets[task.progress[0] ?? 0]?.name} --seed ${task.progress[1]} --inputs 1`;
    let seen = '';
    const watch = setInterval(() => {
      const where = currentInput();
      if (where === seen) end(`hangs: npm run fuzz -- ${where}`);
      seen = where;
    }, hangMs);
    const end = (failure?: string): void => {
      clearInterval(watch);
      void worker.terminate();
      resolve(failure);
    };
    worker.on('message', onReport);
    worker.on('error', (error) => end(`${error.message}: npm run fuzz -- ${currentInput()}`));
    worker.on('exit', () => end());
  });
}

async function main(args: readonly string[]): Promise<number> {
  const text = { type: 'string' } as const;
  const options = {
    seconds: text,
    seed: text,
    target: text,
    inputs: text,
    list: { type: 'boolean' },
    help: { type: 'boolean' },
  } as const;
  const { values } = parseArgs({ args: [...args], options });
  if (values.help === true) {
    console.log(usage);
    return 0;
  }
  if (values.list === true) {
    for (const { name } of targets) console.log(name);
    return 0;
  }
  const names = targets.map(({ name }) => name).filter((name) => name === (values.target ?? name));
  if (names.length === 0)
    throw new RangeError(`unknown target ${JSON.stringify(values.target)}: use --list to show all targets`);
  const firstSeed = numberOption(values.seed, 1);
  const seconds = numberOption(values.seconds, 60);
  const inputsMax = numberOption(values.inputs, Infinity);
  const progress = new Int32Array(new SharedArrayBuffer(8));
  const task: Task = { names, firstSeed, milliseconds: seconds * 1000, inputsMax, progress };
  let findings = 0;
  let inputs = 0;
  let oneSided = 0;
  const failure = await runTask(task, (report) => {
    const tried = report.values + report.refused + report.findings.length;
    inputs += tried;
    findings += report.findings.length;
    console.log(`${report.name.padEnd(20)} ${report.values} accepted, ${report.refused} rejected`);
    for (const { seed, what } of report.findings)
      console.log(`FOUND ${what}\n  npm run fuzz -- --target ${report.name} --seed ${seed} --inputs 1`);
    if (tried < inputsToJudge || (report.values > 0 && report.refused > 0)) return;
    oneSided += 1;
    console.log(`INCONCLUSIVE: ${report.name} accepted all of its inputs, or none`);
  });
  if (failure !== undefined) console.log(`FOUND ${failure}`);
  console.log(`${inputs} inputs from seed ${firstSeed} on, ${findings} findings, ${names.length} decoders`);
  return failure === undefined && findings + oneSided === 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
