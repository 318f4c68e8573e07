export { GrpcServer } from './grpc-server.js';
export type { GrpcServerOptions } from './grpc-server.js';
