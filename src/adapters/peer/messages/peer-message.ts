import { fromBinary, type DescMessage, type MessageShape } from '@bufbuild/protobuf';
import { InvalidInputError } from '../../../domain/log/errors.js';

/** Decodes a message from a peer. Throws `InvalidInputError` for malformed bytes. */
export function peerMessage<Desc extends DescMessage>(schema: Desc, bytes: Uint8Array): MessageShape<Desc> {
  try {
    return fromBinary(schema, new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  } catch (cause) {
    throw new InvalidInputError(`a peer sent bytes that are not a valid ${schema.name}`, { cause });
  }
}
