import type { ConnectRouter, HandlerContext } from '@connectrpc/connect';
import type { Cluster } from '../../application/ports/cluster.js';
import { watchCluster } from '../../application/cluster/cluster-watch.js';
import type { Clock } from '../../application/ports/clock.js';
import type { Logger } from '../../application/ports/logger.js';
import { ClusterService } from '../../gen/golog/v1/cluster_service_pb.js';
import { clusterCalls } from '../wire/cluster-calls.js';
import { clusterStatusMessage } from '../wire/cluster-messages.js';
import { toConnectError } from './connect-errors.js';

/**
 * Registers `golog.v1.ClusterService`. Calls that only read end with UNAVAILABLE once `closing` aborts; changes are let
 * finish, since to give up on one would leave its outcome unknown.
 */
export function clusterRoutes(
  router: ConnectRouter,
  cluster: Cluster,
  clock: Clock,
  logger: Logger,
  closing: AbortSignal,
): void {
  const { method } = ClusterService;
  const untilClosing = { shutdownSignal: closing };
  const connectError = (error: unknown, { service, method }: HandlerContext): Error =>
    toConnectError(error, `${service.typeName}/${method.name}`, logger);
  const unary =
    <Request, Response>(handle: (cluster: Cluster, request: Request, signal: AbortSignal) => Promise<Response>) =>
    async (request: Request, context: HandlerContext): Promise<Response> => {
      try {
        return await handle(cluster, request, context.signal);
      } catch (error) {
        throw connectError(error, context);
      }
    };

  router.rpc(method.getCluster, unary(clusterCalls.getCluster), untilClosing);
  router.rpc(
    method.watchCluster,
    async function* ({ local }, context) {
      try {
        for await (const status of watchCluster(cluster, clock, { signal: context.signal, local }))
          yield { cluster: clusterStatusMessage(status) };
      } catch (error) {
        throw connectError(error, context);
      }
    },
    untilClosing,
  );
  router.rpc(method.addMember, unary(clusterCalls.addMember));
  router.rpc(method.promoteMember, unary(clusterCalls.promoteMember));
  router.rpc(method.removeMember, unary(clusterCalls.removeMember));
  router.rpc(method.transferLeadership, unary(clusterCalls.transferLeadership));
  router.rpc(method.setSetting, unary(clusterCalls.setSetting));
  router.rpc(method.truncateLog, unary(clusterCalls.truncateLog));
}
