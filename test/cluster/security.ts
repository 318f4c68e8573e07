import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ClientTls } from '../../src/client/index.js';
import { writeCertificateSet } from '../../src/infrastructure/certificate-set.js';
import { root } from '../foundation/checkout.js';

/** Whether the tests of clusters run with everything encrypted, authenticated and authorized: `npm run test:secured`. */
export const isSecured = process.env['CLUSTER_SECURITY'] === 'on';

export const gossipKey = 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=';
/** Options of those who gossip with nobody but each other. */
export const gossipSecurity = isSecured ? { encryptKey: gossipKey } : {};

export const modelFile = join(root, 'test/model.conf');

/**
 * The callers of a cluster; each has only the permissions that it needs (`policy.csv`). A producer reads as well: that is
 * how it finds out, after a lost connection, what was stored.
 */
const clients = ['appender', 'producer', 'consumer', 'operator'] as const;
export type Caller = (typeof clients)[number];

const nodeNames = ['n1', 'n2', 'n3', 'n4', 'n5', 'r1', 'stranger'];

/** How the nodes of a cluster are secured, and the credentials of their callers. */
export interface Security {
  /** The flags of `golog serve`. */
  nodeFlags(name: string): string[];
  /** The flags of the commands that call a node. */
  callerFlags(caller: Caller): string[];
  tls(caller: Caller): ClientTls | undefined;
  /** What the node of that name shows to its peers. */
  nodeTls(name: string): ClientTls | undefined;
  /** That of another cluster, with certificates of the same CA. */
  beside(cluster: string): Promise<Security>;
  /** Throws if what all processes of a node wrote shows that it was not secured, or refused somebody. */
  expectIn(output: string, mayRefuse: boolean): void;
}

export const inClear: Security = {
  nodeFlags: () => [],
  callerFlags: () => [],
  tls: () => undefined,
  nodeTls: () => undefined,
  beside: async () => inClear,
  expectIn: () => undefined,
};

/** Files of a node that shows the certificate and takes those of the CA. */
interface NodeFiles {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

/** Flags of a node with mutual TLS, a policy, and encrypted gossip. */
export function secureFlags({ cert, key, ca }: NodeFiles, policyFile: string): string[] {
  return [
    ...['--server-tls-cert-file', cert, '--server-tls-key-file', key, '--server-tls-ca-file', ca],
    ...['--acl-model-file', modelFile, '--acl-policy-file', policyFile],
    ...['--require-node-identity', '--encrypt', gossipKey],
  ];
}

/** Mutual TLS on both ports and among nodes, an ACL, and encrypted gossip. */
class Secured implements Security {
  readonly #shown = new Map<Caller, ClientTls>();

  constructor(
    private readonly folder: string,
    private readonly hosts: readonly string[],
  ) {
    for (const caller of clients) this.#shown.set(caller, this.#tls(`${caller}-client`));
  }

  /** Makes the certificates in the folder, with the CA that is there, if any. */
  static async made(folder: string, cluster: string, hosts: readonly string[]): Promise<Secured> {
    const names = { cluster, nodes: nodeNames, hosts, clients };
    await writeCertificateSet({ directory: folder, ...names, days: 1, caDays: 1, force: false });
    return new Secured(folder, hosts);
  }

  nodeFlags(name: string): string[] {
    const pair = `node-${name}`;
    const files = { cert: this.#file(pair), key: this.#file(`${pair}-key`), ca: this.#file('ca') };
    return secureFlags(files, join(import.meta.dirname, 'policy.csv'));
  }

  callerFlags(caller: Caller): string[] {
    const pair = this.#file(`${caller}-client`);
    const key = this.#file(`${caller}-client-key`);
    return ['--tls-ca-file', this.#file('ca'), '--tls-cert-file', pair, '--tls-key-file', key];
  }

  tls(caller: Caller): ClientTls | undefined {
    return this.#shown.get(caller);
  }

  nodeTls(name: string): ClientTls {
    return this.#tls(`node-${name}`);
  }

  async beside(cluster: string): Promise<Security> {
    const folder = `${this.folder}-${cluster}`;
    mkdirSync(folder);
    for (const name of ['ca', 'ca-key']) copyFileSync(this.#file(name), join(folder, `${name}.pem`));
    return Secured.made(folder, cluster, this.hosts);
  }

  /** Every process that served was secured, and nobody was refused but for being too slow, as who is stopped is. */
  expectIn(output: string, mayRefuse: boolean): void {
    const lines = output.split('\n');
    const open = lines.filter((line) => line.includes('"event":"serving"') && !line.includes(secureAccess));
    const audit = lines.filter((line) => /"audit":"(denied|refused)"/.test(line));
    const refused = audit.filter((line) => !line.includes('"reason":"ERR_TLS_HANDSHAKE_TIMEOUT"'));
    const wrong = [...open, ...(mayRefuse ? [] : refused)];
    if (wrong.length > 0) throw new Error(wrong.join('\n'));
  }

  #tls(pair: string): ClientTls {
    const text = (name: string): string => readFileSync(this.#file(name), 'utf8');
    return { ca: text('ca'), cert: text(pair), key: text(`${pair}-key`) };
  }

  #file(name: string): string {
    return join(this.folder, `${name}.pem`);
  }
}

const secureAccess = '"access":"mutual TLS: callers are who their certificates say; the ACL says what they may do"';

/** As the environment says; the certificates are made in the folder, for nodes on these hosts. */
export async function clusterSecurity(folder: string, hosts: readonly string[]): Promise<Security> {
  return isSecured ? Secured.made(folder, 'main', hosts) : inClear;
}
