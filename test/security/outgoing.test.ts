import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { Client, connectivityState } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { tlsCredentials } from '../../src/adapters/peer/index.js';
import { certifiedCaller, OutgoingTls, type TlsTexts } from '../../src/adapters/tls/index.js';
import { eventually } from '../cluster/deadline.js';
import { CertificateSet } from './certificate-sets.js';
import { SecureNode, tlsFlags } from './secure-node.js';

const graceMs = 300;
const { READY, TRANSIENT_FAILURE } = connectivityState;

let old: CertificateSet;
let fresh: CertificateSet;
let node: SecureNode;
let outgoing: OutgoingTls;
let client: Client;

/** A pair of one set, and the CAs of others. */
function texts(pair: CertificateSet, ...authorities: CertificateSet[]): TlsTexts {
  const text = (set: CertificateSet, name: string): string => readFileSync(set.file(name), 'utf8');
  return {
    certificate: text(pair, 'node-n2'),
    key: text(pair, 'node-n2-key'),
    authority: authorities.map((set) => text(set, 'ca')).join(''),
  };
}

const state = (): connectivityState => client.getChannel().getConnectivityState(true);
const becomes = (wanted: connectivityState): Promise<unknown> =>
  eventually(
    () => `the state ${connectivityState[wanted]}; it is ${connectivityState[state()]}`,
    () => (state() === wanted ? true : undefined),
  );

beforeEach(async () => {
  [old, fresh] = await Promise.all([CertificateSet.own('n1', 'n2'), CertificateSet.own('n1', 'n2')]);
  node = await SecureNode.start(tlsFlags(old, 'node-n1'));
  outgoing = new OutgoingTls(texts(old, old), node.logger, graceMs);
  const credentials = tlsCredentials({ outgoing, identify: certifiedCaller, requireNodeIdentity: true });
  client = new Client(node.rpcAddr, credentials('n1'), {
    'grpc.use_local_subchannel_pool': 1,
    'grpc.initial_reconnect_backoff_ms': 50,
    'grpc.max_reconnect_backoff_ms': 50,
  });
  await becomes(READY);
});
afterEach(async () => {
  client.close();
  outgoing.close();
  await node.stop();
  old.remove();
  fresh.remove();
});

describe('connections to a peer', () => {
  it('end after the grace when the CA of its certificate is withdrawn, and there is none any more', async () => {
    outgoing.replace(texts(fresh, fresh));
    expect(state()).toBe(READY);
    await becomes(TRANSIENT_FAILURE);
    expect(node.logger.audit()).toContainEqual(
      expect.objectContaining({ audit: 'refused', reason: 'the CA of its certificate was withdrawn' }),
    );
    expect(node.logger.audit()).toContainEqual(
      expect.objectContaining({ address: node.rpcAddr, reason: expect.stringMatching(/SELF_SIGNED|UNABLE_TO_VERIFY/) }),
    );
  });

  it('stay when a CA is added, or the certificate of this node changes', async () => {
    const states: number[] = [];
    for (const next of [texts(old, old, fresh), texts(fresh, old, fresh)]) {
      outgoing.replace(next);
      const endMs = performance.now() + 2 * graceMs;
      while (performance.now() < endMs) {
        states.push(state());
        await delay(10);
      }
    }
    expect(new Set(states)).toEqual(new Set([READY]));
  });

  it('have the whole grace from the change that withdraws their CA, and stay when it comes back meanwhile', async () => {
    let awayMs = Infinity;
    // Where this process stood still the CA was away for longer than the grace, and the connection may have ended.
    while (awayMs >= graceMs) {
      outgoing.replace(texts(old, old, fresh));
      await becomes(READY);
      await delay(graceMs / 2);
      outgoing.replace(texts(fresh, fresh));
      const withdrawnMs = performance.now();
      await delay(graceMs / 2);
      outgoing.replace(texts(fresh, old, fresh));
      awayMs = performance.now() - withdrawnMs;
    }
    await delay(2 * graceMs);
    expect(state()).toBe(READY);

    outgoing.replace(texts(old, old));
    await delay(graceMs / 2);
    outgoing.replace(texts(fresh, fresh));
    const withdrawnMs = performance.now();
    await becomes(TRANSIENT_FAILURE);
    expect(performance.now() - withdrawnMs).toBeGreaterThanOrEqual(graceMs - 1);
  });

  it('are made again with the latest certificate and the latest CA, by a channel that is older', async () => {
    outgoing.replace(texts(fresh, fresh));
    await becomes(TRANSIENT_FAILURE);
    const port = node.rpcAddr.split(':').at(-1);
    await node.stop();
    node = await SecureNode.start(tlsFlags(fresh, 'node-n1'), new Map([['rpc-port', port]]));
    await becomes(READY);
  });
});
