import { X509Certificate } from 'node:crypto';
import { checkServerIdentity, type SecureContext } from 'node:tls';
import { ChannelCredentials } from '@grpc/grpc-js';
import type { Caller } from '../../application/access.js';

/** Makes the credentials of one connection to a peer, which is to be the member of that name where it is known. */
export type PeerCredentials = (name?: string) => ChannelCredentials;

/** Without TLS. */
export const inClear: PeerCredentials = () => ChannelCredentials.createInsecure();

/** How this node's outgoing side of TLS stands at the moment. */
export interface OutgoingTls {
  readonly context: SecureContext;
  /** Who holds a certificate that was verified. */
  readonly identify: (certificate: X509Certificate) => Caller | undefined;
  /** A certificate that names no node is not taken. */
  readonly requireNodeIdentity: boolean;
}

/**
 * Connections by mutual TLS. What answers must have the certificate of the node that is expected there. A certificate
 * that names no node must be good for the address that was dialled, as must any where no name is known yet.
 */
export function tlsCredentials(current: () => OutgoingTls): PeerCredentials {
  return (name) => {
    const { context, identify, requireNodeIdentity } = current();
    return ChannelCredentials.createFromSecureContext(context, {
      checkServerIdentity: (host, { raw }) => {
        const certificate = new X509Certificate(raw);
        const node = identify(certificate)?.node;
        if (node === undefined) return new Error('the certificate of the peer is no node’s');
        if (node.names.length === 0 && requireNodeIdentity)
          return new Error('the certificate of the peer names no node');
        if (name !== undefined && node.names.length > 0)
          return node.names.includes(name)
            ? undefined
            : new Error(`the certificate of the peer is of ${node.names.join(', ')}, not of ${name}`);
        return checkServerIdentity(host, certificate.toLegacyObject());
      },
    });
  };
}
