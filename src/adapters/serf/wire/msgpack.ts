import { MalformedGossipError } from '../../../domain/gossip/wire.js';
import { MsgpackReader } from './msgpack-reader.js';
import { MsgpackWriter } from './msgpack-writer.js';

/** Reads and writes a Go type in msgpack. */
export interface Pack<T> {
  /** The value of an omitted field. */
  readonly zero: T;
  write(writer: MsgpackWriter, value: T): void;
  /** Throws `MalformedGossipError`. */
  read(reader: MsgpackReader): T;
}

function integerPack(min: bigint, max: bigint): Pack<number> {
  const range = `${min} to ${max}`;
  return {
    zero: 0,
    write(writer, value) {
      const integer = BigInt(value);
      if (integer < min || integer > max) throw new RangeError(`${value} is out of range: expected ${range}`);
      writer.integer(integer);
    },
    read(reader) {
      const integer = reader.integer();
      if (integer < min || integer > max)
        throw new MalformedGossipError(`${integer} is out of range: expected ${range}`);
      return Number(integer);
    },
  };
}

export const uint8 = integerPack(0n, 0xffn);
export const uint16 = integerPack(0n, 0xffffn);
export const uint32 = integerPack(0n, 0xffffffffn);
/** A length, or a uint64 up to 2^53 - 1; a larger one is rejected. */
export const uint53 = integerPack(0n, BigInt(Number.MAX_SAFE_INTEGER));

/** A non-negative Go duration: in ms here, in ns on the wire. */
export const durationMs: Pack<number> = {
  zero: 0,
  write: (writer, value) => writer.integer(BigInt(Math.round(value * 1e6))),
  read(reader) {
    const ns = reader.integer();
    if (ns < 0n || ns >= 2n ** 63n) throw new MalformedGossipError(`a duration of ${ns} ns`);
    return Number(ns) / 1e6;
  },
};

export const boolean: Pack<boolean> = {
  zero: false,
  write: (writer, value) => writer.boolean(value),
  read: (reader) => reader.boolean(),
};

export const float: Pack<number> = {
  zero: 0,
  write: (writer, value) => writer.float(value),
  read: (reader) => reader.float(),
};

export const text: Pack<string> = {
  zero: '',
  write: (writer, value) => writer.text(value),
  read: (reader) => reader.text(),
};

const noBytes = new Uint8Array();

/** Read without copying. */
export const bytes: Pack<Uint8Array> = {
  zero: noBytes,
  write: (writer, value) => writer.raw(value),
  read: (reader) => reader.raw(),
};

/** Written as nil when empty, as Go writes a slice that was never set. */
export const bytesOrNil: Pack<Uint8Array> = {
  ...bytes,
  write: (writer, value) => (value.length === 0 ? writer.nil() : writer.raw(value)),
};

export function list<T>(element: Pack<T>): Pack<readonly T[]> {
  return {
    zero: [],
    write(writer, values) {
      writer.arrayHeader(values.length);
      for (const value of values) element.write(writer, value);
    },
    read(reader) {
      const values: T[] = [];
      for (let left = reader.arrayHeader(); left > 0; left--) values.push(element.read(reader));
      return values;
    },
  };
}

/** Written as nil when empty, as Go writes a slice that was never set. */
export function listOrNil<T>(element: Pack<T>): Pack<readonly T[]> {
  const pack = list(element);
  return { ...pack, write: (writer, values) => (values.length === 0 ? writer.nil() : pack.write(writer, values)) };
}

/** Written in the order of the map; for a duplicate key, the last value wins. */
export function mapOf<T>(value: Pack<T>): Pack<ReadonlyMap<string, T>> {
  return {
    zero: new Map(),
    write(writer, map) {
      writer.mapHeader(map.size);
      for (const [key, one] of map) {
        writer.text(key);
        value.write(writer, one);
      }
    },
    read(reader) {
      const map = new Map<string, T>();
      for (let left = reader.mapHeader(); left > 0; left--) map.set(reader.text(), value.read(reader));
      return map;
    },
  };
}

/** A field that Go omits when it is empty. */
export function omitEmpty<T extends number | string | Uint8Array>(pack: Pack<T>): Pack<T> {
  return new OmitEmpty(pack);
}

class OmitEmpty<T> implements Pack<T> {
  readonly #pack: Pack<T>;

  constructor(pack: Pack<T>) {
    this.#pack = pack;
  }

  get zero(): T {
    return this.#pack.zero;
  }

  write(writer: MsgpackWriter, value: T): void {
    this.#pack.write(writer, value);
  }

  read(reader: MsgpackReader): T {
    return this.#pack.read(reader);
  }
}

const isEmpty = (value: unknown): boolean =>
  value === 0 || value === '' || (value instanceof Uint8Array && value.length === 0);

/**
 * A Go struct: a map by field name, written in the given order and read in any. A missing field reads as its zero
 * value, and an unknown one is skipped.
 */
export function struct<T extends object>(fields: { readonly [K in keyof T]: Pack<T[K]> }): Pack<T> {
  const names = (Object.keys(fields) as (keyof T & string)[]).sort();
  const known = new Map<string, keyof T & string>(names.map((name) => [name, name]));
  const zero = Object.fromEntries(names.map((name) => [name, fields[name].zero])) as T;
  return {
    zero,
    write(writer, value) {
      const written = names.filter((name) => !(fields[name] instanceof OmitEmpty && isEmpty(value[name])));
      writer.mapHeader(written.length);
      for (const name of written) {
        writer.text(name);
        fields[name].write(writer, value[name]);
      }
    },
    read(reader) {
      const value = { ...zero };
      for (let left = reader.mapHeader(); left > 0; left--) {
        const name = known.get(reader.text());
        if (name === undefined) reader.skip();
        else value[name] = fields[name].read(reader);
      }
      return value;
    },
  };
}

/** Encodes `value` after the bytes of `prefix`. */
export function encode<T>(pack: Pack<T>, value: T, ...prefix: readonly number[]): Uint8Array {
  const writer = new MsgpackWriter();
  for (const byte of prefix) writer.byte(byte);
  pack.write(writer, value);
  return writer.finish();
}

/** Decodes one value from `at` to the end. Throws `MalformedGossipError`. */
export function decode<T>(pack: Pack<T>, from: Uint8Array, at = 0): T {
  const reader = new MsgpackReader(from, at);
  const value = pack.read(reader);
  reader.expectEnd();
  return value;
}
