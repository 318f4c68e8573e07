import { type CallMemory, weightOfMessage } from '../../application/call-memory.js';
import type { CommitLog } from '../../application/commit-log.js';
import { InvalidInputError, OffsetOutOfRangeError } from '../../domain/log/errors.js';
import { type Record, decodeRecord, encodeRecord } from '../../domain/log/record.js';
import { type RecordLimits, forEachRecord, frameRecords } from '../../domain/log/records.js';
import { type HttpRequest, type HttpResponse, onceClosed, respond } from './http-message.js';
import { parseConsumeBody, parseOffsetQuery, parseProduceBody } from './json-input.js';
import { offsetOrThrow } from './log-messages.js';
import { requestBytesMax } from './options.js';
import { readBody } from './request-body.js';

/** `{"offset": 18446744073709551615}` with much white space. */
const offsetBodyBytesMax = 1024;

const jsonHeaders = { 'content-type': 'application/json', 'cache-control': 'no-store' };

type TextJson = { readonly value: string; readonly encoding?: 'base64' };

/** Text when the bytes are UTF-8, byte order mark included, so that encoding it again gives the same bytes. */
function textJson(bytes: Uint8Array): TextJson {
  try {
    return { value: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes) };
  } catch {
    return { value: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64'), encoding: 'base64' };
  }
}

function textOrBytesJson(bytes: Uint8Array): string | TextJson {
  const text = textJson(bytes);
  return text.encoding === undefined ? text.value : text;
}

/** Numbers while they are exact, strings beyond. */
function offsetJson(offset: number): number | string {
  return Number.isSafeInteger(offset) ? offset : String(offset);
}

function recordJson({ value, key, headers }: Record, offset: number): object {
  return {
    record: {
      ...textJson(value),
      ...(key === undefined || key.length === 0 ? {} : { key: textOrBytesJson(key) }),
      ...(headers === undefined || headers.size === 0
        ? {}
        : { headers: Object.fromEntries([...headers].map(([name, bytes]) => [name, textOrBytesJson(bytes)])) }),
      offset: offsetJson(offset),
    },
  };
}

/** Aborts when the caller leaves before it has its answer. */
function signalOf(response: HttpResponse): AbortSignal {
  const controller = new AbortController();
  onceClosed(response, () => {
    if (!response.writableFinished) controller.abort();
  });
  return controller.signal;
}

export interface JsonRoutesOptions {
  readonly recordLimits: RecordLimits;
  readonly bodyMs: number;
}

/** `POST /` and `GET /`: the log for curl (api.md, "curl"). They reject with what `respondProblem` tells the caller. */
export class JsonRoutes {
  constructor(
    private readonly commitLog: CommitLog,
    private readonly options: JsonRoutesOptions,
  ) {}

  async produce(request: HttpRequest, response: HttpResponse, query: URLSearchParams): Promise<void> {
    const { recordLimits, bodyMs } = this.options;
    const [parameter] = query.keys();
    if (parameter !== undefined)
      throw new InvalidInputError(`unknown query parameter ${JSON.stringify(parameter)}: POST / takes none`);
    const record = parseProduceBody(await readBody(request, requestBytesMax(recordLimits), bodyMs));
    const records = frameRecords([encodeRecord(record)], recordLimits);
    const { baseOffset } = await this.commitLog.append(records, { signal: signalOf(response) });
    respond(request, response, 200, jsonHeaders, JSON.stringify({ offset: offsetJson(baseOffset) }));
  }

  /** Also answers HEAD. A browser that asks for no offset is sent to the page at `/ui`. */
  async consume(
    request: HttpRequest,
    response: HttpResponse,
    query: URLSearchParams,
    memory: CallMemory | undefined,
  ): Promise<void> {
    const body = await readBody(request, offsetBodyBytesMax, this.options.bodyMs);
    const queried = parseOffsetQuery(query);
    if (queried === undefined && body.length === 0) {
      if (!acceptsHtml(request))
        throw new InvalidInputError('there is no offset. Expected GET /?offset=0, or a body {"offset": 0}');
      respond(request, response, 302, { location: '/ui', vary: 'accept' }, '');
      return;
    }
    if (queried !== undefined && body.length > 0)
      throw new InvalidInputError('there is an offset in the query and a body too. Expected one of the two');
    const offset = offsetOrThrow(queried ?? parseConsumeBody(body), this.commitLog);
    const options = { signal: signalOf(response), maxRecords: 1, maxBytes: 1, memory };
    const read = await this.commitLog.read({ offset }, options);
    const batch = read.batches[0];
    if (batch === undefined) throw new OffsetOutOfRangeError(offset, read.logStartOffset, read.highWatermark);
    let json: object = {};
    forEachRecord(batch.payload, (start, end, place) => {
      if (place === 0) json = recordJson(decodeRecord(batch.payload.subarray(start, end)), batch.baseOffset);
    });
    const text = JSON.stringify(json);
    memory?.charge(weightOfMessage(text.length));
    respond(request, response, 200, jsonHeaders, text);
  }
}

function acceptsHtml(request: HttpRequest): boolean {
  return (request.headers.accept ?? '')
    .split(',')
    .some((range) => /^\s*text\/html\s*(;|$)/i.test(range) && !/;\s*q=0(\.0*)?\s*$/i.test(range));
}
