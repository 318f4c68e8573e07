import { decodeRecordInSteps } from '../../domain/log/record.js';
import { base64Text, type JsonText, stringText } from './json-text.js';

const utf8Decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Text when the bytes are UTF-8, byte order mark included, so that encoding it again gives the same bytes. */
function textOf(bytes: Uint8Array): string | undefined {
  try {
    return utf8Decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

/** The members `value` and, for bytes that are not text, `encoding`. */
function* valueText(bytes: Uint8Array): JsonText {
  const text = textOf(bytes);
  yield '"value":';
  if (text !== undefined) {
    yield* stringText(text);
    return;
  }
  yield* base64Text(bytes);
  yield ',"encoding":"base64"';
}

function* textOrBytesText(bytes: Uint8Array): JsonText {
  const text = textOf(bytes);
  if (text !== undefined) {
    yield* stringText(text);
    return;
  }
  yield '{';
  yield* valueText(bytes);
  yield '}';
}

/** The answer of `GET /`: the record with its offset, for people who read it. */
export function* plainRecordText(bytes: Uint8Array, offset: number | string): JsonText {
  const steps = decodeRecordInSteps(bytes);
  let step = steps.next();
  for (; step.done !== true; step = steps.next()) yield '';
  const { value, key, headers } = step.value;
  yield '{"record":{';
  yield* valueText(value);
  if (key !== undefined && key.length > 0) {
    yield ',"key":';
    yield* textOrBytesText(key);
  }
  let separator = ',"headers":{';
  for (const [name, header] of headers ?? []) {
    yield separator;
    yield* stringText(name);
    yield ':';
    yield* textOrBytesText(header);
    separator = ',';
  }
  if (separator === ',') yield '}';
  yield `,"offset":${JSON.stringify(offset)}}}`;
}
