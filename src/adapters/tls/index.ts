export { certifiedCaller } from './certified-caller.js';
export { TlsAcceptor } from './tls-acceptor.js';
export { tlsMaterial, type TlsMaterial, type TlsTexts } from './tls-material.js';
