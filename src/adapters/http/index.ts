export { HttpServer } from './http-server.js';
export type { HttpServerOptions } from './options.js';
export { HealthServer } from './health-server.js';
