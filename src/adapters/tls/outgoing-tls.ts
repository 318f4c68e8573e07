import type { SecureContext, TLSSocket } from 'node:tls';
import type { Logger } from '../../application/ports/logger.js';
import { CertifiedConnections } from './certified-connections.js';
import { RefusalLog } from './refusal-log.js';
import { tlsMaterial, type TlsMaterial, type TlsTexts } from './tls-material.js';

/**
 * The client's side of TLS 1.3 to other nodes: the certificate it presents, the CA it trusts, and its open connections.
 */
export class OutgoingTls {
  readonly #connections: CertifiedConnections;
  readonly #refusals: RefusalLog;
  #material: TlsMaterial;

  /**
   * @param graceMs see `TlsAcceptor`
   * @throws InvalidCertificateError
   */
  constructor(texts: TlsTexts, logger: Logger, graceMs = 5_000) {
    this.#material = tlsMaterial(texts);
    this.#refusals = new RefusalLog(logger);
    this.#connections = new CertifiedConnections(this.#refusals, () => this.#material, graceMs);
  }

  get material(): TlsMaterial {
    return this.#material;
  }

  /** The context for the next connection. */
  get context(): SecureContext {
    return this.#material.context;
  }

  /** Called for each connection with the context that made it, which may be outdated after a slow handshake. */
  readonly connected = (secured: TLSSocket, context: SecureContext): void => {
    this.#connections.add(secured);
    if (context !== this.context) this.#connections.authorityChanged();
  };

  readonly failed = (address: string, error: unknown): void => {
    const { code, message } = error as NodeJS.ErrnoException;
    this.#refusals.say(address, code ?? message);
  };

  /**
   * New connections present this certificate and accept servers of this CA. Connections to servers that the CA no
   * longer covers end after the grace period.
   *
   * @throws InvalidCertificateError, leaving everything unchanged
   */
  replace(texts: TlsTexts): void {
    const before = this.#material.texts.authority;
    this.#material = tlsMaterial(texts);
    if (texts.authority !== before) this.#connections.authorityChanged();
  }

  close(): void {
    this.#connections.close();
  }
}
