import { mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { SerfGossip } from '../../../src/adapters/serf/serf-gossip.js';
import { Keyring, keyText } from '../../../src/adapters/serf/keys/keyring.js';
import { writeKeyring } from '../../../src/adapters/serf/keys/keyring-file.js';
import { Snapshot } from '../../../src/adapters/serf/snapshot.js';
import { decodePacket, encodePacket } from '../../../src/adapters/serf/wire/packet.js';
import { encodeStream, StreamDecoder } from '../../../src/adapters/serf/wire/stream.js';
import { encodeSwim } from '../../../src/adapters/serf/wire/swim-wire.js';
import { systemClock } from '../../../src/adapters/clock/system-clock.js';
import { RecordingLogger } from '../../logging/recording-logger.js';

const [one, two] = [1, 2].map((byte) => keyText(new Uint8Array(16).fill(byte)));
const ack = { type: 'ack', seqNo: 7, payload: new Uint8Array() } as const;

describe('F20: of two nodes', () => {
  it.each([
    [
      'only the sender has a key',
      new Keyring([one]),
      undefined,
      /although this node does not encrypt.*give this node the key/,
    ],
    [
      'only the receiver has a key',
      undefined,
      new Keyring([one]),
      /although this node encrypts.*give the other node the key/,
    ],
    [
      'the receiver has another key',
      new Keyring([two]),
      new Keyring([one]),
      /encrypted with a key that is not in the keyring/,
    ],
  ])('%s: the message says which', (_, sender, receiver, message) => {
    expect(() => new StreamDecoder(receiver).push(encodeStream(ack, sender))).toThrow(message);
    const packet = encodePacket([encodeSwim(ack)], { crc: true, keyring: sender });
    expect(() => decodePacket(packet, receiver)).toThrow(message);
  });
});

describe('files of gossip', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'golog-gossip-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it.each([
    [[one], one, 0],
    [[two, one], one, 0],
    [[two], one, 1],
  ])('F20: a keyring of %j and the given key %s: %d warnings', async (keys, encryptKey, warnings) => {
    const keyringPath = join(folder, 'keyring.json');
    await writeKeyring(keyringPath, new Keyring(keys));
    const logger = new RecordingLogger();
    const own = { name: 'n1', bindAddr: '127.0.0.1:0', tags: new Map<string, string>() };
    const gossip = new SerfGossip({ ...own, encryptKey, keyringPath, clock: systemClock, logger });
    await gossip.start();
    await gossip.close();
    expect(logger.fieldsOf('gossip_key_not_in_keyring')).toHaveLength(warnings);
  });

  it('A7, A13: are for the owner only, and no link is written through', async () => {
    const [victim, path] = [join(folder, 'victim'), join(folder, 'snapshot')];
    await writeFile(victim, 'kept');
    await symlink(victim, `${path}.compact`);
    const snapshot = await Snapshot.open(path, systemClock, () => undefined);
    snapshot.noteAlive('n2', '127.0.0.1:1');
    await snapshot.close();
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readFile(path, 'utf8')).toContain('alive: n2');
    expect(await readFile(victim, 'utf8')).toBe('kept');
    await rm(path);
    await symlink(victim, path);
    const failures: unknown[] = [];
    await (await Snapshot.open(path, systemClock, (error) => failures.push(error))).close();
    expect(failures).toEqual([expect.objectContaining({ code: 'ELOOP' })]);
    expect(await readFile(victim, 'utf8')).toBe('kept');
  });
});
