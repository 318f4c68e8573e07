import { Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { anonymous, type Caller } from '../../application/access/access.js';
import type { Logger } from '../../application/ports/logger.js';
import { certifiedCaller } from './certified-caller.js';
import { CertifiedConnections } from './certified-connections.js';
import { RefusalLog } from './refusal-log.js';
import { tlsMaterial, type TlsMaterial, type TlsTexts } from './tls-material.js';

export interface TlsAcceptorOptions {
  /** What is spoken over TLS, by ALPN, the preferred first. */
  readonly protocols: readonly string[];
  /** A handshake that takes longer is given up (default 5 s). */
  readonly handshakeMs?: number;
  /** From a change of the CA to the end of the connections whose certificates it did not sign (default 5 s). */
  readonly graceMs?: number;
}

type Take = (secured: TLSSocket, caller: Caller) => void;

/** Who calls over TLS without being asked for a certificate: no peer. */
const uncertified: Caller = { subject: anonymous.subject, certified: false };

/**
 * The server's side of TLS 1.3, for sockets that a listener has accepted. Where there is a CA, a client without a
 * certificate of it, or whose certificate says nobody, gets no further than the handshake.
 *
 * New connections get the latest certificate. Tickets are of the context that made them, with keys that nobody sets, so
 * that none outlives a change: with fixed keys, clients of a withdrawn CA were let in by resumption.
 */
export class TlsAcceptor {
  readonly #server: Server;
  readonly #waiting = new WeakMap<Socket, { readonly take: Take; readonly address: string | undefined }>();
  readonly #taken: CertifiedConnections;
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
    this.#taken = new CertifiedConnections(this.#refusals, () => this.#material, graceMs);
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

  /** Takes over the socket; gives it back encrypted with who is at its other end, or destroys it. */
  readonly accept = (socket: Socket, take: Take): void => {
    this.#waiting.set(socket, { take, address: socket.remoteAddress });
    this.#server.emit('connection', socket);
  };

  /**
   * New connections get this certificate, and must have one of this CA. Connections that the CA does not let in any more
   * end after the grace.
   *
   * @throws InvalidCertificateError, and all stays as it was
   */
  replace(texts: TlsTexts): void {
    const material = tlsMaterial(texts);
    this.#server.setSecureContext(contextOf(texts));
    const before = this.#material.texts.authority;
    this.#material = material;
    if (texts.authority !== before) this.#taken.authorityChanged();
  }

  close(): void {
    this.#taken.close();
  }

  #secured(secured: TLSSocket): void {
    const waiting = this.#waitingOf(secured);
    const caller = this.#callerOf(secured);
    if (waiting === undefined || caller === undefined) {
      secured.destroy();
      return;
    }
    this.#taken.add(secured);
    secured.on('error', () => secured.destroy());
    waiting.take(secured, caller);
  }

  /** Node keeps the socket that is wrapped as the parent. */
  #waitingOf(secured: TLSSocket): { readonly take: Take; readonly address: string | undefined } | undefined {
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
