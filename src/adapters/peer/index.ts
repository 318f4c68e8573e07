export { GrpcEntrySource } from './entries/grpc-entry-source.js';
export { GrpcJoinTransport } from './join/grpc-join-transport.js';
export { GrpcPeerTransport } from './messages/grpc-peer-transport.js';
export { GrpcReplicaUplink } from './replicas/grpc-replica-uplink.js';
export { inClear, type PeerCredentials, tlsCredentials } from './identity/peer-credentials.js';
export { PeerEndpoint } from './peer-endpoint.js';
export { PeerTrust } from './identity/peer-trust.js';
