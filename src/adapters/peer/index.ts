export { GrpcEntrySource } from './grpc-entry-source.js';
export { GrpcJoinTransport } from './grpc-join-transport.js';
export { GrpcPeerTransport } from './grpc-peer-transport.js';
export { GrpcReplicaUplink } from './grpc-replica-uplink.js';
export { inClear, type PeerCredentials, tlsCredentials } from './peer-credentials.js';
export { PeerEndpoint } from './peer-endpoint.js';
export { PeerTrust } from './peer-trust.js';
