import type { Access } from '../../application/access/access.js';
import type { CallQuota } from '../../application/access/call-quota.js';
import type { MemoryBudget } from '../../application/access/memory-budget.js';
import { type RecordLimits, defaultRecordLimits } from '../../domain/log/records.js';
import type { Secure } from '../listener/connection-listener.js';
import { defaultLimits } from '../listener/limits.js';
import { requestSlackBytes } from '../wire/limits.js';

/** Deadlines, in milliseconds. Each closes what it watches: a peer that is slow on purpose costs a bounded time. */
export interface HttpTimeouts {
  /** From the connection to its first bytes being enough to tell HTTP/1.1 from HTTP/2, and to HTTP/2's SETTINGS. */
  readonly handshakeMs: number;
  /** From the first byte of an HTTP/1.1 request to the end of its header. */
  readonly headersMs: number;
  /** From the header to the end of the body; not for streams of requests. */
  readonly bodyMs: number;
  /** An HTTP/1.1 connection between two requests. */
  readonly keepAliveMs: number;
  /** An HTTP/2 session without streams. */
  readonly sessionIdleMs: number;
  /** Each session is pinged this often; one that has not answered by the next time is destroyed. */
  readonly pingIntervalMs: number;
  /** A response whose reader takes nothing for so long is dropped. */
  readonly stallMs: number;
}

export interface HttpServerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Shown by the page at `/ui`. */
  readonly nodeName?: string;
  /** Most bytes of a batch, as of a record (default 1 MiB). */
  readonly batchBytesMax?: number;
  /** Origins (`https://example.org`) whose pages may call this node; `*` is every origin. Default: its own only. */
  readonly corsOrigins?: readonly string[];
  readonly connectionsMax?: number;
  readonly connectionsPerAddressMax?: number;
  readonly timeouts?: Partial<HttpTimeouts>;
  /** Encrypts connections, and authenticates callers. */
  readonly secure?: Secure;
  /** Decides which calls are allowed; without it all are. */
  readonly access?: Access;
  /** Bounds the calls in progress; without it there may be any number. */
  readonly quota?: CallQuota;
  /** Bounds what calls hold in memory; without it nothing is counted. */
  readonly memory?: MemoryBudget;
}

type Optional = 'secure' | 'access' | 'quota' | 'memory';
export type ResolvedHttpOptions = Required<Omit<HttpServerOptions, 'timeouts' | 'batchBytesMax' | Optional>> &
  Pick<HttpServerOptions, Optional> & {
    readonly timeouts: HttpTimeouts;
    readonly recordLimits: RecordLimits;
  };

export const defaultHttpTimeouts: HttpTimeouts = {
  handshakeMs: defaultLimits.handshakeMs,
  headersMs: 10_000,
  bodyMs: defaultLimits.requestMs,
  keepAliveMs: 65_000,
  sessionIdleMs: defaultLimits.idleMs,
  pingIntervalMs: 20_000,
  stallMs: defaultLimits.stallMs,
};

export function resolveHttpOptions({
  batchBytesMax = defaultRecordLimits.batchBytesMax,
  ...options
}: HttpServerOptions): ResolvedHttpOptions {
  return {
    nodeName: 'golog',
    recordLimits: { recordBytesMax: batchBytesMax, batchBytesMax },
    corsOrigins: [],
    connectionsMax: defaultLimits.connectionsMax,
    connectionsPerAddressMax: defaultLimits.connectionsPerAddressMax,
    ...options,
    timeouts: { ...defaultHttpTimeouts, ...options.timeouts },
  };
}

/** The largest request body or message that can hold a batch at its limit as base64 in JSON. */
export function requestBytesMax({ batchBytesMax }: RecordLimits): number {
  return Math.ceil((batchBytesMax * 4) / 3) + requestSlackBytes;
}
