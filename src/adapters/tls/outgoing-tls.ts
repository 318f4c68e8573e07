import type { SecureContext, TLSSocket } from 'node:tls';
import type { Logger } from '../../application/ports/logger.js';
import { CertifiedConnections } from './certified-connections.js';
import { RefusalLog } from './refusal-log.js';
import { tlsMaterial, type TlsMaterial, type TlsTexts } from './tls-material.js';

/** The client's side of TLS 1.3 towards other nodes: what is shown and taken, and the connections there are. */
export class OutgoingTls {
  readonly #connections: CertifiedConnections;
  readonly #refusals: RefusalLog;
  #material: TlsMaterial;

  /**
   * @param graceMs as of `TlsAcceptor`
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

  /** For the next connection. */
  get context(): SecureContext {
    return this.#material.context;
  }

  /** Made by that context, which may be an older one: the other end can take its time for the handshake. */
  readonly connected = (secured: TLSSocket, context: SecureContext): void => {
    this.#connections.add(secured);
    if (context !== this.context) this.#connections.authorityChanged();
  };

  readonly failed = (address: string, error: unknown): void => {
    const { code, message } = error as NodeJS.ErrnoException;
    this.#refusals.say(address, code ?? message);
  };

  /**
   * New connections show this certificate, and take servers of this CA. Those to servers that the CA does not take any
   * more end after the grace.
   *
   * @throws InvalidCertificateError, and all stays as it was
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
