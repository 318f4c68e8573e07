import type { StoredConfiguration } from '../configuration/configuration.js';
import { parseTransfer } from '../configuration/configuration-json.js';
import { UnavailableError } from '../errors.js';
import { pause } from '../waiting/pause.js';
import type { Clock } from '../ports/clock.js';
import type { JoinAnswer, Joiner, JoinTransport, LeaderView } from '../ports/join-transport.js';
import type { Logger } from '../ports/logger.js';

const askEveryMs = 250;
/** How often an unsuccessful wait is logged. */
const logEveryMs = 60_000;

export interface JoiningOptions {
  readonly transport: JoinTransport;
  /** HOST:PORT of the gRPC of nodes that may know the cluster, as currently known. */
  readonly addresses: () => readonly string[];
  readonly joiner: Joiner;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** The cluster refuses this node as it is; the message tells the operator what to do. */
export class JoinRefusedError extends Error {
  override readonly name = 'JoinRefusedError';
  constructor(
    message: string,
    /** The generation of the cluster, if this node's log is of an earlier one. */
    readonly generation?: number,
  ) {
    super(message);
  }
}

/** The error for a refusal. */
export function refusedBy({ reason, generation }: JoinAnswer & { kind: 'refused' }): JoinRefusedError {
  return new JoinRefusedError(`the cluster refuses this node: ${reason}`, generation);
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
 * Asks the given nodes, and the leaders that they name, to admit this node, until one does. With `bootstrapExpect` N,
 * once N nodes that are in no cluster know each other, the node with the lowest UUID bootstraps the cluster, and the
 * others join it. Rejects with `JoinRefusedError` or with the signal's reason.
 */
export async function joinCluster(options: JoiningOptions): Promise<Joined> {
  const { joiner, clock, logger, signal } = options;
  let loggedAt = -Infinity;
  for (;;) {
    const addresses = options.addresses();
    const answers = await Promise.all(addresses.map((address) => askFollowing(options, address)));
    for (const answer of answers) {
      if (answer.kind === 'refused') throw refusedBy(answer);
      if (answer.kind === 'joined') return memberOf(answer);
    }
    if (beginsCluster(joiner, answers)) return { kind: 'bootstrap' };
    if (clock.now() - loggedAt >= logEveryMs) {
      loggedAt = clock.now();
      const reasons = answers.map((answer, i) => `${addresses[i]}: ${describe(answer)}`);
      if (addresses.length === 0) logger.info('no_node_known', {}, 'no other node is known yet');
      else logger.info('waiting_to_join', { reasons }, 'waiting to join a cluster');
    }
    await pause(clock, askEveryMs, signal);
  }
}

/**
 * Asks each of the given nodes once and returns the first admission. Rejects with `UnavailableError` if no node admits
 * it.
 */
export async function askToJoin(options: JoiningOptions): Promise<JoinedAsMember> {
  const asked = options.addresses().map(async (address) => {
    const answer = await askFollowing(options, address);
    if (answer.kind !== 'joined') throw new UnavailableError(`${address}: ${describe(answer)}`);
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

async function askFollowing({ transport, joiner, signal }: JoiningOptions, address: string): Promise<JoinAnswer> {
  try {
    const answer = await transport.ask(address, joiner, signal);
    if (answer.kind !== 'retry' || answer.leaderAddr === undefined || answer.leaderAddr === address) return answer;
    return await transport.ask(answer.leaderAddr, joiner, signal);
  } catch (error) {
    if (!(error instanceof UnavailableError)) throw error;
    return { kind: 'retry', reason: error.message };
  }
}

function beginsCluster(joiner: Joiner, answers: readonly JoinAnswer[]): boolean {
  const { bootstrapExpect, uuid } = joiner;
  if (bootstrapExpect === 0) return false;
  const others = answers.filter((answer) => answer.kind === 'waiting').map((answer) => answer.joiner);
  const waiting = new Set([
    uuid,
    ...others.filter((other) => other.bootstrapExpect === bootstrapExpect).map((other) => other.uuid),
  ]);
  return waiting.size >= bootstrapExpect && [...waiting].sort()[0] === uuid;
}

function describe(answer: JoinAnswer): string {
  switch (answer.kind) {
    case 'joined':
      return 'joined';
    case 'waiting':
      return `${answer.joiner.name} is waiting too`;
    case 'retry':
    case 'refused':
      return answer.reason;
  }
}
