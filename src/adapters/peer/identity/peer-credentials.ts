import { X509Certificate } from 'node:crypto';
import { checkServerIdentity, type SecureContext, TLSSocket } from 'node:tls';
import { ChannelCredentials, type VerifyOptions } from '@grpc/grpc-js';
import type { Caller } from '../../../application/access/access.js';
import { namesFor } from './certified-names.js';

/** The credentials of one channel. */
export type PeerChannelCredentials = ChannelCredentials & {
  /** True if the channel connected with a certificate or CA that has since been replaced. */
  readonly isOutdated?: boolean;
  /** The node names in the certificate of the peer, once connected; undefined without TLS, and if it names no node. */
  readonly peerNames?: readonly string[] | undefined;
};

/** Makes the credentials of one channel to a peer. If `name` is given, the peer must be that member. */
export type PeerCredentials = (name?: string) => PeerChannelCredentials;

/** Makes credentials without TLS. */
export const inClear: PeerCredentials = () => ChannelCredentials.createInsecure();

/** This node's client side of TLS, which may change while the node runs. */
export interface OutgoingSide {
  /** The TLS context for the next connection. */
  readonly context: SecureContext;
  /** Called for each connection, with the context that made it. */
  readonly connected: (secured: TLSSocket, context: SecureContext) => void;
  /** Called if the server at that HOST:PORT is rejected, or rejects the handshake. */
  readonly failed: (address: string, error: unknown) => void;
}

export interface PeerTls {
  readonly outgoing: OutgoingSide;
  /** Returns the identity in a verified certificate. */
  readonly identify: (certificate: X509Certificate) => Caller | undefined;
  /** Returns this node's own identity, from the certificate that it presents (default: it names no cluster). */
  readonly own?: () => Caller | undefined;
  /** Rejects certificates that name no node. */
  readonly requireNodeIdentity: boolean;
}

/**
 * Makes credentials for mutual TLS. The peer must present the certificate of the expected node, in a cluster that this
 * node's own certificate names, if both name one. A certificate that
 * names no node must be valid for the dialed address, as must any certificate if no name is known yet.
 */
export function tlsCredentials({ outgoing, identify, own, requireNodeIdentity }: PeerTls): PeerCredentials {
  return (name) => {
    const credentials: LatestCredentials = new LatestCredentials(outgoing, {
      checkServerIdentity: (host, { raw }) => {
        const certificate = new X509Certificate(raw);
        const node = identify(certificate)?.node;
        if (node === undefined) return new Error('the certificate of the peer is not a node certificate');
        const { names, foreign } = namesFor(own?.()?.node, node);
        if (foreign !== undefined) return new Error(foreign);
        if (names.length === 0 && requireNodeIdentity) return new Error('the certificate of the peer names no node');
        credentials.peerNames = names.length > 0 ? names : undefined;
        if (name !== undefined && names.length > 0)
          return names.includes(name)
            ? undefined
            : new Error(`the certificate of the peer is for ${names.join(', ')}; expected ${name}`);
        return checkServerIdentity(host, certificate.toLegacyObject());
      },
    });
    return credentials;
  };
}

type CreateConnector = ChannelCredentials['_createSecureConnector'];

/**
 * Reads the current certificate and CA for each connection. The credentials of grpc-js read them once, when they are
 * created, and a channel would keep them for its whole life.
 */
class LatestCredentials extends ChannelCredentials {
  peerNames: readonly string[] | undefined;
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
