import { X509Certificate } from 'node:crypto';
import { checkServerIdentity, type SecureContext, TLSSocket } from 'node:tls';
import { ChannelCredentials, type VerifyOptions } from '@grpc/grpc-js';
import type { Caller } from '../../../application/access/access.js';

/** Of one channel. */
export type PeerChannelCredentials = ChannelCredentials & {
  /** The channel is connected by a certificate, or a CA, that was replaced since. */
  readonly isOutdated?: boolean;
};

/** Makes the credentials of one channel to a peer, which is to be the member of that name where it is known. */
export type PeerCredentials = (name?: string) => PeerChannelCredentials;

/** Without TLS. */
export const inClear: PeerCredentials = () => ChannelCredentials.createInsecure();

/** This node's outgoing side of TLS, which may change while it runs. */
export interface OutgoingSide {
  /** At the moment. */
  readonly context: SecureContext;
  /** Is told of each connection, and the context by which it was made. */
  readonly connected: (secured: TLSSocket, context: SecureContext) => void;
  /** Is told where a server of that HOST:PORT is not taken, or takes no handshake. */
  readonly failed: (address: string, error: unknown) => void;
}

export interface PeerTls {
  readonly outgoing: OutgoingSide;
  /** Who holds a certificate that was verified. */
  readonly identify: (certificate: X509Certificate) => Caller | undefined;
  /** A certificate that names no node is not taken. */
  readonly requireNodeIdentity: boolean;
}

/**
 * Connections by mutual TLS. What answers must have the certificate of the node that is expected there. A certificate
 * that names no node must be good for the address that was dialled, as must any where no name is known yet.
 */
export function tlsCredentials({ outgoing, identify, requireNodeIdentity }: PeerTls): PeerCredentials {
  return (name) =>
    new LatestCredentials(outgoing, {
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
}

type CreateConnector = ChannelCredentials['_createSecureConnector'];

/**
 * Those of grpc-js take the certificate and the CA of the moment when they are made; a channel that dials again would
 * keep them for as long as it lives. These take what there is whenever they connect.
 */
class LatestCredentials extends ChannelCredentials {
  #connectedBy: SecureContext | undefined;

  constructor(
    private readonly outgoing: OutgoingSide,
    private readonly verification: VerifyOptions,
  ) {
    super();
  }

  get isOutdated(): boolean {
    return this.#connectedBy !== undefined && this.#connectedBy !== this.outgoing.context;
  }

  override _isSecure(): boolean {
    return true;
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(...asked: Parameters<CreateConnector>): ReturnType<CreateConnector> {
    const { outgoing, verification } = this;
    const connectorBy = (context: SecureContext): ReturnType<CreateConnector> =>
      ChannelCredentials.createFromSecureContext(context, verification)._createSecureConnector(...asked);
    const first = connectorBy(outgoing.context);
    return {
      connect: async (tcp) => {
        const { context } = outgoing;
        const address = `${tcp.remoteAddress}:${tcp.remotePort}`;
        try {
          const connection = await connectorBy(context).connect(tcp);
          if (connection.socket instanceof TLSSocket) outgoing.connected(connection.socket, context);
          this.#connectedBy = context;
          return connection;
        } catch (error) {
          outgoing.failed(address, error);
          throw error;
        }
      },
      waitForReady: () => first.waitForReady(),
      getCallCredentials: () => first.getCallCredentials(),
      destroy: () => {
        first.destroy();
      },
    };
  }
}
