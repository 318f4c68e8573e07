import type { TLSSocket } from 'node:tls';
import type { RefusalLog } from './refusal-log.js';
import { isSignedBy, type TlsMaterial } from './tls-material.js';

/** The connections whose other ends showed a certificate; they end when the CA of it is withdrawn. */
export class CertifiedConnections {
  readonly #open = new Set<TLSSocket>();
  readonly #graces = new Set<NodeJS.Timeout>();

  /** @param graceMs from a change of the CA to the end of the connections whose certificates it did not sign */
  constructor(
    private readonly refusals: RefusalLog,
    private readonly material: () => TlsMaterial,
    private readonly graceMs: number,
  ) {}

  add(secured: TLSSocket): void {
    this.#open.add(secured);
    secured.once('close', () => this.#open.delete(secured));
  }

  /** After the grace, those end that the CAs there are then did not sign. */
  authorityChanged(): void {
    const grace = setTimeout(() => {
      this.#graces.delete(grace);
      this.#endDistrusted();
    }, this.graceMs);
    this.#graces.add(grace);
  }

  /** Ends none of them any more. */
  close(): void {
    for (const grace of this.#graces) clearTimeout(grace);
  }

  #endDistrusted(): void {
    const { authorities } = this.material();
    for (const secured of this.#open) {
      const certificate = secured.getPeerX509Certificate();
      if (certificate !== undefined && isSignedBy(certificate, authorities)) continue;
      this.refusals.say(secured.remoteAddress, 'the CA of its certificate was withdrawn');
      secured.destroy();
    }
  }
}
