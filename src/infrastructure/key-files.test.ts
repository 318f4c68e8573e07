import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { RecordingLogger } from '../../test/logging/recording-logger.js';
import { type Config, resolveConfig } from './config.js';
import { checkKeyFiles, gossipKeyOf } from './key-files.js';

const folder = mkdtempSync(join(tmpdir(), 'golog-keys-'));
afterAll(() => rmSync(folder, { recursive: true }));

const key = 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=';
const config = (flags: object): Config => resolveConfig(new Map(Object.entries(flags)), {}, undefined);
function file(text: string, mode = 0o600): string {
  const path = join(folder, 'gossip.key');
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}
function errorOf(act: () => unknown): string {
  try {
    act();
    return '';
  } catch (error) {
    return String(error);
  }
}

describe('A13: the gossip key', () => {
  it('is read from a file, whose end may be a line break', () => {
    expect(gossipKeyOf(config({ 'encrypt-file': file(`${key}\n`) }))).toBe(key);
    expect(gossipKeyOf(config({ encrypt: key }))).toBe(key);
    expect(gossipKeyOf(config({}))).toBeUndefined();
    expect(errorOf(() => config({ encrypt: key, 'encrypt-file': 'x' }))).toMatch(/only one/);
  });

  it.each([
    ['a key in place of the path', () => gossipKeyOf(config({ 'encrypt-file': key }))],
    ['a mistyped key', () => gossipKeyOf(config({ 'encrypt-file': file(`${key}A`) }))],
    ['a mistyped --encrypt', () => config({ encrypt: `${key}A` })],
    ['both', () => config({ encrypt: key, 'encrypt-file': key })],
  ])('is not shown when it is refused: %s', (_, act) => {
    const error = errorOf(act);
    expect(error).toMatch(/^ConfigError: /);
    expect(error).not.toContain(key.slice(0, 8));
  });

  it.each([
    [0o600, false],
    [0o400, false],
    [0o440, false],
    [0o640, false],
    [0o644, true],
    [0o604, true],
    [0o660, true],
  ])('in a file of mode %o: a warning is %s', (mode, warns) => {
    const logger = new RecordingLogger();
    const path = file(key, mode);
    checkKeyFiles(config({ 'encrypt-file': path }), join(folder, 'absent'), logger);
    checkKeyFiles(config({}), path, logger);
    expect(logger.events('warn')).toEqual(warns ? ['key_file_open_to_others', 'key_file_open_to_others'] : []);
  });
});
