import type { Container } from 'inversify';
import type { ConfigurationFile } from '../application/configuration-file.js';
import type { Discovery } from '../application/discovery.js';
import type { Gossip } from '../application/ports/gossip.js';
import type { Membership } from './node.js';

export interface Closeable {
  close(): Promise<void> | void;
}

/** What a node has when it begins to take part in its cluster, be it as a member or as a replica. */
export interface Beginning {
  readonly container: Container;
  readonly self: { readonly name: string; readonly uuid: string; readonly rpcAddr: string };
  readonly configuration: ConfigurationFile;
  readonly discovery: Discovery;
  readonly gossip: Gossip;
  readonly signal: AbortSignal;
  /** Whatever is opened goes here, for the caller to close where it rejects. */
  readonly opened: Closeable[];
}

/** The node's part, once it takes it. */
export type Taken = Pick<Membership, 'hardState' | 'log' | 'consensus' | 'close'>;
