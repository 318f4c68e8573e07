import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { ClientTls } from '../../src/client/index.js';
import { eventually, tell } from '../cluster/deadline.js';
import { clusterTests } from '../cluster/fixture.js';
import { LiveCluster, type LiveNode, type NodePlace } from '../cluster/live-cluster.js';
import type { Load } from '../cluster/load.js';
import { gossipKey } from '../cluster/security.js';
import { expectAllKept } from '../cluster/verdict.js';
import { endAgents, SerfAgent, withoutSerf } from '../interop/serf-agent.js';
import { inTime } from '../interop/statuses.js';
import { handshake } from './callers.js';
import { CertificateSet } from './certificate-sets.js';
import { clientOf } from './secure-node.js';
import { rootOf, securePlace, securePlaces } from './secure-places.js';
import type { LogEvent } from '../../src/application/ports/log-events.js';
import { loggedLines } from '../logging/logged-lines.js';

if (withoutSerf !== undefined) tell(`the rotation of gossip keys is skipped: ${withoutSerf}`);

const names = ['n1', 'n2', 'n3', 'r1'];
const nextGossipKey = 'EBESExQVFhcYGRobHB0eHw==';
/** From the withdrawal of a CA to the end of what is connected by it. */
const graceMs = 5_000;
/** Until a node has looked at its files twice and its timers have run, on a machine that is busy. */
const noticedMs = 5_000;

const run = clusterTests();
let old: CertificateSet;
let fresh: CertificateSet;

beforeAll(async () => {
  [old, fresh] = await Promise.all([CertificateSet.own(...names), CertificateSet.own(...names)]);
});
afterAll(() => {
  old.remove();
  fresh.remove();
});

const ports = ({ address, httpAddr }: LiveNode): number[] =>
  [address, httpAddr].map((each) => Number(each.split(':').at(-1)));

async function connected(port: number, tls: ClientTls): Promise<TLSSocket> {
  const socket = connectTls({ port, host: '127.0.0.1', ALPNProtocols: ['h2'], ...tls });
  socket.on('error', () => undefined);
  await once(socket, 'secureConnect');
  return socket;
}

const countOf = (node: LiveNode, event: LogEvent): number => loggedLines(node.output, event).length;

/** Resolves when both ports of the node show the certificate that the set has for it. */
async function shows(node: LiveNode, set: CertificateSet, tls: ClientTls): Promise<void> {
  const wanted = new X509Certificate(readFileSync(set.file(`node-${node.name}`))).fingerprint256;
  for (const port of ports(node))
    await eventually(`${node.name} to show its new certificate`, async () => {
      const socket = await connected(port, tls);
      const shown = socket.getPeerX509Certificate()?.fingerprint256;
      socket.destroy();
      return shown === wanted || undefined;
    });
}

const logs = (node: LiveNode, event: LogEvent, times = 1): Promise<unknown> =>
  eventually(`${node.name} to log ${event}`, () => countOf(node, event) >= times || undefined);

/** A session ticket such as the port gives to this client. */
async function ticketOf(port: number, tls: ClientTls): Promise<Buffer> {
  const socket = await connected(port, tls);
  const [ticket] = (await once(socket, 'session')) as [Buffer];
  socket.destroy();
  return ticket;
}

class Guest {
  endedMs = Infinity;
  private constructor(
    readonly port: number,
    private readonly socket: TLSSocket,
  ) {
    socket.resume();
    socket.once('close', () => (this.endedMs = performance.now()));
  }

  static async at(port: number, tls: ClientTls): Promise<Guest> {
    const socket = await connected(port, tls);
    const guest = new Guest(port, socket);
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0');
    await once(socket, 'data');
    return guest;
  }

  get isIn(): boolean {
    return this.endedMs === Infinity;
  }

  leave(): void {
    this.socket.destroy();
  }
}

async function rotateKeys(nodes: LiveCluster, load: Load): Promise<void> {
  const agent = await SerfAgent.start({ name: 'a1', encryptKey: gossipKey, join: nodes.nodes[0].gossipAddr });
  const keys = (...args: string[]): Promise<string> =>
    inTime(`serf keys ${args.join(' ')} at all`, async () => {
      const { ok, output } = await agent.try('keys', ...args);
      return ok && output.replace(/ +/g, ' ');
    });
  await inTime('all keys to be known', async () => (await keys('-list')).includes(`${gossipKey} [5/5]`) || undefined);
  for (const step of [`-install=${nextGossipKey}`, `-use=${nextGossipKey}`, `-remove=${gossipKey}`]) {
    await keys(step);
    await load.more(30);
  }
  await inTime('the new key alone', async () => {
    const list = await keys('-list');
    return (list.includes(`${nextGossipKey} [5/5]`) && !list.includes(gossipKey)) || undefined;
  });
  for (const { dataDir } of nodes.nodes)
    expect(JSON.parse(readFileSync(join(dataDir, 'serf/keyring.json'), 'utf8'))).toEqual([nextGossipKey]);
}

it(
  'certificates, the CA and the gossip key change under load, and nothing is lost',
  run('rotation', async (own) => {
    const { places, certificates } = await securePlaces(own.folder(), 3, old);
    // One shows its peers files of their own.
    const withPeerFiles = ({ name, args = [], ...place }: NodePlace): NodePlace =>
      name === 'n2' ? { ...place, name, args: [...args, ...certificates.peerFlags(name)] } : { ...place, name, args };
    const nodes = await own.clusterAt(places.map(withPeerFiles));
    const replica = own.nodeAt(
      securePlace(await LiveCluster.place(own.file('replica'), 'r1', ['--replica']), certificates, old),
    );
    await replica.start(nodes.joining);
    nodes.nodes.push(replica);
    let tls = rootOf(old);
    const load = own.load(nodes, 3, () => tls);
    await load.more();

    // What cannot be used changes nothing; SIGHUP has it read at once, changed or not.
    const [n1] = nodes.nodes;
    certificates.breakKey('n1');
    n1.hangUp();
    await logs(n1, 'certificates_reload_failed');
    await load.more(30);
    const policies = countOf(n1, 'acl_reloaded');
    certificates.renew('n1', old);
    n1.hangUp();
    await logs(n1, 'certificates_reloaded');
    expect(countOf(n1, 'acl_reloaded')).toBeGreaterThan(policies);

    // Certificates of nodes: nobody notices but who connects anew.
    await old.renew(...names);
    for (const node of nodes.nodes) {
      certificates.renew(node.name, old);
      await shows(node, old, tls);
      await load.more(30);
    }

    // The CA, first step: both.
    tls = rootOf(old, fresh);
    for (const node of nodes.nodes) {
      certificates.trust(node.name, old, fresh);
      for (const port of ports(node))
        await eventually(
          `${node.name} to trust both CAs`,
          async () => (await handshake(port, rootOf(fresh, old))) === 'open' || undefined,
        );
    }
    // Second: new certificates, of the nodes and then of the clients.
    for (const node of nodes.nodes) {
      certificates.renew(node.name, fresh);
      await shows(node, fresh, tls);
      await load.more(30);
    }
    const { ca = '' } = tls;
    const outdated = { ...clientOf(old, 'root-client'), ca };
    const everywhere = nodes.nodes.flatMap(ports);
    const tickets = new Map<number, Buffer>();
    for (const port of everywhere) tickets.set(port, await ticketOf(port, outdated));
    for (const [port, session] of tickets) expect(await handshake(port, { ...outdated, session })).toBe('resumed');
    const guests = await Promise.all(everywhere.map((port) => Guest.at(port, outdated)));
    const welcome = await Promise.all(everywhere.map((port) => Guest.at(port, rootOf(fresh, old))));
    own.atEnd(() => {
      for (const guest of [...guests, ...welcome]) guest.leave();
    });
    tls = rootOf(fresh, old);
    for (const node of nodes.nodes) node.callBy(tls);
    await load.more(30);
    // So far nobody was sent away; an append can only have failed for want of a processor.
    for (const { output } of nodes.nodes) expect(output).not.toContain('was withdrawn');
    tell(`errors before a CA is withdrawn: ${load.describeErrors()}`);

    // Third: the new one alone.
    const withdrawnMs = performance.now();
    for (const { name } of nodes.nodes) certificates.trust(name, fresh);
    for (const port of everywhere)
      await eventually(
        'the old CA to be refused',
        async () => (await handshake(port, outdated)) !== 'open' || undefined,
      );
    for (const [port, session] of tickets) {
      expect(['open', 'resumed']).not.toContain(await handshake(port, { ...outdated, session }));
      expect(['open', 'resumed']).not.toContain(await handshake(port, { ca, session }));
      expect(['open', 'resumed']).not.toContain(await handshake(port, { ...clientOf(old, 'node-n2'), ca }));
    }
    await eventually('the old clients to be out', () => guests.every(({ isIn }) => !isIn) || undefined);
    const lasted = guests.map(({ endedMs }) => Math.round(endedMs - withdrawnMs));
    tell(`clients of the withdrawn CA were out after ${Math.min(...lasted)} to ${Math.max(...lasted)} ms`);
    expect(Math.min(...lasted)).toBeGreaterThanOrEqual(graceMs - 1);
    expect(Math.max(...lasted)).toBeLessThan(graceMs + noticedMs);
    expect(welcome.every(({ isIn }) => isIn)).toBe(true);
    tls = rootOf(fresh);
    for (const node of nodes.nodes) node.callBy(tls);
    await load.more();
    await nodes.replicating(3);

    if (withoutSerf === undefined) {
      own.atEnd(endAgents);
      await rotateKeys(nodes, load);
    }
    await expectAllKept(nodes, load);
    tell(load.describe());
  }),
  240_000,
);
