import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { RefusalLog } from './refusal-log.js';
import { isSignedBy, type TlsMaterial } from './tls-material.js';

/** The connections whose other ends showed a certificate; they end when the CA of it is withdrawn. */
export class CertifiedConnections {
  /** A client's socket tells the certificate of its server once: Node takes it off the list as it does. */
  readonly #open = new Map<TLSSocket, X509Certificate | undefined>();
  readonly #graces = new Set<NodeJS.Timeout>();

  /** @param graceMs from a change of the CA to the end of the connections whose certificates it did not sign */
  constructor(
    private readonly refusals: RefusalLog,
    private readonly material: () => TlsMaterial,
    private readonly graceMs: number,
  ) {}

  add(secured: TLSSocket): void {
    this.#open.set(secured, secured.getPeerX509Certificate());
    secured.once('close', () => this.#open.delete(secured));
  }

  /** After the grace, those end whose certificates were signed by none of the CAs of now, nor of then. */
  authorityChanged(): void {
    const { authorities } = this.material();
    const grace = setTimeout(() => {
      this.#graces.delete(grace);
      this.#endUnlessSignedBy([...authorities, ...this.material().authorities]);
    }, this.graceMs);
    this.#graces.add(grace);
  }

  /** Ends none of them any more. */
  close(): void {
    for (const grace of this.#graces) clearTimeout(grace);
  }

  #endUnlessSignedBy(authorities: readonly X509Certificate[]): void {
    for (const [secured, certificate] of this.#open) {
      if (certificate !== undefined && isSignedBy(certificate, authorities)) continue;
      this.refusals.say(secured.remoteAddress, 'the CA of its certificate was withdrawn');
      secured.destroy();
    }
  }
}
