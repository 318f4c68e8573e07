import { createAsyncIterable } from '@connectrpc/connect/protocol';
import type { CallMemory } from '../../application/access/call-memory.js';
import type { CommitLog } from '../../application/ports/commit-log.js';
import { InvalidInputError, OffsetOutOfRangeError } from '../../domain/log/errors.js';
import { encodeRecord } from '../../domain/log/record.js';
import { type RecordLimits, frameRecords, recordsOf } from '../../domain/log/records.js';
import { addressOf, type HttpRequest, type HttpResponse, onceClosed, respond } from './http-message.js';
import { parseConsumeBody, parseOffsetQuery, parseProduceBody } from './json-input.js';
import { encodeInSlices } from './json-text.js';
import { offsetOrThrow } from '../wire/offset.js';
import { requestBytesMax } from './options.js';
import { plainRecordText } from './plain-record.js';
import { readBody } from './request-body.js';
import { ResponseWriter } from './response-writer.js';
import { readInTurn, type Turns } from './turns.js';

/** `{"offset": 18446744073709551615}` with much white space. */
const offsetBodyBytesMax = 1024;

/** Numbers while they are exact, strings above that. */
function offsetJson(offset: number): number | string {
  return Number.isSafeInteger(offset) ? offset : String(offset);
}

const jsonHeaders = { 'content-type': 'application/json', 'cache-control': 'no-store' };

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
  /** An answer whose reader accepts nothing for this long is dropped. */
  readonly stallMs: number;
  /** The turns of answers with a record. */
  readonly turns: Turns;
}

/** `POST /` and `GET /`: the log for curl (README.md). They reject with what `respondProblem` tells the caller. */
export class JsonRoutes {
  constructor(
    private readonly commitLog: CommitLog,
    private readonly options: JsonRoutesOptions,
  ) {}

  async produce(
    request: HttpRequest,
    response: HttpResponse,
    query: URLSearchParams,
    memory: CallMemory | undefined,
  ): Promise<void> {
    const { recordLimits, bodyMs } = this.options;
    const [parameter] = query.keys();
    if (parameter !== undefined)
      throw new InvalidInputError(`unknown query parameter ${JSON.stringify(parameter)}: POST / takes none`);
    const { record, ...options } = parseProduceBody(
      await readBody(request, requestBytesMax(recordLimits), bodyMs, memory),
    );
    const records = frameRecords([encodeRecord(record)], recordLimits);
    const { baseOffset, isDuplicate } = await this.commitLog.append(records, options);
    const answer = { offset: offsetJson(baseOffset), ...(isDuplicate && { duplicate: true }) };
    respond(request, response, 200, jsonHeaders, JSON.stringify(answer));
  }

  /** Also answers HEAD. A browser that asks for no offset is sent to the page at `/ui`. */
  async consume(
    request: HttpRequest,
    response: HttpResponse,
    query: URLSearchParams,
    memory: CallMemory | undefined,
  ): Promise<void> {
    const body = await readBody(request, offsetBodyBytesMax, this.options.bodyMs, memory);
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
    const signal = signalOf(response);
    const json = await this.options.turns.run(addressOf(request) ?? '', signal, async (begin) => {
      const options = { signal, memory: readInTurn(begin, memory), maxRecords: 1, maxBytes: 1 };
      const { batches, logStartOffset, highWatermark } = await this.commitLog.read({ offset }, options);
      for (const batch of batches)
        for (const record of recordsOf(batch.payload))
          return encodeInSlices(plainRecordText(record, offsetJson(batch.baseOffset)));
      throw new OffsetOutOfRangeError(offset, logStartOffset, highWatermark);
    });
    if (request.method === 'HEAD') {
      respond(request, response, 200, jsonHeaders, json);
      return;
    }
    const ofBody = { 'content-length': String(json.length), 'x-content-type-options': 'nosniff' };
    const answer = {
      status: 200,
      header: new Headers({ ...jsonHeaders, ...ofBody }),
      body: createAsyncIterable([json]),
    };
    const writer = new ResponseWriter(response, this.options.stallMs, memory);
    // Its reader has gone, or takes nothing.
    await writer.write(answer).catch(() => response.destroy());
  }
}

function acceptsHtml(request: HttpRequest): boolean {
  return (request.headers.accept ?? '')
    .split(',')
    .some((range) => /^\s*text\/html\s*(;|$)/i.test(range) && !/;\s*q=0(\.0*)?\s*$/i.test(range));
}
