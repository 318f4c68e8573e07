import type { Caller } from '../../../application/access/access.js';
import { namesFor } from './certified-names.js';
import type { Logger } from '../../../application/ports/logger.js';

export interface PeerTrustOptions {
  /** Rejects certificates that name no node. */
  readonly requireNodeIdentity: boolean;
  /** Returns this node's own identity from its current certificate. */
  readonly own?: () => Caller | undefined;
  /** The only names a peer may have; empty: any. */
  readonly allowedNames?: readonly string[];
  readonly logger: Logger;
}

/**
 * Decides whether a caller may act as the member it claims to be. The caller's certificate must identify its node at
 * least as precisely as this node's own does: by URI, by DNS name, or, if this node's own names no node, not at all.
 */
export class PeerTrust {
  readonly #warned = new Set<string>();

  constructor(private readonly options: PeerTrustOptions) {}

  /** Returns why the caller is rejected, for the caller and the log; undefined if it is trusted. */
  rejectionReason(caller: Caller | undefined, name: string): string | undefined {
    const { requireNodeIdentity, allowedNames = [] } = this.options;
    const node = caller?.node;
    if (caller === undefined || node === undefined) return 'the caller presented no node certificate';
    const own: NonNullable<Caller['node']> = this.options.own?.()?.node ?? { names: [] };
    const { names, foreign } = namesFor(own, node);
    if (foreign !== undefined) return foreign;
    if (names.length > 0 && !names.includes(name))
      return `the certificate is for ${names.join(', ')}; expected ${name}`;
    const isAllowed = allowedNames.includes(name);
    if (allowedNames.length > 0 && !isAllowed) return `${name} is not in --allowed-node-names`;
    if (names.length === 0) {
      if (requireNodeIdentity || own.names.length > 0) return 'the certificate names no node';
      this.#warn(caller.subject, name);
    }
    // Every server of the same CA has a DNS name. If nodes have URIs, only the configuration can accept a DNS name.
    if (own.cluster !== undefined && node.cluster === undefined && !isAllowed)
      return (
        `the certificate names ${name} only by DNS, as any server certificate does: expected ` +
        `URI:golog://${own.cluster}/node/${name}, like this node's own certificate, or ${name} in --allowed-node-names`
      );
    return undefined;
  }

  #warn(subject: string, name: string): void {
    if (this.#warned.size > 100 || this.#warned.has(name)) return;
    this.#warned.add(name);
    this.options.logger.warn(
      'peer_identity_unverified',
      { subject, peer: name },
      'the certificate of a peer names no node, so it could be any node; see --require-node-identity',
    );
  }
}
