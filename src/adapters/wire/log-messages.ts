import { create } from '@bufbuild/protobuf';
import type { LogInfo } from '../../application/ports/commit-log.js';
import type { Server } from '../../application/ports/consensus.js';
import type { RecordLimits } from '../../domain/log/records.js';
import { type GetLogInfoResponse, GetLogInfoResponseSchema } from '../../gen/golog/v1/log_service_pb.js';
import { type GetServersResponse, GetServersResponseSchema } from '../../gen/log/v1/log_pb.js';

/** `golog.v1.GetLogInfoResponse` of a node with these limits. */
export function logInfoResponse(info: LogInfo, { batchBytesMax }: RecordLimits): GetLogInfoResponse {
  return create(GetLogInfoResponseSchema, {
    logStartOffset: BigInt(info.logStartOffset),
    highWatermark: BigInt(info.highWatermark),
    logEndOffset: BigInt(info.logEndOffset),
    bytes: BigInt(info.bytes),
    segments: info.segments,
    batchBytesMax: BigInt(batchBytesMax),
  });
}

/** `log.v1.GetServersResponse`. */
export function serversResponse(servers: readonly Server[]): GetServersResponse {
  return create(GetServersResponseSchema, {
    servers: servers.map(({ id, rpcAddr, isLeader }) => ({ id, rpcAddr, isLeader })),
  });
}
