export { certifiedCaller } from './certified-caller.js';
export { OutgoingTls } from './outgoing-tls.js';
export { TlsAcceptor } from './tls-acceptor.js';
export type { TlsTexts } from './tls-material.js';
