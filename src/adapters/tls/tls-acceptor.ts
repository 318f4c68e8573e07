import { Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { anonymous, type Caller } from '../../application/access/access.js';
import type { Logger } from '../../application/ports/logger.js';
import { certifiedCaller } from './certified-caller.js';
import { CertifiedConnections } from './certified-connections.js';
import { RefusalLog } from './refusal-log.js';
import { tlsMaterial, type TlsMaterial, type TlsTexts } from './tls-material.js';

export interface TlsAcceptorOptions {
  /** The ALPN protocols, most preferred first. */
  readonly protocols: readonly string[];
  /** A handshake that lasts longer is aborted (default 5 s). */
  readonly handshakeMs?: number;
  /** Time from a change of the CA until connections end whose certificates it did not sign (default 5 s). */
  readonly graceMs?: number;
}

type OnSecured = (secured: TLSSocket, caller: Caller) => void;

/** The caller over TLS if no certificate is requested: never a peer. */
const uncertified: Caller = { subject: anonymous.subject, certified: false };

/**
 * The server's side of TLS 1.3, for sockets that a listener has accepted. If there is a CA, a client must present a
 * certificate that the CA signed and that names a subject; otherwise the handshake fails.
 *
 * New connections get the latest certificate. Session tickets belong to the context that made them, with random keys,
 * so that none survives a change: with fixed keys, clients of a withdrawn CA were admitted by resumption.
 */
export class TlsAcceptor {
  readonly #server: Server;
  readonly #waiting = new WeakMap<Socket, { readonly onSecured: OnSecured; readonly address: string | undefined }>();
  readonly #connections: CertifiedConnections;
  readonly #refusals: RefusalLog;
  #material: TlsMaterial;

  /** @throws InvalidCertificateError */
  constructor(
    texts: TlsTexts,
    { protocols, handshakeMs = 5_000, graceMs = 5_000 }: TlsAcceptorOptions,
    logger: Logger,
  ) {
    this.#material = tlsMaterial(texts);
    this.#refusals = new RefusalLog(logger);
    this.#connections = new CertifiedConnections(this.#refusals, () => this.#material, graceMs);
    const asks = texts.authority !== undefined;
    this.#server = createServer({
      ...contextOf(texts),
      requestCert: asks,
      rejectUnauthorized: asks,
      ALPNProtocols: [...protocols],
      handshakeTimeout: handshakeMs,
    });
    this.#server.on('secureConnection', (secured) => {
      this.#secured(secured);
    });
    this.#server.on('tlsClientError', (error: NodeJS.ErrnoException, secured) => {
      const why = String(secured.authorizationError ?? error.code ?? error.message);
      this.#refusals.say(this.#waitingOf(secured)?.address, why);
      secured.destroy();
    });
  }

  get material(): TlsMaterial {
    return this.#material;
  }

  /** Takes ownership of the socket; passes on the encrypted socket with its caller, or destroys it. */
  readonly accept = (socket: Socket, onSecured: OnSecured): void => {
    this.#waiting.set(socket, { onSecured, address: socket.remoteAddress });
    this.#server.emit('connection', socket);
  };

  /**
   * New connections get this certificate and must present one of this CA. Connections that the CA no longer covers end
   * after the grace period.
   *
   * @throws InvalidCertificateError, leaving everything unchanged
   */
  replace(texts: TlsTexts): void {
    const material = tlsMaterial(texts);
    this.#server.setSecureContext(contextOf(texts));
    const before = this.#material.texts.authority;
    this.#material = material;
    if (texts.authority !== before) this.#connections.authorityChanged();
  }

  close(): void {
    this.#connections.close();
  }

  #secured(secured: TLSSocket): void {
    const waiting = this.#waitingOf(secured);
    const caller = this.#callerOf(secured);
    if (waiting === undefined || caller === undefined) {
      secured.destroy();
      return;
    }
    secured.on('error', () => secured.destroy());
    if (!this.#connections.add(secured)) return;
    waiting.onSecured(secured, caller);
  }

  /** Returns the wrapped socket's entry; Node stores that socket as the parent. */
  #waitingOf(secured: TLSSocket): { readonly onSecured: OnSecured; readonly address: string | undefined } | undefined {
    const parent: unknown = Reflect.get(secured, '_parent');
    return parent instanceof Socket ? this.#waiting.get(parent) : undefined;
  }

  #callerOf(secured: TLSSocket): Caller | undefined {
    if (this.#material.texts.authority === undefined) return uncertified;
    const certificate = secured.getPeerX509Certificate();
    const caller = certificate === undefined ? undefined : certifiedCaller(certificate);
    if (caller === undefined) this.#refusals.say(secured.remoteAddress, 'the certificate names nobody');
    return caller;
  }
}

function contextOf({ certificate, key, authority }: TlsTexts): object {
  return { cert: certificate, key, minVersion: 'TLSv1.3', ...(authority !== undefined && { ca: authority }) };
}
