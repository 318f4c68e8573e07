import { fromBinary, type DescMessage, type MessageShape } from '@bufbuild/protobuf';
import { InvalidInputError } from '../../../domain/log/errors.js';

/** A message as a peer sent it. Throws `InvalidInputError` for bytes that are none. */
export function peerMessage<Desc extends DescMessage>(schema: Desc, bytes: Uint8Array): MessageShape<Desc> {
  try {
    return fromBinary(schema, new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  } catch (cause) {
    throw new InvalidInputError(`bytes of a peer are no ${schema.name}`, { cause });
  }
}
