import { cors } from '@connectrpc/connect';
import type { HttpRequest } from './http-message.js';
import { leaderHeader } from './problem.js';

const preflightSeconds = 7_200;

export type CrossOrigin =
  | { readonly verdict: 'same-origin' }
  | { readonly verdict: 'allowed'; readonly headers: Readonly<Record<string, string>> }
  | { readonly verdict: 'refused'; readonly origin: string };

function hostOf(request: HttpRequest): string | undefined {
  return 'authority' in request && request.authority ? request.authority : request.headers.host;
}

function isOwn(origin: string, request: HttpRequest): boolean {
  return URL.canParse(origin) && new URL(origin).host === hostOf(request);
}

/**
 * Who may call from a web page. Browsers send some cross-origin requests without asking first: a form or `fetch` with
 * a plain body would append to the log of a node on the reader's own machine, since the JSON routes take any content
 * type. So a request that names a foreign origin is refused unless the origin is configured.
 */
export function crossOriginOf(request: HttpRequest, origins: readonly string[]): CrossOrigin {
  const origin = request.headers.origin;
  if (origin === undefined || isOwn(origin, request)) return { verdict: 'same-origin' };
  if (!origins.includes('*') && !origins.includes(origin)) return { verdict: 'refused', origin };
  return {
    verdict: 'allowed',
    headers: {
      'access-control-allow-origin': origin,
      'access-control-expose-headers': [...cors.exposedHeaders, leaderHeader, 'Retry-After'].join(', '),
      vary: 'Origin',
    },
  };
}

export function isPreflight(request: HttpRequest): boolean {
  return request.method === 'OPTIONS' && request.headers['access-control-request-method'] !== undefined;
}

export const preflightHeaders: Readonly<Record<string, string>> = {
  'access-control-allow-methods': cors.allowedMethods.join(', '),
  'access-control-allow-headers': cors.allowedHeaders.join(', '),
  'access-control-max-age': String(preflightSeconds),
};
