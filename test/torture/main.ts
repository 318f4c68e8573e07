import { allFaults } from './faults.js';
import { readOptions, usage } from './options.js';
import { runTorture } from './run.js';

async function main(args: readonly string[]): Promise<number> {
  let options;
  try {
    options = readOptions(args);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    console.error(usage);
    return 2;
  }
  if (options.list) {
    for (const { name, summary } of allFaults) console.log(`${name.padEnd(24)} ${summary}`);
    return 0;
  }
  return (await runTorture(options)) ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
