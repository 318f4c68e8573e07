import type { Caller } from '../../application/access.js';
import type { Logger } from '../../application/ports/logger.js';

export interface PeerTrustOptions {
  /** A certificate that names no node is not taken. */
  readonly requireNodeIdentity: boolean;
  /** The cluster that this node's own certificate names. */
  readonly cluster?: () => string | undefined;
  readonly logger: Logger;
}

/** Whether a caller may be the member that it says it is. */
export class PeerTrust {
  readonly #warned = new Set<string>();

  constructor(private readonly options: PeerTrustOptions) {}

  /** Why not, for the caller and for the log; undefined where it may. */
  misfit(caller: Caller | undefined, name: string): string | undefined {
    const node = caller?.node;
    if (caller === undefined || node === undefined) return 'there is no certificate of a node';
    const cluster = this.options.cluster?.();
    if (cluster !== undefined && node.cluster !== undefined && cluster !== node.cluster)
      return `the certificate is of the cluster ${node.cluster}, not of ${cluster}`;
    if (node.names.length > 0)
      return node.names.includes(name) ? undefined : `the certificate is of ${node.names.join(', ')}, not of ${name}`;
    if (this.options.requireNodeIdentity) return 'the certificate names no node';
    this.#warn(caller.subject, name);
    return undefined;
  }

  #warn(subject: string, name: string): void {
    if (this.#warned.size > 100 || this.#warned.has(name)) return;
    this.#warned.add(name);
    const message = 'the certificate of a peer names no node: it could be any of them (see --require-node-identity)';
    this.options.logger.warn({ subject, peer: name }, message);
  }
}
