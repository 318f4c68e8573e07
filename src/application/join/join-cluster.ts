import type { StoredConfiguration } from '../configuration/configuration.js';
import { parseTransfer } from '../configuration/configuration-json.js';
import { describeClusterId } from '../configuration/member-names.js';
import { UnavailableError } from '../errors.js';
import type { JoinAnswer, Joiner, LeaderView } from '../ports/join-transport.js';
import type { Removal } from '../configuration/configuration.js';
import type { Logger } from '../ports/logger.js';
import { LogThrottle } from '../waiting/log-throttle.js';
import { pause } from '../waiting/pause.js';
import { AskedNodes, askFollowing, type AskingOptions, describeAnswer, type NodeAnswer } from './asked-nodes.js';
import type { Beginning } from './beginning.js';

const askEveryMs = 250;
/** A refusal that a leader may still contradict, because it takes a while to admit a node, counts after this long. */
const contradictionMs = 5_000;
/** The first answers often come from nodes that start as well. */
const roundsBeforeWarning = 8;

export interface JoiningOptions extends AskingOptions {
  readonly logger: Logger;
  /** Decides, by the answers of all nodes, whether this node begins a cluster (default: it never does). */
  readonly beginning?: (answers: readonly NodeAnswer[]) => Beginning;
  /** Called with the reason why this node waits, after each round of questions. */
  readonly onWait?: (reason: string) => void;
}

/** The cluster refuses this node as it is; the message tells the operator what to do. */
export class JoinRefusedError extends Error {
  override readonly name = 'JoinRefusedError';
  /** Set if this node asked as a member that was removed, and the leader knows why. */
  readonly removal: Removal | undefined;
  /** The generation of the cluster, if this node's log is of an earlier one. */
  readonly generation: number | undefined;

  constructor({ reason, removal, generation }: JoinAnswer & { kind: 'refused' }) {
    super(`the cluster refuses this node: ${reason}`);
    this.removal = removal;
    this.generation = generation;
  }
}

/** The result of joining: membership in a cluster, or the decision to bootstrap one. */
export type Joined = JoinedAsMember | { readonly kind: 'bootstrap' };

export interface JoinedAsMember {
  readonly kind: 'member';
  readonly clusterId: Uint8Array;
  readonly stored: StoredConfiguration;
  /** What the leader reports about itself and about this node as a member. */
  readonly view?: LeaderView;
}

/**
 * Asks the given nodes, and the leaders that they name, to admit this node, until one does: the first that admits it
 * counts. Only the leader's refusal ends it: once every other node has answered, and none otherwise, or after five
 * seconds. Rejects with `JoinRefusedError` or with the signal's reason.
 */
export async function joinCluster(options: JoiningOptions): Promise<Joined> {
  const { clock, joiner } = options;
  const decided = new AbortController();
  const signal = AbortSignal.any([options.signal, decided.signal]);
  const nodes = new AskedNodes({ ...options, signal });
  const log = waitLog(options);
  let refusedSinceMs: number | undefined;
  try {
    for (;;) {
      const answers = await nodes.ask(askEveryMs);
      const joined = answers.find((answer) => answer.kind === 'joined');
      if (joined !== undefined) return memberOf(joined);
      const refused = finalRefusal(joiner, answers);
      if (refused === undefined) refusedSinceMs = undefined;
      else {
        refusedSinceMs ??= clock.now();
        const mayChange = answers.some((answer) => answer.kind === 'unanswered' && answer.isPending);
        if (!mayChange || clock.now() - refusedSinceMs >= contradictionMs) throw new JoinRefusedError(refused);
      }
      const beginning = options.beginning?.(answers) ?? { kind: 'joins' };
      if (beginning.kind === 'begins') return { kind: 'bootstrap' };
      log(beginning, answers);
      await pause(clock, askEveryMs, signal);
    }
  } finally {
    decided.abort(new UnavailableError('this node asks no more'));
  }
}

/**
 * Asks each of the given nodes once and returns the first admission. Rejects with `UnavailableError` if no node admits
 * it.
 */
export async function askToJoin(options: JoiningOptions): Promise<JoinedAsMember> {
  const asked = options.addresses().map(async (address) => {
    const answer = await askFollowing(options, address);
    if (answer.kind !== 'joined') throw new UnavailableError(`${address}: ${describeAnswer(answer)}`);
    return memberOf(answer);
  });
  return Promise.any(asked).catch(async () => {
    const failed = await Promise.allSettled(asked);
    const reasons = failed.flatMap((each) => (each.status === 'rejected' ? [each.reason as Error] : []));
    const unexpected = reasons.find((reason) => !(reason instanceof UnavailableError));
    throw unexpected ?? new UnavailableError(reasons.map(({ message }) => message).join('; '));
  });
}

function memberOf({ clusterId, id, configuration: transfer, view }: JoinAnswer & { kind: 'joined' }): JoinedAsMember {
  const { configuration, contacts, generation } = parseTransfer(transfer);
  const stored = { id, contacts, history: [configuration], ...(generation !== undefined && { generation }) };
  return { kind: 'member', clusterId, stored, ...(view && { view }) };
}

/** Returns the refusal of the leader of this node's cluster, if no other node answers anything else. */
function finalRefusal(
  { clusterId: own, rpcAddr }: Joiner,
  answers: readonly NodeAnswer[],
): (NodeAnswer & { kind: 'refused' }) | undefined {
  if (answers.some(({ kind, address }) => (kind === 'retry' || kind === 'waiting') && address !== rpcAddr))
    return undefined;
  return answers.find(
    (answer) =>
      answer.kind === 'refused' &&
      answer.clusterId !== undefined &&
      (own === undefined || describeClusterId(own) === describeClusterId(answer.clusterId)),
  ) as (NodeAnswer & { kind: 'refused' }) | undefined;
}

/** Returns a function that logs, once a minute, why this node waits; a cluster that does not admit it is a warning. */
function waitLog({
  clock,
  logger,
  onWait,
}: JoiningOptions): (beginning: Beginning, answers: readonly NodeAnswer[]) => void {
  const [waiting, noCluster, noAdmission] = [1, 2, 3].map(() => new LogThrottle(clock));
  let rounds = 0;
  return (beginning, answers) => {
    const reasons = answers.map((answer) => `${answer.address}: ${describeAnswer(answer)}`);
    const clusterId = beginning.kind === 'joins' ? beginning.clusterId : undefined;
    const why = beginning.kind === 'waits' ? [beginning.reason, ...reasons] : reasons;
    onWait?.(`${clusterId === undefined ? 'for a cluster' : `to join cluster ${clusterId}`}: ${why.join('; ')}`);
    if (waiting.isDue()) {
      if (answers.length === 0) logger.info('no_node_known', {}, 'no other node is known yet');
      else logger.info('waiting_to_join', { reasons }, 'waiting to join a cluster');
    }
    if (++rounds < roundsBeforeWarning) return;
    if (beginning.kind === 'waits' && noCluster.isDue())
      logger.warn('bootstrap_waits', { reason: beginning.reason, reasons }, 'waiting before it begins a cluster');
    if (clusterId !== undefined && noAdmission.isDue())
      logger.warn(
        'cluster_admits_nobody',
        { clusterId, reasons },
        'a cluster exists and has not admitted this node yet',
      );
  };
}
