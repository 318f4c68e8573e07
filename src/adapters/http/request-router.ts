import { type Access, type Caller, needOfCall } from '../../application/access/access.js';
import type { Logger } from '../../application/ports/logger.js';
import { OverloadedError } from '../../application/errors.js';
import type { ReadinessProbe } from '../../application/ports/readiness.js';
import type { CallMemory } from '../../application/access/call-memory.js';
import { FoldedLines } from '../../application/access/folded-lines.js';
import type { CallQuota } from '../../application/access/call-quota.js';
import type { MemoryBudget } from '../../application/access/memory-budget.js';
import { limitStream } from '../listener/stream-limit.js';
import { shuttingDown } from '../wire/error-answers.js';
import {
  asksForLoopback,
  crossOriginOf,
  isPreflight,
  isTopLevelNavigation,
  preflightHeaders,
  type Scheme,
} from './cross-origin.js';
import { respondReadiness } from './health-server.js';
import {
  type HttpRequest,
  type HttpResponse,
  addressOf,
  authorityOf,
  dropWhenSlow,
  giveUp,
  isHttp2,
  onceClosed,
  respond,
  targetOf,
} from './http-message.js';
import type { JsonRoutes } from './json-routes.js';
import { HttpProblem, respondProblem } from './problem.js';
import type { RpcBridge } from './rpc-bridge.js';
import { startPage, startPageHeaders } from './start-page.js';
import { respondEarlyError } from './early-error.js';

export interface RouterState {
  /** What `/readyz` says. */
  readonly readiness: ReadinessProbe;
  /** New requests are refused. */
  readonly closing: boolean;
}

type Route = (
  request: HttpRequest,
  response: HttpResponse,
  query: URLSearchParams,
  memory: CallMemory | undefined,
) => void | Promise<void>;

/** Sends each request where it belongs; whatever goes wrong before a response has begun is told as a problem. */
export class RequestRouter {
  readonly #refusals = new FoldedLines((ms, callback) => setTimeout(callback, ms).unref());
  readonly #routes: ReadonlyMap<string, Readonly<Record<string, Route>>>;

  constructor(
    private readonly json: JsonRoutes,
    private readonly rpc: RpcBridge,
    private readonly corsOrigins: readonly string[],
    private readonly nodeName: string,
    /** Only names of this machine are served. */
    private readonly onLoopback: boolean,
    private readonly scheme: Scheme,
    private readonly state: RouterState,
    private readonly logger: Logger,
    private readonly access: Access | undefined,
    private readonly quota: CallQuota | undefined,
    private readonly budget: MemoryBudget | undefined,
    /** A response that is not taken for so long is dropped. */
    private readonly stallMs: number,
  ) {
    const plain = { 'content-type': 'application/json', 'cache-control': 'no-store' };
    const consume: Route = (...call) => this.json.consume(...call);
    const healthz: Route = (request, response) => {
      respond(request, response, 200, plain, '{"status":"alive"}');
    };
    const readyz: Route = (request, response, query) => {
      respondReadiness(request, response, this.state.readiness, query);
    };
    const ui: Route = (request, response) => {
      respond(request, response, 200, startPageHeaders, startPage(this.nodeName, authorityOf(request) ?? ''));
    };
    this.#routes = new Map<string, Readonly<Record<string, Route>>>([
      [
        '/',
        {
          GET: consume,
          HEAD: consume,
          POST: (...call) => this.json.produce(...call),
        },
      ],
      ['/ui', { GET: ui, HEAD: ui }],
      ['/ui/', { GET: ui, HEAD: ui }],
      ['/healthz', { GET: healthz, HEAD: healthz }],
      ['/readyz', { GET: readyz, HEAD: readyz }],
    ]);
    for (const [path, methods] of this.#routes)
      for (const method of Object.keys(methods))
        if (!needOfCall.has(`${method} ${path}`)) throw new Error(`no action is known for ${method} ${path}`);
  }

  /** Never rejects. */
  async handle(request: HttpRequest, response: HttpResponse, caller: Caller): Promise<void> {
    // Without listeners a connection lost in mid-request would end the process.
    request.on('error', () => undefined);
    response.on('error', () => undefined);
    try {
      await this.#dispatch(request, response, caller);
    } catch (error) {
      const { status } = respondProblem(request, response, error);
      if (status === 500)
        this.logger.error('request_failed', { error, method: request.method, path: request.url }, 'request failed');
    }
    // A body that nobody reads would hold up the connection.
    if (!request.readableEnded) request.resume();
    dropWhenSlow(request, response, this.stallMs);
  }

  async #dispatch(request: HttpRequest, response: HttpResponse, caller: Caller): Promise<void> {
    const url = targetOf(request);
    if (url === undefined) throw new HttpProblem(400, 'Invalid input', 'the request target is not a valid path');
    const path = url.pathname;
    if (this.onLoopback && !asksForLoopback(request, this.corsOrigins))
      throw new HttpProblem(
        421,
        'Host not served',
        `${JSON.stringify(authorityOf(request)?.slice(0, 256))} is not a name of this node, which listens on the loopback. Expected localhost, 127.0.0.1, [::1], or the host of a configured origin`,
      );
    const handler = this.rpc.handlerOf(path);
    const methods = handler === undefined ? this.#routes.get(path) : undefined;

    const crossOrigin = crossOriginOf(request, this.corsOrigins, this.scheme);
    if (crossOrigin.verdict === 'allowed') {
      for (const [name, value] of Object.entries(crossOrigin.headers)) response.setHeader(name, value);
      if (isPreflight(request)) {
        respond(request, response, 204, preflightHeaders, '');
        return;
      }
    } else if (crossOrigin.verdict === 'refused') {
      this.#logRefused(crossOrigin.origin, path);
      throw new HttpProblem(
        403,
        'Origin not allowed',
        `pages of ${JSON.stringify(crossOrigin.origin.slice(0, 256))} may not call this node: its origin is not among those of --cors-origins`,
      );
    } else if (crossOrigin.verdict === 'cross-site' && !(handler === undefined && isTopLevelNavigation(request))) {
      throw new HttpProblem(
        403,
        'Cross-site request',
        'a page of another origin asked for this without naming its origin. Expected a page of this node, a link that is followed, or fetch() in the mode "cors" from an origin of --cors-origins',
      );
    }
    if (this.state.closing && !isProbe(path)) throw shuttingDown();
    if (methods === undefined && handler === undefined && respondUnknown(request, response, path)) return;
    if (!isProbe(path) && !this.#count(request, response, path, caller)) return;
    const memory = this.#remember(request, response, caller);
    if (handler !== undefined) {
      await this.rpc.serve(handler, request, response, caller, memory);
      return;
    }
    if (methods === undefined)
      throw new HttpProblem(
        404,
        'No such path',
        `there is nothing at ${JSON.stringify(path.slice(0, 256))}. Expected /, /ui, /healthz, /readyz or /<service>/<method>`,
      );
    const route = methods[request.method ?? ''];
    if (route === undefined) {
      const allow = Object.keys(methods).join(', ');
      throw new HttpProblem(405, 'Method not allowed', `${path} takes ${allow}, not ${request.method}`, { allow });
    }
    const call = `${request.method} ${path}`;
    if (this.access?.passes(call) === false) this.access.admit(caller, call);
    await route(request, response, url.searchParams, memory);
  }

  #logRefused(origin: string, path: string): void {
    const fields = { origin: origin.slice(0, 256), path: path.slice(0, 256) };
    const message = 'refused a request of a web page, whose origin is not in --cors-origins';
    this.#refusals.add(
      JSON.stringify(fields),
      (more) => this.logger.warn('origin_refused', { ...fields, ...(more !== undefined && { more }) }, message),
      (more) => this.logger.warn('origin_refused', { more }, message),
    );
  }

  /** Has what the call holds counted, until its response has closed. */
  #remember(request: HttpRequest, response: HttpResponse, caller: Caller): CallMemory | undefined {
    const memory = this.budget?.begin(caller, addressOf(request), () => {
      giveUp(request);
    });
    if (memory !== undefined)
      onceClosed(response, () => {
        memory.close();
      });
    return memory;
  }

  /** Answers false when the call is one too many, and has been told so. Throws `OverloadedError` where it is not an RPC. */
  #count(request: HttpRequest, response: HttpResponse, path: string, caller: Caller): boolean {
    try {
      if (isHttp2(request)) limitStream(request.stream);
      if (this.quota !== undefined) onceClosed(response, this.quota.begin(caller, addressOf(request)));
      return true;
    } catch (error) {
      if (!(error instanceof OverloadedError)) throw error;
      const { message } = error;
      if (respondEarlyError(request, response, path, { code: 'resource_exhausted', message })) return false;
      throw error;
    }
  }
}

/** What asks whether this node lives is answered whatever else goes on. */
function isProbe(path: string): boolean {
  return path === '/healthz' || path === '/readyz';
}

/** The path is a URL's, so printable ASCII, but it may be long. */
function respondUnknown(request: HttpRequest, response: HttpResponse, path: string): boolean {
  const message = `there is no method ${path.slice(0, 256)}`;
  return respondEarlyError(request, response, path, { code: 'unimplemented', message });
}
