import { PermissionDeniedError, UnauthenticatedError } from '../errors.js';
import { type Action, type Authorizer, type Decision, theLog } from '../ports/authorizer.js';
import type { Clock } from '../ports/clock.js';
import type { Logger } from '../ports/logger.js';
import { FoldedLines } from './folded-lines.js';

/** The caller, as the connection proves it. */
export interface Caller {
  /** Common name or SAN URI of a verified certificate; `anonymous` without one. */
  readonly subject: string;
  readonly certified: boolean;
  /**
   * Set if the caller may be a peer: the node names that its certificate is valid for. Empty if the certificate names
   * no nodes, or if there is no TLS and a peer proves nothing. With a cluster, the names count only in that cluster;
   * `others` has the names in other clusters.
   */
  readonly node?: {
    readonly cluster?: string;
    readonly names: readonly string[];
    readonly others?: readonly { readonly cluster: string; readonly names: readonly string[] }[];
  };
}

/** Any caller without TLS. */
export const anonymous: Caller = { subject: 'anonymous', certified: false, node: { names: [] } };

/** What a call requires: an action, only a connection, or a node's certificate. */
export type Need = Action | 'nothing' | 'node';

const needs: Readonly<Record<string, Readonly<Record<string, Need>>>> = {
  'log.v1.Log': {
    Produce: 'produce',
    ProduceStream: 'produce',
    Consume: 'consume',
    ConsumeStream: 'consume',
    GetServers: 'observe',
  },
  'golog.v1.LogService': {
    Append: 'produce',
    AppendStream: 'produce',
    OpenProducer: 'produce',
    CloseProducer: 'produce',
    Read: 'consume',
    Tail: 'consume',
    GetLogInfo: 'observe',
  },
  'golog.v1.ClusterService': {
    GetCluster: 'observe',
    WatchCluster: 'observe',
    AddMember: 'admin',
    PromoteMember: 'admin',
    RemoveMember: 'admin',
    TransferLeadership: 'admin',
    SetSetting: 'admin',
    TruncateLog: 'admin',
  },
  'golog.peer.v1.PeerService': {
    Control: 'node',
    Bulk: 'node',
    Append: 'node',
    Join: 'node',
    Vouch: 'node',
    GetLogEnd: 'node',
    ReadEntries: 'node',
    FollowEntries: 'node',
    GetReadBarrier: 'node',
  },
  'grpc.health.v1.Health': { Check: 'nothing', Watch: 'nothing' },
  'grpc.reflection.v1.ServerReflection': { ServerReflectionInfo: 'nothing' },
  'grpc.reflection.v1alpha.ServerReflection': { ServerReflectionInfo: 'nothing' },
};

/** The JSON routes and pages, by `METHOD /path`. */
const routeNeeds: Readonly<Record<string, Need>> = {
  'POST /': 'produce',
  'GET /': 'consume',
  'HEAD /': 'consume',
  'GET /ui': 'nothing',
  'HEAD /ui': 'nothing',
  'GET /ui/': 'nothing',
  'HEAD /ui/': 'nothing',
  'GET /healthz': 'nothing',
  'HEAD /healthz': 'nothing',
  'GET /readyz': 'nothing',
  'HEAD /readyz': 'nothing',
};

/**
 * The requirement of each call, by `/package.Service/Method` or `METHOD /path`. A call that is missing here is denied
 * to everyone; a test finds missing ones.
 */
export const needOfCall: ReadonlyMap<string, Need> = new Map([
  ...Object.entries(needs).flatMap(([service, methods]) =>
    Object.entries(methods).map(([method, need]): [string, Need] => [`/${service}/${method}`, need]),
  ),
  ...Object.entries(routeNeeds),
]);

/**
 * The actions that imply each action. A caller that may produce or consume may also observe: clients find the leader
 * and the end of the log that way, and the original's policy, which has no `observe`, allows it.
 */
const implying: Readonly<Record<Action, readonly Action[]>> = {
  produce: ['produce'],
  consume: ['consume'],
  admin: ['admin'],
  observe: ['observe', 'consume', 'produce'],
};

/** Decides whether the authorizer lets the subject act on the log, by the action itself or by one that implies it. */
export function decideAction(authorizer: Authorizer, subject: string, action: Action, object = theLog): Decision {
  const decisions = implying[action].map((each) => authorizer.decide(subject, object, each));
  return decisions.find(({ allowed }) => allowed) ?? decisions[0];
}

/** A stream that continues only while its caller is permitted to have it. */
export interface WatchedCall {
  readonly caller: Caller;
  readonly call: string;
  /** Called once, when the caller is no longer permitted. */
  readonly end: (reason: PermissionDeniedError) => void;
}

/** Authorizes every call, on every transport. Logs each denial and each admin action. */
export class Access {
  readonly #watched = new Set<WatchedCall>();
  readonly #denials: FoldedLines;

  constructor(
    private readonly authorizer: Authorizer,
    private readonly logger: Logger,
    clock: Pick<Clock, 'after'>,
    /** Whether there is no TLS and no ACL: every call is allowed, and admin actions are still logged. */
    private readonly open = false,
  ) {
    this.#denials = new FoldedLines((ms, callback) => clock.after(ms, callback));
    authorizer.onChange(() => {
      this.#recheck();
    });
  }

  /** Whether the caller may make the calls between nodes: by its certificate, or because no caller proves anything. */
  mayBePeer(caller: Caller): boolean {
    return caller.node !== undefined && (caller.certified || this.open);
  }

  /** Whether the call needs no `admit`. */
  passes(call: string): boolean {
    return this.open && needOfCall.get(call) !== 'admin';
  }

  /**
   * Returns if the caller may make the call, a key of `needOfCall`. A node's certificate may administer what another
   * node has admitted and forwards.
   *
   * @throws UnauthenticatedError, PermissionDeniedError
   */
  admit(caller: Caller, call: string, forwarded = false): void {
    const need = needOfCall.get(call) ?? 'unknown';
    if (need === 'nothing') return;
    const denial = this.#denial(caller, call, need, forwarded);
    const { subject } = caller;
    if (denial === undefined) {
      if (need === 'admin')
        this.logger.info(
          'admin_action',
          { audit: 'admin', subject, action: need, object: theLog, call, forwarded },
          'admin action',
        );
      return;
    }
    this.#deny('access_denied', { subject, action: need, call, reason: denial }, 'access denied');
    throw refusal(caller, need);
  }

  /**
   * Ends the call, which was admitted, once its caller is no longer permitted; until the returned function is called.
   */
  watch(call: WatchedCall): () => void {
    this.#watched.add(call);
    return () => this.#watched.delete(call);
  }

  /** Logs a denial; those of the same caller and call within ten seconds are counted, and logged as one. */
  #deny(
    event: 'access_denied' | 'stream_access_withdrawn',
    { subject, action, call, reason }: Readonly<Record<'subject' | 'action' | 'call' | 'reason', string>>,
    message: string,
  ): void {
    const fields = { audit: 'denied', subject, action, object: theLog, call, reason };
    this.#denials.add(
      JSON.stringify([event, subject, call, reason]),
      (more) => this.logger.warn(event, { ...fields, ...(more !== undefined && { more }) }, message),
      (more) => this.logger.warn(event, { audit: 'denied', object: theLog, more }, 'denials of many callers and calls'),
    );
  }

  #denial(caller: Caller, call: string, need: Need | 'unknown', forwarded: boolean): string | undefined {
    if (need === 'unknown') return 'this call has no entry in the access table';
    if (need === 'nothing') return undefined;
    const isPeer = this.mayBePeer(caller);
    if (need === 'node') return isPeer ? undefined : 'this call needs a node certificate';
    if (forwarded && caller.certified && isPeer && call.startsWith('/golog.v1.ClusterService/')) return undefined;
    const { allowed, because } = decideAction(this.authorizer, caller.subject, need);
    return allowed ? undefined : because;
  }

  #recheck(): void {
    for (const watched of [...this.#watched]) {
      const { caller, call, end } = watched;
      const need = needOfCall.get(call) ?? 'unknown';
      const denial = this.#denial(caller, call, need, false);
      if (denial === undefined) continue;
      this.#watched.delete(watched);
      const { subject } = caller;
      const fields = { subject, action: need, call, reason: denial };
      this.#deny('stream_access_withdrawn', fields, 'permission withdrawn; ending the stream');
      end(new PermissionDeniedError(subject, need, theLog));
    }
  }
}

function refusal({ certified, subject }: Caller, need: Need | 'unknown'): Error {
  const Refusal = certified ? PermissionDeniedError : UnauthenticatedError;
  return new Refusal(subject, need, theLog);
}
