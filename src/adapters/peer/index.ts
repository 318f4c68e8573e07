export { GrpcEntrySource } from './grpc-entry-source.js';
export { GrpcJoinTransport } from './grpc-join-transport.js';
export { GrpcPeerTransport } from './grpc-peer-transport.js';
export { PeerEndpoint } from './peer-endpoint.js';
