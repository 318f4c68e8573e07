export { HttpServer } from './http-server.js';
export type { HttpServerOptions, HttpTimeouts } from './options.js';
