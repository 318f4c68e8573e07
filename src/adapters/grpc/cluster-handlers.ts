import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { create, toBinary } from '@bufbuild/protobuf';
import type {
  handleServerStreamingCall,
  handleUnaryCall,
  Metadata,
  ServerUnaryCall,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { status as grpcCodes } from '@grpc/grpc-js';
import type { Cluster } from '../../application/ports/cluster.js';
import { watchCluster } from '../../application/cluster/cluster-watch.js';
import type { Clock } from '../../application/ports/clock.js';
import type { Logger } from '../../application/ports/logger.js';
import {
  ClusterService,
  WatchClusterRequestSchema,
  WatchClusterResponseSchema,
} from '../../gen/golog/v1/cluster_service_pb.js';
import { clusterCalls } from '../wire/cluster-calls.js';
import { clusterStatusMessage } from '../wire/cluster-messages.js';
import { failCall } from './call-errors.js';
import { callSignal } from './call-signal.js';
import { parseRequest } from './parse-request.js';
import { StreamWriter } from './stream-writer.js';

/** A peer forwards a call once, to the node that it takes for the leader: that one answers by itself. */
function asked(cluster: Cluster, metadata: Metadata): Cluster {
  return metadata.get('golog-forwarded').length > 0 ? (cluster.forwarded ?? cluster) : cluster;
}

/** The handlers of `golog.v1.ClusterService`: bytes in, bytes out, errors by `statusOf`. */
export function clusterHandlers(cluster: Cluster, clock: Clock, logger: Logger): UntypedServiceImplementation {
  const { method } = ClusterService;

  const unary = <I extends DescMessage, O extends DescMessage>(
    { name, input, output }: DescMethodUnary<I, O>,
    handle: (cluster: Cluster, request: MessageShape<I>, signal: AbortSignal) => Promise<MessageInitShape<O>>,
  ): handleUnaryCall<Buffer, Buffer> => {
    const fail = failCall(logger, name);
    const answer = async (call: ServerUnaryCall<Buffer, Buffer>): Promise<Buffer> => {
      const signal = callSignal(call);
      return encode(output, await handle(asked(cluster, call.metadata), parseRequest(input, call.request), signal));
    };
    return (call, respond) => {
      answer(call).then(
        (response) => {
          respond(null, response);
        },
        (error: unknown) => {
          respond(call.cancelled ? { code: grpcCodes.CANCELLED } : fail(error));
        },
      );
    };
  };

  const fail = failCall(logger, method.watchCluster.name);
  const watch: handleServerStreamingCall<Buffer, Buffer> = (call) => {
    const signal = callSignal(call);
    const writer = new StreamWriter(call);
    const serve = async (): Promise<void> => {
      const { local } = parseRequest(WatchClusterRequestSchema, call.request);
      writer.open();
      for await (const status of watchCluster(cluster, clock, { signal, local }))
        await writer.send(encode(WatchClusterResponseSchema, { cluster: clusterStatusMessage(status) }));
    };
    serve().catch((error: unknown) => {
      // An aborted call has its status already.
      if (!signal.aborted) call.emit('error', fail(error));
    });
  };

  return {
    getCluster: unary(method.getCluster, clusterCalls.getCluster),
    watchCluster: watch,
    addMember: unary(method.addMember, clusterCalls.addMember),
    promoteMember: unary(method.promoteMember, clusterCalls.promoteMember),
    removeMember: unary(method.removeMember, clusterCalls.removeMember),
    transferLeadership: unary(method.transferLeadership, clusterCalls.transferLeadership),
    setSetting: unary(method.setSetting, clusterCalls.setSetting),
    truncateLog: unary(method.truncateLog, clusterCalls.truncateLog),
  };
}

function encode<Desc extends DescMessage>(schema: Desc, fields: MessageInitShape<Desc>): Buffer {
  return Buffer.from(toBinary(schema, create(schema, fields)));
}
