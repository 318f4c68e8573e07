import type { DescMessage, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { memberNameOrThrow, rpcAddrOrThrow } from '../../application/configuration/member-names.js';
import type { Cluster } from '../../application/ports/cluster.js';
import type { ClusterService } from '../../gen/golog/v1/cluster_service_pb.js';
import { clusterStatusMessage } from './cluster-messages.js';

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
};
