import { copyFileSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ClientTls } from '../../src/client/index.js';
import { LiveCluster, type NodePlace } from '../cluster/live-cluster.js';
import type { CertificateSet } from './certificate-sets.js';
import { secureFlags } from '../cluster/security.js';
import { clientOf, policyFile } from './secure-node.js';

/** Where the nodes of a cluster have their certificates: files of each node's own, which can be replaced. */
export class NodeCertificates {
  constructor(private readonly folder: string) {}

  /** Flags of a node with mutual TLS, the original's policy, and encrypted gossip. */
  flags(node: string): string[] {
    const files = { cert: this.#file(node, 'node'), key: this.#file(node, 'node-key'), ca: this.#file(node, 'ca') };
    return secureFlags(files, policyFile);
  }

  /** Flags of a node that shows files of their own to its peers, which change with the others. */
  peerFlags(node: string): string[] {
    const option = (name: string, file: string): string[] => [`--peer-tls-${name}-file`, this.#file(node, file)];
    return [...option('cert', 'peer'), ...option('key', 'peer-key'), ...option('ca', 'peer-ca')];
  }

  /** Gives the node a pair of the set: the one of its name where no other is said. */
  renew(node: string, set: CertificateSet, pair = `node-${node}`): void {
    mkdirSync(join(this.folder, node), { recursive: true });
    for (const suffix of ['', '-key'])
      for (const to of ['node', 'peer']) {
        copyFileSync(set.file(`${pair}${suffix}`), this.#file(node, `next${suffix}`));
        renameSync(this.#file(node, `next${suffix}`), this.#file(node, `${to}${suffix}`));
      }
  }

  /** Has the node trust these. */
  trust(node: string, ...authorities: readonly CertificateSet[]): void {
    for (const to of ['ca', 'peer-ca']) {
      writeFileSync(this.#file(node, 'next-ca'), bundleOf(authorities));
      renameSync(this.#file(node, 'next-ca'), this.#file(node, to));
    }
  }

  /** Leaves a key that is none. */
  breakKey(node: string): void {
    writeFileSync(this.#file(node, 'node-key'), 'no key');
  }

  #file(node: string, name: string): string {
    return join(this.folder, node, `${name}.pem`);
  }
}

const bundleOf = (sets: readonly CertificateSet[]): string =>
  sets.map((set) => readFileSync(set.file('ca'), 'utf8')).join('');

/** What root shows, of the first set, and whom it trusts: the CAs of all. */
export function rootOf(...sets: readonly [CertificateSet, ...CertificateSet[]]): ClientTls {
  return { ...clientOf(sets[0], 'root-client'), ca: bundleOf(sets) };
}

/** Places for nodes `n1` and so on that are secured in all ways, with certificates of the set. */
export async function securePlaces(
  folder: string,
  size: number,
  set: CertificateSet,
): Promise<{ readonly places: readonly NodePlace[]; readonly certificates: NodeCertificates }> {
  const certificates = new NodeCertificates(join(folder, 'certificates'));
  const places = (await LiveCluster.places(folder, size)).map((place) => securePlace(place, certificates, set));
  return { places, certificates };
}

/** The place, secured as those. */
export function securePlace(place: NodePlace, certificates: NodeCertificates, set: CertificateSet): NodePlace {
  certificates.renew(place.name, set);
  certificates.trust(place.name, set);
  return { ...place, args: [...certificates.flags(place.name), ...(place.args ?? [])], tls: rootOf(set) };
}
