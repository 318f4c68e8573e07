import type { DescMessage, MessageShape } from '@bufbuild/protobuf';
import { fromBinary } from '@bufbuild/protobuf';
import { InvalidInputError } from '../../domain/log/errors.js';

/** Parses a request; bytes that are not such a message are an `InvalidInputError`. */
export function parseRequest<Desc extends DescMessage>(schema: Desc, request: Uint8Array): MessageShape<Desc> {
  try {
    return fromBinary(schema, request, { readUnknownFields: false });
  } catch (cause) {
    throw new InvalidInputError(`the request is not a valid ${schema.typeName}`, { cause });
  }
}
