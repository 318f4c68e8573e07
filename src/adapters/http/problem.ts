import { type Status, type StatusCode, statusOf } from '../../application/error-status.js';
import { headerValue, leaderHeader } from '../wire/error-answers.js';
import { type HttpRequest, type HttpResponse, respond } from './http-message.js';

/** An error of HTTP itself (no such path, a body that never came), told as RFC 9457 `application/problem+json`. */
export class HttpProblem extends Error {
  override readonly name = 'HttpProblem';
  constructor(
    readonly status: number,
    readonly title: string,
    message: string,
    readonly headers: Readonly<Record<string, string>> = {},
    readonly members: Readonly<Record<string, unknown>> = {},
  ) {
    super(message);
  }
}

const titles: Record<StatusCode, string> = {
  CANCELLED: 'Cancelled',
  INVALID_ARGUMENT: 'Invalid input',
  DEADLINE_EXCEEDED: 'Deadline exceeded',
  RESOURCE_EXHAUSTED: 'Resource exhausted',
  FAILED_PRECONDITION: 'Precondition failed',
  ABORTED: 'Outcome unknown',
  OUT_OF_RANGE: 'Offset out of range',
  INTERNAL: 'Internal error',
  UNAVAILABLE: 'Unavailable',
  UNAUTHENTICATED: 'Certificate needed',
  PERMISSION_DENIED: 'Not permitted',
  DATA_LOSS: 'Corrupt range',
  ALREADY_EXISTS: 'Appended before',
};

/** Offsets and sizes are JSON numbers while those are exact, strings above that. */
function memberOf(text: string): string | number {
  if (!/^(0|[1-9]\d{0,15})$/.test(text)) return text;
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : text;
}

function ofStatus(status: Status): HttpProblem {
  const members: Record<string, unknown> = { code: status.code };
  for (const [name, value] of Object.entries(status.details)) members[name] = memberOf(value);
  return new HttpProblem(
    status.httpStatus,
    status.reason === undefined ? titles[status.code] : titleOf(status.reason),
    status.message,
    {
      ...(status.retryAfterSeconds === undefined ? {} : { 'retry-after': String(status.retryAfterSeconds) }),
      ...(status.leaderAddr === undefined ? {} : { [leaderHeader]: headerValue(status.leaderAddr) }),
    },
    members,
  );
}

/** `PRODUCER_FENCED` becomes `Producer fenced`. */
function titleOf(reason: string): string {
  const words = reason.toLowerCase().replaceAll('_', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function slug(title: string): string {
  return title.toLowerCase().replaceAll(/[^a-z]+/g, '-');
}

/** Answers with the error, mapped by `statusOf` unless it is HTTP's own. Answers which code it told. */
export function respondProblem(request: HttpRequest, response: HttpResponse, error: unknown): HttpProblem {
  const problem = error instanceof HttpProblem ? error : ofStatus(statusOf(error));
  const body = {
    type: `urn:golog:problem:${slug(problem.title)}`,
    title: problem.title,
    status: problem.status,
    detail: problem.message,
    ...problem.members,
  };
  const headers = { ...problem.headers, 'content-type': 'application/problem+json', 'cache-control': 'no-store' };
  respond(request, response, problem.status, headers, JSON.stringify(body));
  return problem;
}
