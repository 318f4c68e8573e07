import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { readText, root } from './checkout.js';

const help = async (...command: string[]): Promise<string> =>
  (await promisify(execFile)(join(root, 'bin/golog'), [...command, '--help'])).stdout;

const flagsIn = (text: string): string[] => [...text.matchAll(/(?<![\w-])--[a-z][a-z-]*/g)].map(([flag]) => flag);

/** The names in the list of commands of a help text. */
function commandsIn(text: string): string[] {
  const [list = ''] = (text.split(/^Commands:$/m)[1] ?? '').split('\n\n');
  return [...list.matchAll(/^ {2}([a-z]+)/gm)].map((match) => match[1] ?? '').filter((name) => name !== 'help');
}

/** Returns the options of a command and of its subcommands. */
async function optionsOf(...command: string[]): Promise<string[]> {
  const text = await help(...command);
  const below = await Promise.all(commandsIn(text).map((name) => optionsOf(...command, name)));
  return [...flagsIn(text), ...below.flat()];
}

describe('README and CONTRIBUTING', () => {
  /** The options of each command by its name. */
  const options = new Map<string, readonly string[]>();

  beforeAll(async () => {
    const names = commandsIn(await help());
    await Promise.all(names.map(async (name) => options.set(name, await optionsOf(name))));
  }, 60_000);

  const text = `${readText('README.md')}\n${readText('CONTRIBUTING.md')}`;

  it('call golog only with commands and options that it has', () => {
    const calls = [...text.matchAll(/^[^#\n]*?(?:bin\/golog|golog|\.\/run\.sh)((?: [^\n`|#]*)?)/gm)]
      .map((match) => match[0].trim())
      .filter((call) => /(bin\/golog|^golog|^\$ golog|run\.sh) ?[a-z-]*/.test(call) && call.includes(' --'));
    const wrong = calls.flatMap((call) => {
      const command = call.includes('run.sh') ? 'serve' : (/golog ([a-z]+)/.exec(call)?.[1] ?? '');
      const known = options.get(command) ?? [];
      return flagsIn(call)
        .filter((flag) => !known.includes(flag) && flag !== '--help' && flag !== '--version')
        .map((flag) => `${call}: ${flag}`);
    });
    expect(wrong).toEqual([]);
  });

  it('mention in prose only options that some command has', () => {
    const known = new Set([...options.values()].flat());
    const prose = text.replace(/^```[\s\S]*?^```/gm, '');
    const mentioned = [...prose.matchAll(/`(--[a-z][a-z-]*)/g)].map((match) => match[1] ?? '');
    expect(mentioned.filter((flag) => !known.has(flag))).toEqual([]);
  });
});
