import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../adapters/memory/manual-clock.js';
import { toIndex, toOffset, toTerm } from '../../domain/log/offsets.js';
import { type ClusterStatus, type MemberState, type MemberStatus, MembershipError } from '../ports/cluster.js';
import { encodeNodeTags, type NodeTags } from '../join/gossip-tags.js';
import type { GossipMember } from '../ports/gossip.js';
import { removeDeadMembers } from './dead-member-removal.js';

const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const clusterId = '00000000-0000-0000-0000-000000000001';
const uuidOf = (name: string): string =>
  `00000000-0000-0000-0000-${Buffer.from(name).toString('hex').padStart(12, '0').slice(-12)}`;
const secondsMs = 1_000;

type Status = GossipMember['status'];

/** A cluster of the leader n1, the voters n2 and n3, and the learner l4. */
class Cluster {
  readonly states = new Map<string, MemberState>();
  readonly statuses = new Map<string, Status>();
  readonly removed: string[] = [];
  readonly clock = new ManualClock();
  foreign = '';
  leads = true;
  readonly stop: () => Promise<void>;

  constructor(deadMemberTimeoutMs: number) {
    this.stop = removeDeadMembers({
      gossip: { members: () => this.#gossip() },
      cluster: { removeMember: (name) => this.#remove(name) },
      status: () => this.#status(),
      isLeader: () => this.leads,
      deadMemberTimeoutMs,
      clock: this.clock,
      logger: silent,
    });
  }

  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += secondsMs) {
      this.clock.advance(secondsMs);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  #names(): string[] {
    return ['n1', 'n2', 'n3', 'l4'].filter((name) => !this.removed.includes(name));
  }

  #gossip(): GossipMember[] {
    return this.#names().map((name) => {
      const tags: NodeTags = {
        role: 'node',
        uuid: uuidOf(name),
        rpcAddr: `${name}:8400`,
        httpAddr: '',
        version: '0',
        clusterId: name === this.foreign ? uuidOf('another') : clusterId,
      };
      return {
        name,
        addr: `${name}:8401`,
        tags: encodeNodeTags(tags),
        status: this.statuses.get(name) ?? 'alive',
      };
    });
  }

  #status(): ClusterStatus {
    const members = this.#names().map((name, i): MemberStatus => {
      const role = name === 'n1' ? 'leader' : name.startsWith('l') ? 'learner' : 'voter';
      const state = this.states.get(name) ?? (name === 'n1' ? 'self' : 'replicating');
      return { id: i + 1, name, uuid: uuidOf(name), rpcAddr: `${name}:8400`, role, state };
    });
    return {
      clusterId,
      answeredBy: 'n1',
      settings: {},
      leader: 'n1',
      members,
      term: toTerm(1),
      commitIndex: toIndex(1),
      lastIndex: toIndex(1),
      highWatermark: toOffset(0),
    };
  }

  #remove(name: string): Promise<void> {
    if (!this.#names().includes(name)) return Promise.reject(new MembershipError(`${name} is no member`));
    this.removed.push(name);
    return Promise.resolve();
  }
}

describe('reconcile', () => {
  it('removes a member after it was silent for the timeout, and not before', async () => {
    const cluster = new Cluster(60 * secondsMs);
    cluster.states.set('n3', 'unreachable');
    cluster.statuses.set('n3', 'failed');
    await cluster.pass(59 * secondsMs);
    expect(cluster.removed).toEqual([]);
    await cluster.pass(2 * secondsMs);
    expect(cluster.removed).toEqual(['n3']);
    await cluster.stop();
  });

  it.each([
    ['the leader receives messages from it', 'replicating', 'failed'],
    ['gossip reports it as alive', 'unreachable', 'alive'],
  ] as const)('never removes a member while %s', async (_, state, status) => {
    const cluster = new Cluster(10 * secondsMs);
    cluster.states.set('n3', state);
    cluster.statuses.set('n3', status);
    await cluster.pass(100 * secondsMs);
    expect(cluster.removed).toEqual([]);
    await cluster.stop();
  });

  it('restarts the timeout when the member is heard from, and after an election', async () => {
    const cluster = new Cluster(10 * secondsMs);
    cluster.states.set('n3', 'unreachable');
    cluster.statuses.set('n3', 'failed');
    await cluster.pass(8 * secondsMs);
    cluster.statuses.set('n3', 'alive');
    await cluster.pass(secondsMs);
    cluster.statuses.set('n3', 'failed');
    await cluster.pass(8 * secondsMs);
    cluster.leads = false;
    await cluster.pass(20 * secondsMs);
    cluster.leads = true;
    await cluster.pass(8 * secondsMs);
    expect(cluster.removed).toEqual([]);
    await cluster.stop();
  });

  it('removes no member while the remaining voters would lack a healthy majority', async () => {
    const cluster = new Cluster(10 * secondsMs);
    for (const name of ['n2', 'n3']) {
      cluster.states.set(name, 'unreachable');
      cluster.statuses.set(name, 'failed');
    }
    await cluster.pass(100 * secondsMs);
    expect(cluster.removed).toEqual([]);
    cluster.states.delete('n2');
    await cluster.pass(secondsMs);
    expect(cluster.removed).toEqual(['n3']);
    await cluster.stop();
  });

  it('does not remove a failed member when the timeout is 0', async () => {
    const cluster = new Cluster(0);
    cluster.states.set('n3', 'unreachable');
    cluster.statuses.set('n3', 'failed');
    await cluster.pass(1_000 * secondsMs);
    expect(cluster.removed).toEqual([]);
    await cluster.stop();
  });

  it('removes a member that left, once its links have also been broken for ten seconds', async () => {
    const cluster = new Cluster(3_600 * secondsMs);
    cluster.statuses.set('n3', 'left');
    await cluster.pass(20 * secondsMs);
    expect(cluster.removed).toEqual([]);
    cluster.states.set('n3', 'unreachable');
    // It may be about to come back.
    await cluster.pass(9 * secondsMs);
    expect(cluster.removed).toEqual([]);
    await cluster.pass(secondsMs);
    expect(cluster.removed).toEqual(['n3']);
    await cluster.stop();
  });

  it('ignores gossip that comes from another cluster', async () => {
    const cluster = new Cluster(3_600 * secondsMs);
    cluster.foreign = 'n3';
    cluster.states.set('n3', 'unreachable');
    cluster.statuses.set('n3', 'left');
    await cluster.pass(20 * secondsMs);
    expect(cluster.removed).toEqual([]);
    await cluster.stop();
  });
});
