import {
  type ClusterSettings,
  type SettingsChange,
  settingsAfter,
} from '../../../src/application/configuration/cluster-settings.js';
import type { Cluster, ClusterStatus } from '../../../src/application/ports/cluster.js';
import { toIndex, toOffset, toTerm } from '../../../src/domain/log/offsets.js';

/** Three voters and a learner, one of them not heard from: every field has a value somewhere, and lacks one elsewhere. */
export const exampleStatus: ClusterStatus = {
  clusterId: '6f2f1c3e-6a39-4d0e-9f64-0a4b5b1f7a11',
  answeredBy: 'n1',
  term: toTerm(7),
  leader: 'n1',
  commitIndex: toIndex(1_234),
  lastIndex: toIndex(1_240),
  highWatermark: toOffset(98_765),
  members: [
    {
      id: 1,
      name: 'n1',
      uuid: '11111111-0000-4000-8000-000000000001',
      rpcAddr: '127.0.0.1:8400',
      role: 'leader',
      state: 'self',
      matchIndex: toIndex(1_240),
      lagEntries: 0,
      heardMsAgo: 0,
    },
    {
      id: 2,
      name: 'n2',
      uuid: '22222222-0000-4000-8000-000000000002',
      rpcAddr: '127.0.0.1:8410',
      role: 'voter',
      state: 'unreachable',
      matchIndex: toIndex(1_200),
      lagEntries: 40,
      heardMsAgo: 8_400,
    },
    {
      id: 3,
      name: 'n3',
      uuid: '33333333-0000-4000-8000-000000000003',
      rpcAddr: '127.0.0.1:8420',
      role: 'voter',
      state: 'replicating',
      matchIndex: toIndex(1_234),
      lagEntries: 6,
      heardMsAgo: 37,
      featureLevel: 1,
    },
    { id: 5, name: 'n5', uuid: '', rpcAddr: '127.0.0.1:8440', role: 'learner', state: 'probing' },
  ],
  settings: {
    ...{ featureLevel: 1, generation: 2, startOffset: 400, retentionBytes: 10_000_000_000 },
    ...{ producersMax: 20_000, producerExpiryMs: 86_400_000 },
  },
  problem: 'n2 unreachable for 8 s; 1 of 3 voters synced, need 2',
  gossip: [
    { name: 'agent', addr: '127.0.0.1:7946', status: 'left', tags: {} },
    {
      ...{ name: 'n1', addr: '127.0.0.1:8401', status: 'alive' },
      tags: {
        ...{ role: 'node', id: '11111111-0000-4000-8000-000000000001', rpc_addr: '127.0.0.1:8400' },
        ...{ http_addr: '127.0.0.1:4001', version: '0.1.0', cluster: '6f2f1c3e-6a39-4d0e-9f64-0a4b5b1f7a11' },
      },
    },
    {
      ...{ name: 'n2', addr: '127.0.0.1:8411', status: 'failed' },
      tags: { role: 'node', id: '22222222-0000-4000-8000-000000000002', rpc_addr: '127.0.0.1:8410' },
    },
    {
      ...{ name: 'r1', addr: '127.0.0.1:8451', status: 'leaving' },
      tags: { role: 'replica', id: '66666666-0000-4000-8000-000000000006', rpc_addr: '127.0.0.1:8450' },
    },
  ],
};

/** A cluster that does as it is told, and notes what it was asked. */
export class FakeCluster implements Cluster {
  current: ClusterStatus = exampleStatus;
  /** What a node says of itself. */
  localView: ClusterStatus = { ...exampleStatus, answeredBy: 'n9' };
  /** Thrown by the next calls, one each. */
  readonly failures: unknown[] = [];
  /** Each call: its name and what it was given. */
  readonly calls: unknown[][] = [];
  /** When set, calls wait until their signal aborts. */
  hang = false;
  /** Signals of calls that hang. */
  readonly hanging: AbortSignal[] = [];

  async status({ signal, local }: { readonly signal: AbortSignal; readonly local?: boolean }): Promise<ClusterStatus> {
    await this.#call(signal, 'status', local === true ? 'local' : 'leader');
    return local === true ? this.localView : this.current;
  }

  addMember({ name, rpcAddr }: { name: string; rpcAddr: string }, signal: AbortSignal): Promise<void> {
    return this.#call(signal, 'addMember', name, rpcAddr);
  }

  promoteMember(name: string, signal: AbortSignal): Promise<void> {
    return this.#call(signal, 'promoteMember', name);
  }

  removeMember(name: string, signal: AbortSignal): Promise<void> {
    return this.#call(signal, 'removeMember', name);
  }

  async transferLeadership(name: string | undefined, signal: AbortSignal): Promise<string> {
    await this.#call(signal, 'transferLeadership', name);
    return name ?? 'n3';
  }

  async changeSettings(change: SettingsChange, signal: AbortSignal): Promise<ClusterSettings> {
    await this.#call(signal, 'changeSettings', change);
    return settingsAfter(this.current.settings, change);
  }

  readonly forwarded: Cluster = {
    status: ({ signal }) => this.status({ signal, local: true }),
    addMember: (member, signal) => this.#call(signal, 'forwarded addMember', member.name, member.rpcAddr),
    promoteMember: (name, signal) => this.#call(signal, 'forwarded promoteMember', name),
    removeMember: (name, signal) => this.#call(signal, 'forwarded removeMember', name),
    transferLeadership: async (name, signal) => {
      await this.#call(signal, 'forwarded transferLeadership', name);
      return name ?? 'n3';
    },
    changeSettings: async (change, signal) => {
      await this.#call(signal, 'forwarded changeSettings', change);
      return settingsAfter(this.current.settings, change);
    },
  };

  async #call(signal: AbortSignal, ...call: unknown[]): Promise<void> {
    this.calls.push(call);
    if (this.failures.length > 0) throw this.failures.shift();
    if (!this.hang) return Promise.resolve();
    this.hanging.push(signal);
    return new Promise((_, reject) => {
      signal.addEventListener('abort', () => {
        reject(signal.reason as Error);
      });
    });
  }
}
