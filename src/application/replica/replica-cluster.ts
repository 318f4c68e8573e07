import type { Log } from '../../domain/log/log.js';
import { toIndex } from '../../domain/log/offsets.js';
import type { ClusterSettings, SettingsChange } from '../configuration/cluster-settings.js';
import type { Cluster, ClusterStatus, MemberRole, ScrubStatus } from '../ports/cluster.js';
import { describeClusterId } from '../configuration/member-names.js';
import { damageProblem } from '../cluster/cluster-status.js';
import { assertSettingsEnabled } from '../cluster/settings-changes.js';
import { UnavailableError } from '../errors.js';
import type { JoinAnswer, JoinHandler } from '../ports/join-transport.js';
import { diskFull, diskStalled, type Readiness } from '../ports/readiness.js';
import type { ReplicaUplink } from '../ports/replica-uplink.js';
import type { Replica } from './replica.js';

export interface ReplicaClusterOptions {
  readonly replica: Pick<
    Replica,
    | 'highWatermark'
    | 'applied'
    | 'source'
    | 'lag'
    | 'isCaughtUp'
    | 'diskStalledMs'
    | 'diskShortage'
    | 'members'
    | 'learners'
    | 'leader'
    | 'settings'
  >;
  readonly uplink: Pick<ReplicaUplink, 'clusterOf'>;
  readonly log: Pick<Log, 'lastTerm'>;
  readonly self: { readonly name: string };
  /** The log id: 16 bytes. */
  readonly clusterId: Uint8Array;
  /** Returns what this replica knows about damage to its log. */
  readonly scrub?: () => ScrubStatus;
}

/** Administers the cluster at a replica, which forwards everything to the leader. */
export class ReplicaCluster implements Cluster, JoinHandler {
  constructor(private readonly options: ReplicaClusterOptions) {}

  async status({
    signal,
    local = false,
  }: {
    readonly signal: AbortSignal;
    readonly local?: boolean;
  }): Promise<ClusterStatus> {
    const { replica, uplink } = this.options;
    const asked = replica.leader ?? replica.source;
    if (local || asked === undefined) return this.#view();
    try {
      return await uplink.clusterOf(asked).status({ signal, local: true });
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error;
      return this.#view();
    }
  }

  /** Whether this replica is ready; asks nobody. */
  get readiness(): Readiness {
    const { replica, self } = this.options;
    const { source, lag, diskStalledMs, diskShortage } = replica;
    if (diskStalledMs !== undefined) return diskStalled(self.name, diskStalledMs);
    if (diskShortage !== undefined) return diskFull(self.name, diskShortage.freeBytes, diskShortage.reserveBytes);
    if (source === undefined) {
      const since = lag.heardMsAgo === undefined ? 'yet' : `for ${Math.round(lag.heardMsAgo / 1000)} s`;
      return {
        state: 'no-source',
        problem: `${self.name} is a replica and has followed no member ${since}: start a member that it can reach`,
      };
    }
    if (!replica.isCaughtUp)
      return {
        state: 'catching-up',
        problem: `${self.name} is a replica and lags ${source.name ?? source.rpcAddr} by ${lag.records} records`,
      };
    if (replica.leader === undefined)
      return {
        state: 'no-leader',
        problem: `no leader is known to ${source.name ?? source.rpcAddr}, which this replica follows: nothing commits`,
      };
    const problem = damageProblem(self.name, this.options.scrub?.());
    return { state: 'ready', ...(problem !== undefined && { problem }) };
  }

  async addMember(member: { readonly name: string; readonly rpcAddr: string }, signal: AbortSignal): Promise<void> {
    return this.#leader().addMember(member, signal);
  }

  async promoteMember(name: string, signal: AbortSignal): Promise<void> {
    return this.#leader().promoteMember(name, signal);
  }

  async removeMember(name: string, signal: AbortSignal): Promise<void> {
    return this.#leader().removeMember(name, signal);
  }

  async transferLeadership(name: string | undefined, signal: AbortSignal): Promise<string> {
    return this.#leader().transferLeadership(name, signal);
  }

  async changeSettings(change: SettingsChange, signal: AbortSignal): Promise<ClusterSettings> {
    assertSettingsEnabled(this.options.replica.settings);
    return this.#leader().changeSettings(change, signal);
  }

  /** Tells a node that wants to join where the leader is. */
  async admit(): Promise<JoinAnswer> {
    const { leader } = this.options.replica;
    const reason = 'this node is a replica';
    return {
      kind: 'retry',
      reason,
      clusterId: this.options.clusterId,
      ...(leader !== undefined && { leaderAddr: leader.rpcAddr }),
    };
  }

  #leader(): Cluster {
    const { replica, uplink } = this.options;
    if (replica.leader === undefined) throw new UnavailableError('the cluster has no leader');
    return uplink.clusterOf(replica.leader);
  }

  #view(): ClusterStatus {
    const { replica, log, self, clusterId, scrub } = this.options;
    const { leader, learners } = replica;
    const roleOf = (id: number): MemberRole =>
      id === leader?.id ? 'leader' : learners.includes(id) ? 'learner' : 'voter';
    const { problem } = this.readiness;
    return {
      clusterId: describeClusterId(clusterId),
      answeredBy: self.name,
      term: log.lastTerm,
      ...(leader !== undefined && { leader: leader.name }),
      commitIndex: toIndex(replica.applied),
      lastIndex: toIndex(replica.applied),
      highWatermark: replica.highWatermark,
      members: replica.members.map(({ id, name, uuid, rpcAddr }) => ({
        id,
        name,
        uuid,
        rpcAddr,
        role: roleOf(id),
        state: 'unknown',
      })),
      settings: replica.settings,
      ...(problem !== undefined && { problem }),
      ...(scrub && { scrub: scrub() }),
    };
  }
}
