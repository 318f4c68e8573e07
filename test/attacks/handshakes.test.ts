import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { CertificateSet } from '../security/certificate-sets.js';
import { clientOf, tlsFlags } from '../security/secure-node.js';
import { AttackedNode } from './attacked-node.js';
import { HostileClient } from './hostile-client.js';

let set: CertificateSet;
let node: AttackedNode;

beforeAll(async () => {
  set = await CertificateSet.own('n1');
  const flags = [...tlsFlags(set, 'node-n1')].flatMap(([name, value]) => [`--${name}`, String(value)]);
  node = await AttackedNode.start(
    { grpc: {}, http: {} },
    ['--node-name', 'n1', ...flags],
    clientOf(set, 'root-client'),
  );
}, 60_000);

afterAll(async () => {
  await node.stop();
  set.remove();
});

/** A record of TLS that says it has 512 bytes of handshake, and the beginning of a ClientHello. */
const helloBegins = Buffer.from('1603010200010001fc0303', 'hex');

it('a deadline closes 300 connections that are slow with the handshake of TLS, on both ports', async () => {
  const clients: HostileClient[] = [];
  await node.withstands('slow handshakes', async () => {
    for (const port of [node.grpcPort, node.httpPort])
      for (let count = 0; count < 150; count += 1) {
        const client = await HostileClient.connect(port);
        clients.push(client);
        if (count % 3 > 0) client.send(helloBegins);
        if (count % 3 < 2) continue;
        const trickle = setInterval(() => {
          client.send(Buffer.alloc(1));
        }, 200);
        client.socket.once('close', () => {
          clearInterval(trickle);
        });
      }
  });
  expect(clients.filter(({ hungUp }) => !hungUp)).toEqual([]);
});
