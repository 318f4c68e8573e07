export {
  ClusterClient,
  type ClusterSettings,
  type ClusterStatus,
  type ScrubStatus,
  type GossipMemberStatus,
  type MemberStatus,
  type SettingName,
  type StatusOptions,
  type WatchOptions,
} from './cluster-client.js';
export {
  type ConnectionProblem,
  type ConnectionProblemKind,
  connectionProblem,
  isAnswered,
} from './connection-problem.js';
export {
  AcknowledgedLossError,
  ConcurrentProducerError,
  isDataLoss,
  isServerError,
  isTransient,
  OutcomeUnknownError,
  RpcError,
  UnreachableError,
} from './errors.js';
export { LogClient, type LogInfo, type ReadFrom, type ReadOptions, type Server } from './log-client.js';
export { Backoff, LogServers } from './log-servers.js';
export { type Acknowledgement, Producer, type ProducerOptions } from './producer.js';
export { ReceivedBatch, type ReadChunk, type ReceivedRecord } from './received-batch.js';
export {
  largestRecord,
  OutgoingBatch,
  type OutgoingRecord,
  RecordBatchBuilder,
  recordBytes,
} from './record-batch-builder.js';
export { spanText } from './span-text.js';
export type { ClientTls } from './tls.js';
export { MalformedResponseError } from './wire.js';
