import type { DescMessage, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { memberNameOrThrow, rpcAddrOrThrow } from '../../application/configuration/member-names.js';
import type { SettingsChange } from '../../application/configuration/cluster-settings.js';
import type { Cluster } from '../../application/ports/cluster.js';
import { InvalidInputError } from '../../domain/log/errors.js';
import type { ClusterService, SetSettingRequest } from '../../gen/golog/v1/cluster_service_pb.js';
import { clusterSettingsMessage, clusterStatusMessage } from './cluster-messages.js';
import { safeIntegerMax } from './offset.js';

type Methods = typeof ClusterService.method;
type ClusterCalls = {
  readonly [Name in Exclude<keyof Methods, 'watchCluster'>]: (
    cluster: Cluster,
    request: Shape<Methods[Name]['input']>,
    signal: AbortSignal,
  ) => Promise<InitShape<Methods[Name]['output']>>;
};
type Shape<Desc> = Desc extends DescMessage ? MessageShape<Desc> : never;
type InitShape<Desc> = Desc extends DescMessage ? MessageInitShape<Desc> : never;

/** The unary calls of `golog.v1.ClusterService`: each validates its request, makes the call, and returns the response. */
export const clusterCalls: ClusterCalls = {
  async getCluster(cluster, { local }, signal) {
    return { cluster: clusterStatusMessage(await cluster.status({ signal, local })) };
  },
  async addMember(cluster, { name, rpcAddr }, signal) {
    await cluster.addMember({ name: memberNameOrThrow(name), rpcAddr: rpcAddrOrThrow(rpcAddr) }, signal);
    return {};
  },
  async promoteMember(cluster, { name }, signal) {
    await cluster.promoteMember(memberNameOrThrow(name), signal);
    return {};
  },
  async removeMember(cluster, { name }, signal) {
    await cluster.removeMember(memberNameOrThrow(name), signal);
    return {};
  },
  async transferLeadership(cluster, { name }, signal) {
    return {
      leader: await cluster.transferLeadership(name === undefined ? undefined : memberNameOrThrow(name), signal),
    };
  },
  async setSetting(cluster, { setting }, signal) {
    return { settings: clusterSettingsMessage(await cluster.changeSettings(changeOf(setting), signal)) };
  },
  async truncateLog(cluster, { before }, signal) {
    if (before > safeIntegerMax) throw new InvalidInputError(`invalid offset ${before}: expected at most 2^53 - 1`);
    const { startOffset = 0 } = await cluster.changeSettings({ startOffset: Number(before) }, signal);
    return { startOffset: BigInt(startOffset) };
  },
};

/** The least and the greatest value of each setting. */
const bounds = {
  retentionBytes: [0, Number.MAX_SAFE_INTEGER],
  retentionAgeMs: [0, Number.MAX_SAFE_INTEGER],
  producersMax: [1, 1_000_000],
  producerExpiryMs: [1, Number.MAX_SAFE_INTEGER],
} as const;

/** Throws `InvalidInputError` if there is no setting or its value is out of bounds. */
function changeOf({ case: name, value }: SetSettingRequest['setting']): SettingsChange {
  if (name === undefined) throw new InvalidInputError('the request names no setting that this release knows');
  const [min, max] = bounds[name];
  if (value < min || value > max)
    throw new InvalidInputError(`invalid value ${value} of ${name}: expected a whole number from ${min} to ${max}`);
  return { [name]: Number(value) };
}
