import type { Caller } from '../../../application/access/access.js';
import type { Logger } from '../../../application/ports/logger.js';

export interface PeerTrustOptions {
  /** A certificate that names no node is not taken. */
  readonly requireNodeIdentity: boolean;
  /** Who this node itself is by its certificate of now. */
  readonly own?: () => Caller | undefined;
  /** The only names that a peer may go by; empty: any. */
  readonly allowedNames?: readonly string[];
  readonly logger: Logger;
}

/**
 * Whether a caller may be the member that it says it is. Its certificate names a node as exactly as this node's own
 * does: by URI, or by DNS at least, or not at all where this node's own names none either.
 */
export class PeerTrust {
  readonly #warned = new Set<string>();

  constructor(private readonly options: PeerTrustOptions) {}

  /** Why not, for the caller and for the log; undefined where it may. */
  misfit(caller: Caller | undefined, name: string): string | undefined {
    const { requireNodeIdentity, allowedNames = [] } = this.options;
    const node = caller?.node;
    if (caller === undefined || node === undefined) return 'there is no certificate of a node';
    const own = this.options.own?.()?.node ?? { names: [] };
    if (own.cluster !== undefined && node.cluster !== undefined && own.cluster !== node.cluster)
      return `the certificate is of the cluster ${node.cluster}, not of ${own.cluster}`;
    if (node.names.length > 0 && !node.names.includes(name))
      return `the certificate is of ${node.names.join(', ')}, not of ${name}`;
    const isAllowed = allowedNames.includes(name);
    if (allowedNames.length > 0 && !isAllowed) return `${name} is not in --allowed-node-names`;
    if (node.names.length === 0) {
      if (requireNodeIdentity || own.names.length > 0) return 'the certificate names no node';
      this.#warn(caller.subject, name);
    }
    // Any server of the same CA has a DNS name: where nodes have URIs, only the configuration makes a node of it.
    if (own.cluster !== undefined && node.cluster === undefined && !isAllowed)
      return (
        `the certificate names ${name} by DNS only, as that of any server does: expected ` +
        `URI:golog://${own.cluster}/node/${name}, as this node's own has, or ${name} in --allowed-node-names`
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
