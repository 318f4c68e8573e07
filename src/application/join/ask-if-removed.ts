import { describeClusterId } from '../configuration/member-names.js';
import type { Removal } from '../configuration/configuration.js';
import { AskedNodes, type NodeAnswer } from './asked-nodes.js';
import type { JoiningOptions } from './join-cluster.js';

/** Why a node may not run under its Raft id any more; `readmitted`: it is a member again, under a later one. */
export type SeatLoss = Removal | 'readmitted';

/** Members that do not answer within this time are not waited for. */
const answerMs = 1_000;

/**
 * Asks whether the cluster has removed this node, which runs as `joiner.runsAs`, and resolves with the reason; undefined:
 * it has not, or nobody knows. Asks the members of the configuration, and the other nodes, which gossip may forge, only
 * if no member answers. Rejects with the signal's reason.
 */
export async function askIfRemoved(
  options: JoiningOptions,
  members: () => readonly string[],
): Promise<SeatLoss | undefined> {
  const among = await answersOf({ ...options, addresses: members });
  const others = (): string[] => options.addresses().filter((address) => address !== options.joiner.rpcAddr);
  const answers = among.every(({ kind }) => kind === 'unanswered')
    ? await answersOf({ ...options, addresses: others })
    : among;
  const { clusterId: own, runsAs = 0 } = options.joiner;
  const joined = answers.find((answer) => answer.kind === 'joined');
  if (joined !== undefined) return joined.id > runsAs ? 'readmitted' : undefined;
  for (const answer of answers) {
    if (answer.kind !== 'refused' || answer.removal === undefined) continue;
    const { clusterId, removal } = answer;
    if (own && clusterId && describeClusterId(clusterId) === describeClusterId(own)) return removal;
  }
  return undefined;
}

async function answersOf(options: JoiningOptions): Promise<readonly NodeAnswer[]> {
  const asked = new AbortController();
  const signal = AbortSignal.any([options.signal, asked.signal]);
  try {
    return await new AskedNodes({ ...options, signal }).ask(answerMs);
  } finally {
    asked.abort();
  }
}
