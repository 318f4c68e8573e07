import { X509Certificate } from 'node:crypto';
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { writeCertificateSet } from '../../src/infrastructure/certificate-set.js';
import { root } from '../foundation/checkout.js';
import { CertificateSet, hasCfssl } from './certificate-sets.js';

const names = ['ca', 'server', 'root-client', 'nobody-client', 'node-n1', 'node-n2'];
const serverAuth = '1.3.6.1.5.5.7.3.1';
const clientAuth = '1.3.6.1.5.5.7.3.2';

let set: CertificateSet;
afterEach(() => set.remove());

const certificate = (name: string): X509Certificate => new X509Certificate(readFileSync(set.file(name)));

function again(force: boolean): Promise<{ name: string; stored: boolean }[]> {
  return writeCertificateSet({
    directory: set.folder,
    cluster: 'main',
    nodes: ['n1', 'n2'],
    hosts: ['127.0.0.1'],
    clients: ['root', 'nobody'],
    days: 1,
    caDays: 1,
    force,
  });
}

describe.each([
  ['golog certs init', () => CertificateSet.own('n1', 'n2'), 'URI:golog://main/node/n1'],
  ...(hasCfssl ? [['make gencert', async () => CertificateSet.cfssl('n1', 'n2'), 'DNS:n1'] as const] : []),
] as const)('%s', (_, make, identity) => {
  it('makes the set of the original and a pair for each node, signed by its CA, keys for the owner alone', async () => {
    set = await make();
    const ca = certificate('ca');
    for (const name of names) {
      expect(certificate(name).verify(ca.publicKey)).toBe(true);
      expect(certificate(name).ca).toBe(name === 'ca');
      expect(statSync(set.file(`${name}-key`)).mode & 0o777).toBe(0o600);
    }
    expect(certificate('root-client').subject.split('\n')).toContain('CN=root');
    expect(certificate('nobody-client').subject.split('\n')).toContain('CN=nobody');
    expect(certificate('root-client').keyUsage).toEqual([clientAuth]);
    for (const name of ['server', 'node-n1']) expect(certificate(name).keyUsage).toEqual([serverAuth, clientAuth]);
    expect(certificate('node-n1').subjectAltName).toContain(identity);
    expect(certificate('server').checkIP('127.0.0.1')).toBe('127.0.0.1');
  });
});

if (!hasCfssl) it.skip('make gencert: there is no cfssl on this machine', () => undefined);

describe('golog certs init again', () => {
  it('keeps what is there and makes what is missing with the same CA', async () => {
    set = await CertificateSet.own('n1');
    const before = certificate('ca').fingerprint256;
    rmSync(set.file('server'));
    rmSync(set.file('server-key'));
    const made = (await again(false)).filter(({ stored }) => !stored).map(({ name }) => name);
    expect(made).toEqual(['server', 'node-n2']);
    expect(certificate('ca').fingerprint256).toBe(before);
    expect(certificate('node-n2').verify(certificate('ca').publicKey)).toBe(true);
  });

  it('makes all anew only when told so', async () => {
    set = await CertificateSet.own('n1', 'n2');
    const before = certificate('ca').fingerprint256;
    expect((await again(true)).every(({ stored }) => !stored)).toBe(true);
    expect(certificate('ca').fingerprint256).not.toBe(before);
    expect(certificate('node-n1').verify(certificate('ca').publicKey)).toBe(true);
  });

  it('says what is in the way: half a pair, or a CA without its key', async () => {
    set = await CertificateSet.own('n1', 'n2');
    rmSync(set.file('node-n1-key'));
    await expect(again(false)).rejects.toThrow(/node-n1\.pem exists without .*node-n1-key\.pem/);
    rmSync(set.file('node-n1'));
    rmSync(set.file('ca-key'));
    await expect(again(false)).rejects.toThrow(/ca-key\.pem is missing/);
    writeFileSync(set.file('ca-key'), 'no key');
    await expect(again(false)).rejects.toThrow(/are not a CA made by golog certs init/);
  });
});

describe('make gencert', () => {
  it('says which package has cfssl where it is missing', async () => {
    set = new CertificateSet();
    const gencert = join(root, 'scripts/gencert.sh');
    const { status, stderr } = spawnSync('/bin/sh', [gencert], {
      env: { PATH: set.folder, CONFIG_PATH: set.folder },
      encoding: 'utf8',
    });
    expect(status).not.toBe(0);
    expect(stderr).toMatch(/install the package golang-cfssl/);
  });
});
