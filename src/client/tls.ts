import { ChannelCredentials } from '@grpc/grpc-js';
import { createSecureContext } from 'node:tls';

/** What a client shows and takes, as PEM. */
export interface ClientTls {
  /** CA of the servers; without it those that Node knows. */
  readonly ca?: string;
  /** The client's own, where the servers ask for one: both or none. */
  readonly cert?: string;
  readonly key?: string;
}

/** In clear where there is no TLS. Throws where the texts cannot be used. */
export function channelCredentials(tls: ClientTls | undefined): ChannelCredentials {
  if (tls === undefined) return ChannelCredentials.createInsecure();
  return ChannelCredentials.createFromSecureContext(createSecureContext({ ...tls, minVersion: 'TLSv1.3' }));
}
