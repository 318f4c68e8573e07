import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeCertificateSet } from '../../src/infrastructure/certificate-set.js';
import { root } from '../foundation/checkout.js';

export const hasCfssl = spawnSync('cfssl', ['version']).status === 0;

/** A folder with a CA, pairs for these nodes and for root and nobody; of a CA of its own each. */
export class CertificateSet {
  readonly folder = mkdtempSync(join(tmpdir(), 'golog-certs-'));
  /** Made by golog, so that its CA can be loaded again. */
  isOwn = false;

  static async own(...nodes: string[]): Promise<CertificateSet> {
    const set = new CertificateSet();
    set.isOwn = true;
    await set.#complete(nodes);
    return set;
  }

  static cfssl(...nodes: string[]): CertificateSet {
    const set = new CertificateSet();
    const env = { ...process.env, CONFIG_PATH: set.folder, NODES: nodes.join(' ') };
    const made = spawnSync('make', ['gencert'], { cwd: root, env, encoding: 'utf8' });
    if (made.status !== 0) throw new Error(`make gencert: ${made.stderr}`);
    return set;
  }

  /** Makes new pairs for these nodes, with the same CA. */
  async renew(...nodes: string[]): Promise<void> {
    for (const name of nodes) for (const suffix of ['', '-key']) rmSync(this.file(`node-${name}${suffix}`));
    await this.#complete(nodes);
  }

  async #complete(nodes: string[]): Promise<void> {
    await writeCertificateSet({
      ...{ directory: this.folder, cluster: 'main', nodes, hosts: ['localhost', '127.0.0.1'] },
      ...{ clients: ['root', 'nobody'], days: 1, caDays: 1, force: false },
    });
  }

  file(name: string): string {
    return join(this.folder, `${name}.pem`);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
