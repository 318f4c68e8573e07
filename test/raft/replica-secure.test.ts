import { afterEach, describe, expect, it } from '@jest/globals';
import { memoryDataDirectory } from '../../src/adapters/memory/memory-data-directory.js';
import { DataDirectory } from '../../src/application/ports/data-directory.js';
import { ClusterClient } from '../../src/client/index.js';
import { resolveConfig } from '../../src/infrastructure/config.js';
import { createContainer } from '../../src/infrastructure/container.js';
import { Node } from '../../src/infrastructure/node.js';
import { CertificateSet } from '../security/certificate-sets.js';
import { Load, valuesAt } from '../security/secure-group.js';
import { aclFlags, clientOf, SecureNode, tlsFlags } from '../security/secure-node.js';

const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

const strict = new Map([['require-node-identity', 'true']]);

async function start(set: CertificateSet, pair: string, flags: Record<string, string> = {}): Promise<SecureNode> {
  const node = await SecureNode.start(tlsFlags(set, pair), aclFlags, strict, new Map(Object.entries(flags)));
  endings.push(() => node.stop());
  return node;
}

describe('a replica of a cluster that admits only node certificates', () => {
  it('follows, forwards appends and asks for barriers with its own certificate', async () => {
    const set = await CertificateSet.own('n1', 'r1');
    endings.push(() => set.remove());
    const member = await start(set, 'node-n1');
    const flags = { replica: 'true', 'node-name': 'r1', 'start-join-addrs': member.gossipAddr };
    const replica = await start(set, 'node-r1', flags);
    const root = clientOf(set, 'root-client');
    const load = await Load.start(replica.rpcAddr, [replica.rpcAddr], root);
    await load.progress(5);
    const sent = await load.stop();
    expect(await valuesAt(replica.rpcAddr, root)).toEqual(sent);
    const cluster = new ClusterClient([replica.rpcAddr], root);
    expect(await cluster.status()).toMatchObject({ answeredBy: 'n1', leader: 'n1' });
    cluster.close();
    expect([...member.logger.audit(), ...replica.logger.audit()]).toEqual([]);
  });

  it('is not admitted with the certificate of another node', async () => {
    const set = await CertificateSet.own('n1', 'n2');
    endings.push(() => set.remove());
    const member = await start(set, 'node-n1');
    const own = { replica: true, 'node-name': 'r1', 'start-join-addrs': member.gossipAddr };
    const ports = { 'rpc-port': '0', 'http-port': '0', 'bind-addr': '127.0.0.1:0', 'log-level': 'silent' };
    const flags = new Map<string, unknown>([...tlsFlags(set, 'node-n2'), ...Object.entries({ ...own, ...ports })]);
    const container = createContainer(resolveConfig(flags, {}, undefined));
    container.rebind<DataDirectory>(DataDirectory).toConstantValue(memoryDataDirectory());
    const node = await container.getAsync<Node>(Node);
    const ended = expect(node.start()).rejects.toMatchObject({ name: 'AbortError' });
    while (member.logger.audit().length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    await node.stop();
    await ended;
    const denied = { audit: 'denied', action: 'node', peer: 'r1', subject: 'golog://main/node/n2' };
    expect(member.logger.audit()).toContainEqual(expect.objectContaining(denied));
  });
});
