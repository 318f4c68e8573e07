export { GrpcJoinTransport } from './grpc-join-transport.js';
export { GrpcPeerTransport, type GrpcPeerTransportOptions } from './grpc-peer-transport.js';
export { PeerEndpoint } from './peer-endpoint.js';
