import { spawnSync } from 'node:child_process';
import { describe, expect, it } from '@jest/globals';
import { Command } from 'commander';
import { addProduceCommand } from '../produce-command.js';
import { givenOptions, quoted } from './given-options.js';
import { addTlsOptions } from './tls-options.js';

function produceCommand(): Command {
  const program = new Command('golog');
  addProduceCommand(program);
  addTlsOptions(program);
  return program.commands[0];
}

describe('givenOptions', () => {
  it.each([
    [[], []],
    [['access.log'], []],
    [['-'], []],
    [
      ['--format', 'ndjson', 'a b.json', '--addr', 'h1:1,h2:2', '--shared'],
      ['--format', 'ndjson', '--addr', 'h1:1,h2:2', '--shared'],
    ],
    [
      ['--format=raw', '--tls-ca-file', 'ca.pem', 'ca.pem'],
      ['--format=raw', '--tls-ca-file', 'ca.pem'],
    ],
    [
      ['--linger', '-1ms', '--', '--json'],
      ['--linger', '-1ms'],
    ],
  ])('of %j are %j', (args, options) => {
    expect(givenOptions(produceCommand(), args)).toEqual(options);
  });
});

describe('quoted', () => {
  it.each(['a', "it's", 'a b', '$HOME', '`x`', '"', '\\', '*', '', 'a\nb', '~', '#', 'ä', '!!', "'"])(
    'is read by a shell as it was: %j',
    (arg) => {
      expect(spawnSync('sh', ['-c', `printf %s ${quoted(arg)}`], { encoding: 'utf8' }).stdout).toBe(arg);
    },
  );
});
