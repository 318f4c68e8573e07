import { type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { malformed, WireReader, WireType } from '../../domain/log/wire-reader.js';

/**
 * So many fields a message may have, those within its records not counted unless they are headers. Parsing makes an
 * object of each record or header, some 5 µs, so it is their number and not the size of the message that holds up the
 * event loop. It does not count for messages that append: none of their records becomes an object (`AppendRequests`).
 */
export const elementsMax = 4_096;
/** The other fields within records: a record that names its value again and again is no more objects, but work. */
const innerFieldsMax = 16 * elementsMax;

interface FieldShape {
  readonly wireType: number;
  /** Several values may also come as bytes. */
  readonly isPackable: boolean;
  /** What is in it, where it is a message or an entry of a map. */
  readonly message?: MessageShape;
}

/** What a message of a kind may have on the wire, by field number. */
type MessageShape = Map<number, FieldShape>;

const wireTypeOf = (scalar: ScalarType): number => {
  switch (scalar) {
    case ScalarType.STRING:
    case ScalarType.BYTES:
      return WireType.bytes;
    case ScalarType.DOUBLE:
    case ScalarType.FIXED64:
    case ScalarType.SFIXED64:
      return WireType.fixed64;
    case ScalarType.FLOAT:
    case ScalarType.FIXED32:
    case ScalarType.SFIXED32:
      return WireType.fixed32;
    default:
      return WireType.varint;
  }
};

/** Messages may hold themselves. */
const shapes = new Map<DescMessage, MessageShape>();

function shapeOf(descriptor: DescMessage): MessageShape {
  const known = shapes.get(descriptor);
  if (known !== undefined) return known;
  const shape: MessageShape = new Map();
  shapes.set(descriptor, shape);
  for (const field of descriptor.fields) shape.set(field.number, fieldShapeOf(field));
  return shape;
}

function fieldShapeOf(field: DescField): FieldShape {
  const value = valueShapeOf(field.scalar, field.message);
  if (field.fieldKind === 'list') return { ...value, isPackable: value.wireType !== WireType.bytes };
  if (field.fieldKind !== 'map') return value;
  const message = new Map([
    [1, valueShapeOf(field.mapKey)],
    [2, value],
  ]);
  return { wireType: WireType.bytes, isPackable: false, message };
}

/** Neither a scalar nor a message is an enum. */
function valueShapeOf(scalar: ScalarType | undefined, message?: DescMessage): FieldShape {
  if (message !== undefined) return { wireType: WireType.bytes, isPackable: false, message: shapeOf(message) };
  return { wireType: scalar === undefined ? WireType.varint : wireTypeOf(scalar), isPackable: false };
}

class StrictWalk {
  #elements = 0;
  #innerFields = 0;
  readonly #reader: WireReader;

  constructor(bytes: Uint8Array) {
    this.#reader = new WireReader(bytes, 0, bytes.length);
  }

  /** Moves to the end of the message. */
  walk(shape: MessageShape, isOutermost: boolean): void {
    const reader = this.#reader;
    while (reader.at < reader.end) {
      const tag = reader.tag();
      if (tag === malformed) throw malformedAt('a tag', reader);
      const field = shape.get(tag >>> 3);
      if (isOutermost || field?.message !== undefined) this.#countElement();
      else if ((this.#innerFields += 1) > innerFieldsMax) throw tooManyElements();
      if (field !== undefined && field.wireType !== (tag & 7) && !(field.isPackable && (tag & 7) === WireType.bytes))
        throw malformedAt(`the wire type of field ${tag >>> 3}`, reader);
      if (field?.message === undefined) {
        if (reader.skip(tag) === malformed) throw malformedAt(`field ${tag >>> 3}`, reader);
      } else {
        const length = reader.length();
        if (length === malformed) throw malformedAt(`the length of field ${tag >>> 3}`, reader);
        const { end } = reader;
        reader.end = reader.at + length;
        this.walk(field.message, false);
        reader.end = end;
      }
    }
  }

  get elements(): number {
    return this.#elements;
  }

  #countElement(): void {
    this.#elements += 1;
    if (this.#elements > elementsMax) throw tooManyElements();
  }
}

export function tooManyElements(what = 'message'): ConnectError {
  return new ConnectError(
    `the ${what} has more than ${elementsMax} elements. Expected fewer headers, names or values`,
    Code.ResourceExhausted,
  );
}

function malformedAt(what: string, { at }: WireReader): ConnectError {
  return new ConnectError(`the message is malformed: ${what}, before byte ${at}`, Code.InvalidArgument);
}

/**
 * Checks that a message is what its descriptor says, by the rules of protobuf: no groups, no other wire types, no field
 * that ends after the message it is in. The parser would take all of these, and find more in such a message than can
 * be counted. Answers how many there are. Throws INVALID_ARGUMENT; RESOURCE_EXHAUSTED if there are more than
 * `elementsMax`.
 */
export function checkMessage(bytes: Uint8Array, descriptor: DescMessage): number {
  const walk = new StrictWalk(bytes);
  walk.walk(shapeOf(descriptor), true);
  return walk.elements;
}
