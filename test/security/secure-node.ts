import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { memoryDataDirectory } from '../../src/adapters/memory/memory-data-directory.js';
import { DataDirectory } from '../../src/application/ports/data-directory.js';
import { Logger } from '../../src/application/ports/logger.js';
import type { ClientTls } from '../../src/client/index.js';
import { resolveConfig } from '../../src/infrastructure/config.js';
import { createContainer } from '../../src/infrastructure/container.js';
import { Node, OnFatal } from '../../src/infrastructure/node.js';
import { readFileSync } from 'node:fs';
import { modelFile } from '../cluster/security.js';
import { root } from '../foundation/checkout.js';
import type { CertificateSet } from './certificate-sets.js';
import { RecordingLogger } from '../logging/recording-logger.js';

export const policyFile = join(root, 'test/policy.csv');

/** The flags that have a node use a pair of the set, on both sides. */
export function tlsFlags(set: CertificateSet, pair = 'server'): Map<string, unknown> {
  return new Map<string, unknown>([
    ['server-tls-cert-file', set.file(pair)],
    ['server-tls-key-file', set.file(`${pair}-key`)],
    ['server-tls-ca-file', set.file('ca')],
  ]);
}

export const aclFlags = new Map<string, unknown>([
  ['acl-model-file', modelFile],
  ['acl-policy-file', policyFile],
]);

/** What a client of the set shows: the pair `<name>-client`, or none. */
export function clientOf(set: CertificateSet, pair?: string): ClientTls {
  const ca = readFileSync(set.file('ca'), 'utf8');
  if (pair === undefined) return { ca };
  return { ca, cert: readFileSync(set.file(pair), 'utf8'), key: readFileSync(set.file(`${pair}-key`), 'utf8') };
}

/** A copy of some files that a test may change. */
export class Changeable {
  readonly folder = mkdtempSync(join(tmpdir(), 'golog-change-'));
  copy(path: string, name: string): string {
    cpSync(path, join(this.folder, name));
    return join(this.folder, name);
  }
  remove(): void {
    rmSync(this.folder, { recursive: true });
  }
}

/** A node in this process, on free ports, with its log in memory. */
export class SecureNode {
  readonly logger = new RecordingLogger();
  rpcAddr = '';
  httpAddr = '';
  gossipAddr = '';
  fatal: unknown;
  #node: Node | undefined;

  static async start(...flags: ReadonlyMap<string, unknown>[]): Promise<SecureNode> {
    const node = new SecureNode();
    const own: [string, unknown][] = [
      ['rpc-port', '0'],
      ['http-port', '0'],
      ['bind-addr', '127.0.0.1:0'],
      ['node-name', 'n1'],
      ['disk-reserve-bytes', '0B'],
      ['tick-interval', '20ms'],
    ];
    const given = new Map([...own, ...flags.flatMap((each) => [...each])]);
    const container = createContainer(resolveConfig(given, {}, undefined));
    container.rebind<DataDirectory>(DataDirectory).toConstantValue(memoryDataDirectory());
    container.rebind<Logger>(Logger).toConstantValue(node.logger);
    container.rebind<OnFatal>(OnFatal).toConstantValue((error) => {
      node.fatal = error;
    });
    node.#node = await container.getAsync<Node>(Node);
    ({ rpcAddr: node.rpcAddr, httpAddr: node.httpAddr, gossipAddr: node.gossipAddr } = await node.#node.start());
    return node;
  }

  get rpcPort(): number {
    return Number(this.rpcAddr.split(':').at(-1));
  }

  get httpPort(): number {
    return Number(this.httpAddr.split(':').at(-1));
  }

  async stop(): Promise<void> {
    await this.#node?.stop();
  }
}
