import { describe, expect, it } from '@jest/globals';
import { RecordingLogger } from '../../../test/logging/recording-logger.js';
import { ManualClock } from '../../adapters/memory/manual-clock.js';
import { firstConfiguration } from '../configuration/configuration.js';
import { encodeTransfer } from '../configuration/configuration-json.js';
import { UnavailableError } from '../errors.js';
import type { JoinAnswer } from '../ports/join-transport.js';
import { pause } from '../waiting/pause.js';
import { unlessAborted } from '../waiting/unless-aborted.js';
import { joinCluster, type Joined, JoinRefusedError, type JoiningOptions } from './join-cluster.js';

const clusterId = new Uint8Array(16).fill(7);
const self = { name: 'n4', uuid: '44444444-0000-4000-8000-000000000004', rpcAddr: 'n4:1' };
const configuration = firstConfiguration({ id: 1, name: 'n1', uuid: '', rpcAddr: 'n1:1' });
const admits: JoinAnswer = {
  ...{ kind: 'joined', clusterId, id: 4 },
  configuration: encodeTransfer({ configuration, offset: 0, contacts: [] }),
};
const retry: JoinAnswer = { kind: 'retry', reason: 'the cluster has no leader now', clusterId };
const refuses = (by?: Uint8Array): JoinAnswer => ({ kind: 'refused', reason: 'no', ...(by && { clusterId: by }) });
const foreign = new Uint8Array(16).fill(8);

/**
 * What the node at an address answers, one after the other; the last one again and again. `silent`: it never answers;
 * `slow`: it admits after a second.
 */
type Answers = Readonly<Record<string, readonly (JoinAnswer | 'silent' | 'dead' | 'slow')[]>>;

/** A node that joins. */
class JoiningNode {
  readonly clock = new ManualClock();
  readonly logger = new RecordingLogger();
  outcome: Joined | Error | undefined;
  readonly #stop = new AbortController();

  constructor(answers: Answers, options: Partial<JoiningOptions> = {}) {
    const asked = new Map<string, number>();
    joinCluster({
      addresses: () => Object.keys(answers),
      joiner: { ...self, bootstrapExpect: 0 },
      clock: this.clock,
      logger: this.logger,
      signal: this.#stop.signal,
      transport: {
        ask: async (address, _joiner, signal) => {
          const number = asked.get(address) ?? 0;
          asked.set(address, number + 1);
          const answer = answers[address][Math.min(number, answers[address].length - 1)];
          if (answer === 'silent') return unlessAborted(signal, new Promise<never>(() => undefined));
          if (answer === 'slow') {
            await pause(this.clock, 1_000, signal);
            return admits;
          }
          if (answer === 'dead') throw new UnavailableError('connection refused');
          return answer;
        },
      },
      ...options,
    }).then(
      (joined) => (this.outcome = joined),
      (error: unknown) => (this.outcome = error as Error),
    );
  }

  async pass(ms: number): Promise<Joined | Error | undefined> {
    for (let passed = 0; passed <= ms; passed += 50) {
      for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
      if (passed < ms) this.clock.advance(50);
    }
    return this.outcome;
  }

  stop(): void {
    this.#stop.abort();
  }
}

describe('a node that joins', () => {
  it('is admitted by the first node that admits it, whatever a forged one does', async () => {
    const admitted = { kind: 'member', stored: { id: 4 } };
    for (const forged of ['silent', 'dead', retry, refuses(), refuses(clusterId), refuses(foreign)] as const)
      expect(await new JoiningNode({ 'forged:1': [forged], 'n1:1': [admits] }).pass(0)).toMatchObject(admitted);
  });

  it('asks on beside a node that does not answer, and beside one that refuses it', async () => {
    for (const forged of ['silent', refuses(), refuses(clusterId)] as const) {
      const node = new JoiningNode({ 'forged:1': [forged], 'n1:1': [retry, retry, admits] });
      expect(await node.pass(0)).toBeUndefined();
      expect(await node.pass(2_000)).toMatchObject({ kind: 'member' });
    }
  });

  it('waits for a leader that takes a second to admit it, whatever a forged one answers meanwhile', async () => {
    for (const forged of [refuses(), refuses(clusterId)] as const) {
      const node = new JoiningNode({ 'forged:1': [forged], 'n1:1': ['slow'] });
      expect(await node.pass(900)).toBeUndefined();
      expect(await node.pass(200)).toMatchObject({ kind: 'member' });
    }
  });

  it('gives up only when the leader refuses it, and no node says otherwise', async () => {
    const alone = new JoiningNode({ 'n1:1': [refuses()] });
    expect(await alone.pass(5_000)).toBeUndefined();
    alone.stop();
    const refused = new JoiningNode({ 'n1:1': [refuses(clusterId)], 'n2:1': ['dead'], 'n3:1': ['silent'] });
    expect(await refused.pass(300)).toBeUndefined();
    expect(await refused.pass(5_500)).toBeInstanceOf(JoinRefusedError);
    const answered = new JoiningNode({ 'n1:1': [refuses(clusterId)], 'n2:1': ['dead'] });
    expect(await answered.pass(300)).toBeInstanceOf(JoinRefusedError);
    const former = new JoiningNode(
      { 'n1:1': [refuses(foreign)] },
      { joiner: { ...self, bootstrapExpect: 0, clusterId } },
    );
    expect(await former.pass(5_000)).toBeUndefined();
    former.stop();
  });

  it('warns once a minute while a cluster does not admit it', async () => {
    const reasons: string[] = [];
    const node = new JoiningNode(
      { 'n1:1': [retry] },
      { beginning: () => ({ kind: 'joins', clusterId: 'X' }), onWait: (reason) => reasons.push(reason) },
    );
    await node.pass(50_000);
    expect(node.logger.fieldsOf('cluster_admits_nobody')).toEqual([
      { clusterId: 'X', reasons: ['n1:1: the cluster has no leader now'] },
    ]);
    expect(reasons.at(-1)).toBe('to join cluster X: n1:1: the cluster has no leader now');
    await node.pass(20_000);
    expect(node.logger.fieldsOf('cluster_admits_nobody')).toHaveLength(2);
    node.stop();
  });
});
