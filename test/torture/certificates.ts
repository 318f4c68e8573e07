import { copyFileSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { golog, run } from './commands.js';
import { FaultySystem } from './faulty-system.js';
import type { ClientCertificate } from './http-caller.js';

const clientName = 'torture';
const daySeconds = 86_400;
/** Any key will do. */
const gossipKey = 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=';

/** The certificates of a cluster with mutual TLS, made by `golog certs`. */
export class Certificates {
  #sets = 0;
  /** The clock is of one set at a time. */
  #last: Promise<void> = Promise.resolve();

  private constructor(
    private readonly folder: string,
    private readonly nodes: readonly string[],
    private readonly hosts: readonly string[],
    /** Makes certificates of another day; undefined: not on this machine. */
    private readonly clock: FaultySystem | undefined,
  ) {}

  static async make(
    folder: string,
    nodes: readonly string[],
    hosts: readonly string[],
    library: string | undefined,
  ): Promise<Certificates> {
    mkdirSync(folder);
    const clock = library === undefined ? undefined : new FaultySystem(library, join(folder, 'clock'));
    const certificates = new Certificates(folder, nodes, hosts, clock);
    // Valid from a day before, so that they are valid for a node whose clock is an hour behind.
    await certificates.#init(folder, -1, 365);
    return certificates;
  }

  get client(): ClientCertificate {
    const text = (name: string): string => readFileSync(join(this.folder, `${name}.pem`), 'utf8');
    return { ca: text('ca'), cert: text(`${clientName}-client`), key: text(`${clientName}-client-key`) };
  }

  get canExpire(): boolean {
    return this.clock !== undefined;
  }

  nodeFlags(node: string): string[] {
    const file = (name: string): string => join(this.folder, `${name}.pem`);
    return [
      ...['--server-tls-ca-file', file('ca')],
      ...['--server-tls-cert-file', file(`node-${node}`), '--server-tls-key-file', file(`node-${node}-key`)],
      ...['--encrypt', gossipKey, '--require-node-identity'],
    ];
  }

  /** Puts new certificates of the same CA in place of those of these nodes. */
  renew(nodes: readonly string[]): Promise<void> {
    return this.#replace(nodes, -1, 365);
  }

  /** Puts certificates in place that expired two days ago. */
  expire(nodes: readonly string[]): Promise<void> {
    return this.#replace(nodes, -3, 1);
  }

  #replace(nodes: readonly string[], daysFromNow: number, days: number): Promise<void> {
    this.#last = this.#last.then(() => this.#make(nodes, daysFromNow, days));
    return this.#last;
  }

  async #make(nodes: readonly string[], daysFromNow: number, days: number): Promise<void> {
    this.#sets += 1;
    const set = join(this.folder, `set-${this.#sets}`);
    mkdirSync(set);
    for (const name of ['ca.pem', 'ca-key.pem']) copyFileSync(join(this.folder, name), join(set, name));
    await this.#init(set, daysFromNow, days);
    for (const node of nodes)
      for (const name of [`node-${node}-key.pem`, `node-${node}.pem`])
        renameSync(join(set, name), join(this.folder, name));
  }

  async #init(folder: string, daysFromNow: number, days: number): Promise<void> {
    this.clock?.set('clockOffsetS', daysFromNow * daySeconds);
    const cluster = ['--cluster', 'torture', '--node', this.nodes.join(), '--host', this.hosts.join()];
    const flags = ['--dir', folder, ...cluster, '--client', clientName, '--days', String(days)];
    await run(...(this.clock?.through ?? []), ...golog, 'certs', 'init', ...flags);
  }
}
