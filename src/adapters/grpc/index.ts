export { GrpcServer } from './grpc-server.js';
export type { GrpcServerOptions, GuestService } from './grpc-server.js';
