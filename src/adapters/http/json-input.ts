import * as z from 'zod';
import { InvalidInputError } from '../../domain/log/errors.js';
import type { Producer } from '../../domain/log/batch-prefix.js';
import type { Record } from '../../domain/log/record.js';
import { producerIdOrThrow } from '../../domain/log/producer-id.js';
import { parseStrictJson } from './strict-json.js';

const uint64Max = 2n ** 64n - 1n;

/** A lone surrogate has no UTF-8; encoding it would store U+FFFD in its place. */
const loneSurrogate = /\p{Surrogate}/u;

/** Text, as it is in the JSON, or base64 for bytes that are not UTF-8. */
interface Text {
  readonly value: string;
  readonly encoding?: 'base64' | undefined;
}

function isBase64(text: string): boolean {
  return Buffer.from(text, 'base64').toString('base64') === text;
}

function checkText(text: Text, context: z.RefinementCtx<Text>): void {
  if (text.encoding === 'base64' && !isBase64(text.value))
    context.addIssue({
      code: 'custom',
      path: ['value'],
      message: 'is not base64: expected the standard alphabet (+ and /), padded with =, and nothing else',
    });
  if (text.encoding === undefined && loneSurrogate.test(text.value))
    context.addIssue({
      code: 'custom',
      path: ['value'],
      message: 'has half a surrogate pair, which no UTF-8 can hold',
    });
}

const textFields = { value: z.string(), encoding: z.literal('base64').optional() };
const textOrBytes = z.union([
  z
    .string()
    .transform((value): Text => ({ value }))
    .superRefine(checkText),
  z.strictObject(textFields).superRefine(checkText),
]);

/** So many faults are told: each takes longer than ten headers that are right. */
const issuesMax = 8;

/** Not `z.record`, which drops a header named `__proto__` without a word. */
const headers = z
  .custom<object>((value) => typeof value === 'object' && value !== null && !Array.isArray(value), {
    message: 'Invalid input: expected an object of header names and values',
  })
  .transform((value, context) => {
    const entries = new Map<string, Uint8Array>();
    for (const [name, candidate] of Object.entries(value)) {
      if (context.issues.length >= issuesMax) break;
      if (loneSurrogate.test(name))
        context.addIssue({ code: 'custom', message: 'a name has half a surrogate pair, which no UTF-8 can hold' });
      const parsed = textOrBytes.safeParse(candidate);
      if (parsed.success) entries.set(name, bytesOf(parsed.data));
      else
        for (const issue of flatten(parsed.error.issues))
          context.addIssue({ ...custom(issue), path: [name, ...issue.path] });
    }
    return entries;
  });

/** A whole number from 0: as a string above 9007199254740991, where it is refused all the same. */
const count = z
  .union([
    z.int().min(0),
    z
      .string()
      .regex(/^(0|[1-9]\d{0,15})$/)
      .transform(Number),
  ])
  .refine((value) => Number.isSafeInteger(value), { message: 'expected a whole number from 0 to 9007199254740991' });

const produceBody = z.strictObject({
  producer: z.strictObject({ id: z.string(), epoch: count, sequence: count }).optional(),
  record: z
    .strictObject({
      ...textFields,
      key: textOrBytes.optional(),
      headers: headers.optional(),
      // What a consumer was sent may be posted again as it is; the offset is the server's, as on the other transports.
      offset: z.unknown().optional(),
    })
    .superRefine(checkText),
});

const consumeBody = z.strictObject({ offset: z.unknown().optional() });

type Issue = z.core.$ZodIssue;

function custom(issue: Issue): { code: 'custom'; message: string } {
  return { code: 'custom', message: issue.message };
}

/** The issues of the alternative that came closest, the one with the deepest path, if no alternative of a union matched. */
function flatten(issues: readonly Issue[]): Issue[] {
  return issues.flatMap((issue) => {
    if (issue.code !== 'invalid_union') return [issue];
    const depth = (alternative: readonly Issue[]): number =>
      Math.max(...alternative.map(({ path, code }) => path.length + (code === 'invalid_type' ? 0 : 1)));
    const alternatives = issue.errors.map((alternative) => flatten(alternative));
    const closest = alternatives.reduce((best, next) => (depth(next) > depth(best) ? next : best));
    if (depth(closest) === 0)
      return [{ ...issue, message: 'expected a string, or {"value": "...", "encoding": "base64"}' }];
    return closest.map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] }));
  });
}

function bytesOf({ value, encoding }: Text): Uint8Array {
  return Buffer.from(value, encoding ?? 'utf8');
}

function parse<Output>(schema: z.ZodType<Output>, body: Uint8Array, expected: string): Output {
  const result = schema.safeParse(parseStrictJson(body));
  if (result.success) return result.data;
  const found = flatten(result.error.issues).map(({ path, message }) =>
    path.length === 0 ? message : `${path.join('.')}: ${message}`,
  );
  throw new InvalidInputError(`${found.join('; ')}. Expected ${expected}`);
}

/** The record of `{"record": {"value": "AA"}}`, and its place among those of a producer, if there is one. */
export interface ProduceBody {
  readonly record: Record;
  readonly producer?: Producer;
}

/** Throws `InvalidInputError` naming what is wrong and what was expected. */
export function parseProduceBody(body: Uint8Array): ProduceBody {
  const expected =
    '{"record": {"value": "text"}}, with "encoding": "base64" beside a value of other bytes; to have no record stored ' +
    'twice, "producer": {"id": "name", "epoch": 0, "sequence": 0} beside the record';
  if (body.length === 0) throw new InvalidInputError(`the body is empty. Expected ${expected}`);
  const { record, producer } = parse(produceBody, body, expected);
  if (producer !== undefined) producerIdOrThrow(producer.id);
  return {
    record: {
      value: bytesOf(record),
      ...(record.key === undefined ? {} : { key: bytesOf(record.key) }),
      ...(record.headers === undefined ? {} : { headers: record.headers }),
    },
    ...(producer && { producer }),
  };
}

const expectedOffset = 'an offset: a whole number from 0, as a string above 9007199254740991';

function offsetOfText(text: string): bigint {
  const offset = /^\d{1,20}$/.test(text) ? BigInt(text) : undefined;
  if (offset === undefined || offset > uint64Max)
    throw new InvalidInputError(`offset is ${JSON.stringify(text.slice(0, 40))}. Expected ${expectedOffset}`);
  return offset;
}

/** The offset of `{"offset": 0}`. A number that JSON parsers round is refused; as a string it is taken exactly. */
export function parseConsumeBody(body: Uint8Array): bigint {
  const { offset } = parse(consumeBody, body, '{"offset": 0}');
  if (typeof offset === 'string') return offsetOfText(offset);
  if (Number.isSafeInteger(offset) && Number(offset) >= 0) return BigInt(Number(offset));
  const found =
    typeof offset !== 'number'
      ? offset === undefined
        ? 'missing'
        : `${offset === null ? 'null' : Array.isArray(offset) ? 'an array' : `of type ${typeof offset}`}`
      : offset < 0
        ? 'negative'
        : Number.isInteger(offset)
          ? 'a number above 9007199254740991, which JSON does not carry exactly'
          : 'not a whole number';
  throw new InvalidInputError(`offset is ${found}. Expected ${expectedOffset}`);
}

/** The offset of `?offset=0`; undefined without a query. */
export function parseOffsetQuery(query: URLSearchParams): bigint | undefined {
  const names = [...query.keys()];
  if (names.length === 0) return undefined;
  const unknown = names.find((name) => name !== 'offset');
  if (unknown !== undefined)
    throw new InvalidInputError(`unknown query parameter ${JSON.stringify(unknown)}. Expected ?offset=0`);
  if (names.length > 1) throw new InvalidInputError('the query has offset more than once. Expected ?offset=0');
  return offsetOfText(query.get('offset') ?? '');
}
