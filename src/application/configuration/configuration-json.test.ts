import { describe, expect, it } from '@jest/globals';
import { InvalidInputError } from '../../domain/log/errors.js';
import { firstConfiguration, type StoredConfiguration } from './configuration.js';
import { encodeTransfer, parseChangeContext, parseStoredConfiguration, parseTransfer } from './configuration-json.js';

const member = { id: 1, name: 'n1', uuid: '', rpcAddr: '127.0.0.1:8400' };
const transfer = {
  configuration: firstConfiguration(member),
  offset: 4,
  contacts: [{ ...member, id: 2, replaces: 1 }],
};
const bytesOf = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

describe('the JSON of a configuration', () => {
  it('is read back as it was written', () => {
    expect(parseTransfer(encodeTransfer(transfer))).toEqual(transfer);
    const stored: StoredConfiguration = {
      id: 1,
      contacts: [member],
      history: [
        { ...transfer.configuration, removed: [{ id: 7, uuid: 'u7', removal: 'as dead' }] },
        transfer.configuration,
      ],
      replica: true,
      damagedFrom: 3,
      repairing: { until: 9, cutFrom: 4 },
    };
    expect(parseStoredConfiguration(bytesOf(stored))).toEqual(stored);
    expect(parseStoredConfiguration(bytesOf({ id: 0, contacts: [], history: [] }))).toEqual({
      id: 0,
      contacts: [],
      history: [],
    });
  });

  it.each<[string, unknown]>([
    ['null', null],
    ['a list', []],
    ['an offset below 0', { ...transfer, offset: -1 }],
    ['an offset above 2^53', { ...transfer, offset: 2 ** 53 }],
    ['no configuration', { ...transfer, configuration: undefined }],
    ['contacts of text', { ...transfer, contacts: 'n1' }],
    ['a member that is null', { ...transfer, contacts: [null] }],
    ['a member without an address', { ...transfer, contacts: [{ ...member, rpcAddr: undefined }] }],
    ['voters that are not numbers', { ...transfer, configuration: { ...transfer.configuration, confState: {} } }],
  ])('is rejected with %s', (_, value) => {
    expect(() => parseTransfer(bytesOf(value))).toThrow(InvalidInputError);
  });

  it('is rejected where it is not JSON or has the wrong types', () => {
    expect(() => parseChangeContext(Uint8Array.of(0x7b))).toThrow(InvalidInputError);
    expect(() => parseChangeContext(Uint8Array.of(0xff))).toThrow(InvalidInputError);
    expect(() => parseChangeContext(bytesOf({ nonce: 1, members: 'n1' }))).toThrow(InvalidInputError);
  });
});
