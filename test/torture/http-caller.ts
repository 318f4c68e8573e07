import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';

/** What a client shows to a node, as PEM. */
export interface ClientCertificate {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** A node, where it is now. */
export interface Endpoint {
  readonly name: string;
  readonly host: string;
}

/** The HTTP port of every node. */
export const httpPort = 4001;

/** The node answered with an error. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError';
  constructor(
    /** The name of the error, in lower case: `unavailable`. */
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** No connection was made, so the node never got the request. */
export class UnreachedError extends Error {
  override readonly name = 'UnreachedError';
}

const unreachedCodes: ReadonlySet<unknown> = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH']);
const envelopeBytes = 5;
const endOfStreamFlag = 2;
/** A stream that says nothing for this long is given up: what it came from may be gone without a word. */
const streamIdleMs = 15_000;

/** Calls nodes over plain HTTP as README.md shows it for curl, and by JSON over Connect. Uses no code of the product. */
export class HttpCaller {
  readonly #agent: http.Agent | https.Agent;

  constructor(readonly certificate?: ClientCertificate) {
    const options = { keepAlive: true };
    this.#agent = certificate === undefined ? new http.Agent(options) : new https.Agent({ ...options, ...certificate });
  }

  /** Throws `RefusedError`, `UnreachedError`, or what ended the connection. */
  async post(endpoint: Endpoint, path: string, body: object, timeoutMs: number): Promise<Record<string, unknown>> {
    const signal = AbortSignal.timeout(timeoutMs);
    const response = await this.#send(endpoint, path, JSON.stringify(body), 'application/json', signal);
    return parse(await textOf(response), response.statusCode);
  }

  /** Returns the state in the answer of `/readyz`, and the problem, if there is one. */
  async readiness(endpoint: Endpoint, timeoutMs: number): Promise<{ status: unknown; problem?: unknown }> {
    const response = await this.#send(endpoint, '/readyz', undefined, '', AbortSignal.timeout(timeoutMs));
    return JSON.parse(await textOf(response)) as { status: unknown };
  }

  /** The messages of a stream, until it ends or is aborted; throws as `post`. */
  async *stream(
    endpoint: Endpoint,
    path: string,
    body: object,
    signal: AbortSignal,
  ): AsyncGenerator<Record<string, unknown>> {
    const message = Buffer.from(JSON.stringify(body));
    const envelope = Buffer.alloc(envelopeBytes);
    envelope.writeUInt32BE(message.length, 1);
    const request = Buffer.concat([envelope, message]);
    const response = await this.#send(endpoint, path, request, 'application/connect+json', signal);
    response.setTimeout(streamIdleMs, () => response.destroy());
    let bytes = Buffer.alloc(0);
    for await (const chunk of response) {
      bytes = Buffer.concat([bytes, chunk as Buffer]);
      while (bytes.length >= envelopeBytes && bytes.length >= envelopeBytes + bytes.readUInt32BE(1)) {
        const end = envelopeBytes + bytes.readUInt32BE(1);
        const text = bytes.toString('utf8', envelopeBytes, end);
        if (bytes[0] === endOfStreamFlag) return throwErrorOf(JSON.parse(text) as ErrorBody, 'the stream ended');
        yield parse(text, response.statusCode);
        bytes = bytes.subarray(end);
      }
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  async #send(
    { host }: Endpoint,
    path: string,
    body: string | Buffer | undefined,
    contentType: string,
    signal: AbortSignal,
  ): Promise<http.IncomingMessage> {
    const module = this.certificate === undefined ? http : https;
    const method = body === undefined ? 'GET' : 'POST';
    const headers =
      body === undefined ? {} : { 'content-type': contentType, 'content-length': Buffer.byteLength(body) };
    const request = module.request({ host, port: httpPort, path, method, headers, agent: this.#agent, signal });
    request.end(body);
    try {
      const [response] = (await once(request, 'response')) as [http.IncomingMessage];
      return response;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (!unreachedCodes.has(code)) throw error;
      throw new UnreachedError(`cannot connect: ${code}`, { cause: error });
    } finally {
      // A request that is destroyed later reports that to nobody else.
      request.on('error', () => undefined);
    }
  }
}

interface ErrorBody {
  readonly error?: { readonly code?: string; readonly message?: string };
}

function throwErrorOf({ error }: ErrorBody, otherwise: string): void {
  if (error !== undefined) throw new RefusedError(error.code ?? 'unknown', error.message ?? otherwise);
}

async function textOf(response: http.IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

/** An error is a problem document on the plain routes, and the JSON of Connect on the others. */
function parse(text: string, status: number | undefined): Record<string, unknown> {
  const body = JSON.parse(text) as Record<string, unknown>;
  if (status === 200) return body;
  const { code = 'unknown', message = body['detail'] } = body as { code?: string; message?: unknown };
  throw new RefusedError(code.toLowerCase(), String(message));
}
