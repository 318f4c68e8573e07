import { ChannelCredentials } from '@grpc/grpc-js';
import { createSecureContext } from 'node:tls';

/** The certificates of a client, in PEM. */
export interface ClientTls {
  /** The CA of the servers; the default is the list of CAs in Node. */
  readonly ca?: string;
  /** The client certificate, if the servers ask for one; needs `key`. */
  readonly cert?: string;
  readonly key?: string;
}

/** Returns credentials for TLS, or for plaintext without TLS. Throws when a certificate or key is invalid. */
export function channelCredentials(tls: ClientTls | undefined): ChannelCredentials {
  if (tls === undefined) return ChannelCredentials.createInsecure();
  return ChannelCredentials.createFromSecureContext(createSecureContext({ ...tls, minVersion: 'TLSv1.3' }));
}
