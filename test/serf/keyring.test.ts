import { mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Keyring, KeyringError, keyText, parseKey } from '../../src/adapters/serf/keyring.js';
import { readKeyring, writeKeyring } from '../../src/adapters/serf/keyring-file.js';
import { MalformedGossipError } from '../../src/domain/membership/wire.js';

const keyOf = (byte: number, length = 16): Uint8Array => new Uint8Array(length).fill(byte);
const [a, b] = [keyText(keyOf(1)), keyText(keyOf(2, 32))];

describe('a keyring', () => {
  it('rotates: install, use, remove', () => {
    const keyring = new Keyring([a]);
    keyring.install(parseKey(b));
    keyring.install(parseKey(b));
    expect(keyring.keys).toEqual([a, b]);
    expect(() => keyring.remove(parseKey(a))).toThrow(KeyringError);
    keyring.use(parseKey(b));
    expect(keyring.keys).toEqual([b, a]);
    expect(keyring.primary).toEqual(keyOf(2, 32));
    keyring.remove(parseKey(a));
    keyring.remove(parseKey(a));
    expect(keyring.keys).toEqual([b]);
    expect(() => keyring.use(parseKey(a))).toThrow(KeyringError);
    expect(() => keyring.install(keyOf(1, 17))).toThrow(KeyringError);
  });

  it('takes only keys', () => {
    for (const keys of [[], [''], ['AAAA'], [a.slice(0, -1)], [`${a}\n`], [keyText(keyOf(1, 17))]])
      expect(() => new Keyring(keys)).toThrow(MalformedGossipError);
    expect(new Keyring([a, b, a]).keys).toEqual([a, b]);
  });
});

describe('a keyring file', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'golog-keyring-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  it("is Serf's, for its owner alone, and nothing is left beside it", async () => {
    const path = join(directory, 'keys.json');
    expect(await readKeyring(path)).toBeUndefined();
    await writeFile(path, '[]', { mode: 0o644 });
    await writeKeyring(path, new Keyring([b, a]));
    expect(JSON.parse(await readFile(path, 'utf8'))).toEqual([b, a]);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readdir(directory)).toEqual(['keys.json']);
    expect((await readKeyring(path))?.keys).toEqual([b, a]);
  });

  it.each(['', '{}', '[1]', '["x"]', '[]', 'null'])('is refused when it is %p', async (text) => {
    const path = join(directory, 'keys.json');
    await writeFile(path, text);
    await expect(readKeyring(path)).rejects.toBeInstanceOf(MalformedGossipError);
  });
});
