import type { Chance } from '../simulation/chance.js';
import type { Target } from './target.js';

const bytesMax = 256 << 10;
/** Larger inputs are not wrapped in another layer, which would take as long as a hundred other inputs. */
const wrappedBytesMax = 16 << 10;

const extremes = [
  0n,
  1n,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 63n,
  2n ** 64n - 1n,
];

type Mutation = (bytes: Buffer, chance: Chance, another: () => Uint8Array) => Uint8Array;

/** Returns a random range of the bytes, usually a short one. */
function span(bytes: Buffer, chance: Chance): { from: number; to: number } {
  const from = chance.below(bytes.length + 1);
  const length = chance.percent(80) ? chance.below(16) : chance.below(bytes.length + 1);
  return { from, to: Math.min(from + length, bytes.length) };
}

function replaced(bytes: Buffer, from: number, to: number, by: Uint8Array): Buffer {
  return Buffer.concat([bytes.subarray(0, from), by, bytes.subarray(to)]);
}

const varint = (value: bigint): Buffer => {
  const out: number[] = [];
  for (let rest = value; ; rest >>= 7n) {
    out.push(Number(rest & 0x7fn) | (rest > 0x7fn ? 0x80 : 0));
    if (rest <= 0x7fn) return Buffer.from(out);
  }
};

/** Returns an unlikely length or count: an extreme, or one near the actual length. */
function oddNumber(bytes: Buffer, chance: Chance): bigint {
  return chance.percent(50) ? chance.pick(extremes) : BigInt(Math.max(0, bytes.length + chance.between(-2, 2)));
}

const flipBit: Mutation = (bytes, chance) => {
  if (bytes.length > 0) bytes[chance.below(bytes.length)] ^= 1 << chance.below(8);
  return bytes;
};

const setByte: Mutation = (bytes, chance) => {
  const odd = [0, 1, 0x7f, 0x80, 0xc0, 0xff, chance.below(256)];
  if (bytes.length > 0) bytes[chance.below(bytes.length)] = chance.pick(odd);
  return bytes;
};

const truncate: Mutation = (bytes, chance) => bytes.subarray(0, chance.below(bytes.length + 1));

const remove: Mutation = (bytes, chance) => {
  const { from, to } = span(bytes, chance);
  return replaced(bytes, from, to, Buffer.alloc(0));
};

const repeat: Mutation = (bytes, chance) => {
  const { from, to } = span(bytes, chance);
  const times = Math.min(chance.pick([1, 1, 2, 10, 1000]), Math.ceil(bytesMax / Math.max(1, to - from)));
  return replaced(bytes, to, to, Buffer.concat(Array<Buffer>(times).fill(bytes.subarray(from, to))));
};

const insert: Mutation = (bytes, chance) => {
  const at = chance.below(bytes.length + 1);
  return replaced(bytes, at, at, Buffer.from(Array.from({ length: chance.between(1, 12) }, () => chance.below(256))));
};

const splice: Mutation = (bytes, chance, another) => {
  const other = Buffer.from(another());
  const { from, to } = span(other, chance);
  const here = span(bytes, chance);
  return replaced(bytes, here.from, chance.percent(50) ? here.from : here.to, other.subarray(from, to));
};

const writeNumber: Mutation = (bytes, chance) => {
  const size = chance.pick([2, 4, 8]);
  if (bytes.length < size) return bytes;
  const number = Buffer.alloc(8);
  number.writeBigUInt64BE(oddNumber(bytes, chance));
  const field = number.subarray(8 - size);
  if (chance.percent(30)) field.reverse();
  bytes.set(field, chance.below(bytes.length - size + 1));
  return bytes;
};

const writeVarint: Mutation = (bytes, chance) => {
  const from = chance.below(bytes.length + 1);
  return replaced(bytes, from, Math.min(from + 1, bytes.length), varint(oddNumber(bytes, chance)));
};

/** Writes the head of a msgpack list, map or string with a 32-bit length. */
const writeHead: Mutation = (bytes, chance) => {
  const head = Buffer.alloc(5);
  head[0] = chance.pick([0xdb, 0xc6, 0xdd, 0xdf]);
  head.writeUInt32BE(Number(BigInt.asUintN(32, oddNumber(bytes, chance))), 1);
  const at = chance.below(bytes.length + 1);
  return replaced(bytes, at, Math.min(at + chance.pick([0, 1, 5]), bytes.length), head);
};

/** Inserts nested one-byte lists, maps or protobuf groups. */
const nest: Mutation = (bytes, chance) => {
  const at = chance.below(bytes.length + 1);
  const depth = chance.pick([4, 17, 101, 5_000, 100_000]);
  return replaced(bytes, at, at, Buffer.alloc(depth, chance.pick([0x81, 0x91, 0x0b, 0x7b])));
};

const binary = [
  ...[flipBit, flipBit, setByte, setByte, truncate, remove, repeat, insert, splice],
  ...[writeNumber, writeNumber, writeVarint, writeHead, nest],
];

const words = [
  ...['-1', '0', '1e309', '1e15', '9007199254740992', '18446744073709551615', '18446744073709551616', '-0', '0x10'],
  ...['__proto__', 'constructor', 'toString', '../', '/', '\0', '\r\n', '\u001b[2J', '\u2028', '\ufeff', '\ud800', 'ß'],
  ...['', ' ', ',', ':', '"', "'", '{', '}', '[', ']', '(', ')', '\\', '\\u0000', '\\ud800', '#', '&', '*', '%', '|'],
];

const insertWord =
  (own: readonly string[]): Mutation =>
  (bytes, chance) => {
    const { from, to } = span(bytes, chance);
    const word = Buffer.from(chance.pick(chance.percent(50) && own.length > 0 ? own : words));
    const times = chance.percent(5) ? chance.pick([20, 300, 20_000]) : 1;
    return replaced(bytes, from, chance.percent(50) ? from : to, Buffer.concat(Array<Buffer>(times).fill(word)));
  };

/** Returns an input for the target: a valid encoding, usually with a few mutations. */
export function inputFor(target: Target, chance: Chance): Uint8Array {
  const another = (): Uint8Array => target.valid(chance);
  let bytes = Buffer.from(another());
  if (chance.percent(5)) return bytes;
  const mutations =
    target.words === undefined ? binary : [...binary.slice(0, 9), ...Array<Mutation>(9).fill(insertWord(target.words))];
  for (let count = chance.pick([1, 1, 1, 2, 3, 8]); count > 0; count--)
    bytes = Buffer.from(chance.pick(mutations)(bytes, chance, another)).subarray(0, bytesMax);
  if (target.reseal !== undefined && chance.percent(70)) bytes = Buffer.from(target.reseal(bytes));
  if (target.wrap !== undefined && chance.percent(20))
    for (let depth = chance.pick([1, 2, 5, 40]); depth > 0 && bytes.length < wrappedBytesMax; depth--)
      bytes = Buffer.from(target.wrap(bytes));
  return Uint8Array.from(bytes);
}
