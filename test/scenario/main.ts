import { relative, resolve } from 'node:path';
import { playFile, scenarioFiles } from './play.js';

/** Plays every scenario below the given directory, relative to the directory in which npm was started. */
function main(args: readonly string[]): number {
  const [given] = args;
  if (given === undefined || args.length > 1) {
    console.error('usage: npm run test:raft-scenarios -- DIR');
    return 2;
  }
  const directory = resolve(process.env['INIT_CWD'] ?? '.', given);
  const files = scenarioFiles(directory);
  if (files === undefined) {
    console.log('skipped: data absent');
    return 0;
  }
  let failed = 0;
  for (const file of files) {
    const difference = playFile(file);
    const name = relative(directory, file);
    if (difference === '') {
      console.log(`ok   ${name}`);
    } else {
      failed += 1;
      console.log(`FAIL ${name}\n${difference.replace(/^/gm, '     ')}`);
    }
  }
  console.log(`${files.length - failed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

process.exitCode = main(process.argv.slice(2));
