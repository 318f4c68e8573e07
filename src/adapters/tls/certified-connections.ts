import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { RefusalLog } from './refusal-log.js';
import { isSignedBy, type TlsMaterial } from './tls-material.js';

/** The open connections whose peers presented a certificate; they end when its CA is withdrawn. */
export class CertifiedConnections {
  /**
   * The certificate is read when the connection opens: a client's socket returns its server's certificate only once.
   */
  readonly #open = new Map<TLSSocket, X509Certificate | undefined>();
  readonly #graces = new Set<NodeJS.Timeout>();

  /** @param graceMs time from a change of the CA until connections end whose certificates it did not sign */
  constructor(
    private readonly refusals: RefusalLog,
    private readonly material: () => TlsMaterial,
    private readonly graceMs: number,
  ) {}

  add(secured: TLSSocket): void {
    this.#open.set(secured, secured.getPeerX509Certificate());
    secured.once('close', () => this.#open.delete(secured));
  }

  /**
   * After the grace period, ends connections whose certificates were signed neither by a current CA nor by one from
   * now.
   */
  authorityChanged(): void {
    const { authorities } = this.material();
    const grace = setTimeout(() => {
      this.#graces.delete(grace);
      this.#endUnlessSignedBy([...authorities, ...this.material().authorities]);
    }, this.graceMs);
    this.#graces.add(grace);
  }

  /** Cancels all pending disconnects. */
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
