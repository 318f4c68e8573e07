import { cors } from '@connectrpc/connect';
import { type HttpRequest, authorityOf } from './http-message.js';
import { leaderHeader } from '../wire/error-answers.js';

const preflightSeconds = 7_200;

export type CrossOrigin =
  | { readonly verdict: 'same-origin' }
  | { readonly verdict: 'allowed'; readonly headers: Readonly<Record<string, string>> }
  | { readonly verdict: 'refused'; readonly origin: string }
  | { readonly verdict: 'cross-site' };

const loopbackName = /^(localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])$/;

function hostnameOf(authority: string): string | undefined {
  return URL.canParse(`http://${authority}`) ? new URL(`http://${authority}`).hostname : undefined;
}

/** Whether a listener on this host is reached from this machine alone. */
export function isLoopback(host: string): boolean {
  return loopbackName.test(host.includes(':') ? `[${host}]` : host.toLowerCase());
}

/**
 * Whether a request to a listener on the loopback asks for a name of the loopback, or for the host of a configured
 * origin. A page elsewhere whose name is made to resolve to 127.0.0.1 (DNS rebinding) is its own origin to the browser;
 * only the name gives it away. Browsers always send one, so a request without passes.
 */
export function asksForLoopback(request: HttpRequest, origins: readonly string[]): boolean {
  const authority = authorityOf(request);
  if (authority === undefined || origins.includes('*')) return true;
  const hostname = hostnameOf(authority);
  if (hostname === undefined) return false;
  return loopbackName.test(hostname) || origins.some((o) => URL.canParse(o) && new URL(o).hostname === hostname);
}

/** How a listener is reached: a page of the other scheme is of another origin, even if its host and port are the same. */
export type Scheme = 'http' | 'https';

function isOwn(origin: string, request: HttpRequest, scheme: Scheme): boolean {
  const own = `${scheme}://${authorityOf(request)}`;
  return URL.canParse(origin) && URL.canParse(own) && new URL(origin).origin === new URL(own).origin;
}

/** What Fetch Metadata says of a request that no page of another origin caused, if it says anything. */
const ownSites: readonly (string | undefined)[] = [undefined, 'same-origin', 'none'];

/**
 * Whether a page of another origin caused the request: one of another site, or of another host or port of this site.
 * Browsers say so where the URL is https or names this machine, also of what has no Origin: images, scripts, frames.
 */
function isOfOtherPage({ headers }: HttpRequest): boolean {
  return !ownSites.includes(headers['sec-fetch-site']?.toString());
}

/**
 * Whether somebody followed a link, and will see the answer in place of the page that has it. A page can do that once;
 * what it frames, or has fetched ahead, it can ask for as often as it likes.
 */
export function isTopLevelNavigation({ method, headers }: HttpRequest): boolean {
  return (
    (method === 'GET' || method === 'HEAD') &&
    headers['sec-fetch-mode'] === 'navigate' &&
    headers['sec-fetch-dest'] === 'document' &&
    headers['sec-purpose'] === undefined &&
    headers['purpose'] === undefined
  );
}

/**
 * Decides which web pages may call. Browsers send some cross-origin requests without asking first: a form or `fetch` with
 * a plain body would append to the log of a node on the reader's own machine, since the JSON routes take any content
 * type. So a request that names a foreign origin is refused unless the origin is configured. A request of a page of
 * another origin that names none (an image) is `cross-site`: that page sees nothing of the answer, but makes this node
 * work for it.
 */
export function crossOriginOf(request: HttpRequest, origins: readonly string[], scheme: Scheme): CrossOrigin {
  const origin = request.headers.origin;
  if (origin === undefined || isOwn(origin, request, scheme))
    return { verdict: isOfOtherPage(request) && !origins.includes('*') ? 'cross-site' : 'same-origin' };
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
