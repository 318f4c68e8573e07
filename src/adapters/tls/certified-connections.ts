import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { RefusalLog } from './refusal-log.js';
import { isSignedBy, type TlsMaterial } from './tls-material.js';

/** How often to look for certificates that have expired. */
const lookMs = 1_000;

interface Presented {
  readonly certificate: X509Certificate;
  /** When it expires, or the last CA that signed it. */
  readonly untilMs: number;
}

/**
 * The open connections whose peers presented a certificate; they end when it expires, and when its CA is withdrawn. TLS
 * checks neither for a session that is resumed.
 */
export class CertifiedConnections {
  /**
   * The certificate is read when the connection opens: a client's socket returns its server's certificate only once.
   */
  readonly #open = new Map<TLSSocket, Presented | undefined>();
  readonly #graces = new Set<NodeJS.Timeout>();
  readonly #looking: NodeJS.Timeout;

  /** @param graceMs time from a change of the CA until connections end whose certificates it did not sign */
  constructor(
    private readonly refusals: RefusalLog,
    private readonly material: () => TlsMaterial,
    private readonly graceMs: number,
  ) {
    this.#looking = setInterval(() => {
      this.#endExpired();
    }, lookMs).unref();
  }

  /** Returns whether the certificate of the connection is valid now; otherwise the connection is destroyed. */
  add(secured: TLSSocket): boolean {
    const certificate = secured.getPeerX509Certificate();
    const presented = certificate && { certificate, untilMs: expiryOf(certificate, this.material().authorities) };
    if (presented !== undefined && !isValid(presented)) {
      this.#end(secured, 'its certificate is not valid at this time');
      return false;
    }
    this.#open.set(secured, presented);
    secured.once('close', () => this.#open.delete(secured));
    return true;
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

  /** Disconnects nothing from now on. */
  close(): void {
    clearInterval(this.#looking);
    for (const grace of this.#graces) clearTimeout(grace);
  }

  #endUnlessSignedBy(authorities: readonly X509Certificate[]): void {
    for (const [secured, presented] of this.#open)
      if (presented === undefined || !isSignedBy(presented.certificate, authorities))
        this.#end(secured, 'the CA of its certificate was withdrawn');
  }

  #endExpired(): void {
    for (const [secured, presented] of this.#open)
      if (presented !== undefined && presented.untilMs < Date.now()) this.#end(secured, 'its certificate has expired');
  }

  #end(secured: TLSSocket, reason: string): void {
    this.refusals.say(secured.remoteAddress, reason);
    secured.destroy();
  }
}

const isValid = ({ certificate, untilMs }: Presented): boolean =>
  Date.parse(certificate.validFrom) <= Date.now() && Date.now() <= untilMs;

/** One that an intermediate signed is checked by itself. */
function expiryOf(certificate: X509Certificate, authorities: readonly X509Certificate[]): number {
  const signers = authorities.filter((authority) => isSignedBy(certificate, [authority]));
  const signedUntilMs = Math.max(...signers.map(({ validTo }) => Date.parse(validTo)));
  return Math.min(Date.parse(certificate.validTo), signers.length === 0 ? Infinity : signedUntilMs);
}
