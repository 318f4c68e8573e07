import { renameSync, writeFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { join } from 'node:path';
import { type ClientDuplexStream, Client, status, type StatusObject } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { AppendRequestSchema, AppendResponseSchema, ReadRequestSchema } from '../../src/gen/golog/v1/log_service_pb.js';
import { channelCredentials } from '../../src/client/tls.js';
import { OwnTime } from '../cluster/deadline.js';
import { CertificateSet } from './certificate-sets.js';
import { aclFlags, Changeable, clientOf, policyFile, SecureNode, tlsFlags } from './secure-node.js';

const same = (bytes: Buffer): Buffer => bytes;
const fromStart = Buffer.from(
  toBinary(ReadRequestSchema, create(ReadRequestSchema, { from: { case: 'offset', value: 0n } })),
);
const oneRecord = Buffer.from(
  toBinary(AppendRequestSchema, create(AppendRequestSchema, { records: [{ value: Buffer.from('a record') }] })),
);

let set: CertificateSet;
let changeable: Changeable;
let node: SecureNode;
let client: Client;
let policy: string;

/** All at once, as a careful operator does. */
function rule(text: string): void {
  writeFileSync(join(changeable.folder, 'next'), text);
  renameSync(join(changeable.folder, 'next'), policy);
}

beforeAll(async () => {
  set = await CertificateSet.own('n1');
});
afterAll(() => set.remove());

beforeEach(async () => {
  changeable = new Changeable();
  policy = changeable.copy(policyFile, 'policy.csv');
  node = await SecureNode.start(tlsFlags(set, 'node-n1'), aclFlags, new Map([['acl-policy-file', policy]]));
  client = new Client(node.rpcAddr, channelCredentials(clientOf(set, 'root-client')), {
    'grpc.use_local_subchannel_pool': 1,
  });
});
afterEach(async () => {
  client.close();
  await node.stop();
  changeable.remove();
});

function open(method: string): {
  call: ClientDuplexStream<Buffer, Buffer>;
  messages: Buffer[];
  ended: Promise<StatusObject>;
} {
  const call = client.makeBidiStreamRequest(`/golog.v1.LogService/${method}`, same, same);
  const messages: Buffer[] = [];
  call.on('data', (message: Buffer) => messages.push(message)).on('error', () => undefined);
  return { call, messages, ended: new Promise((resolve) => call.once('status', resolve)) };
}

const firstMessage = (call: ClientDuplexStream<Buffer, Buffer>): Promise<void> =>
  new Promise((resolve) => {
    call.once('data', () => resolve());
  });

async function append(): Promise<void> {
  const { call } = open('AppendStream');
  call.write(oneRecord);
  await firstMessage(call);
  call.end();
}

describe('a stream whose permission is withdrawn', () => {
  it('ends within a second: a tail over gRPC', async () => {
    await append();
    const { call, ended } = open('Tail');
    call.write(fromStart);
    call.end();
    await firstMessage(call);
    const time = new OwnTime();
    rule('p, root, *, produce\n');
    const { code, metadata } = await ended;
    expect(status[code]).toBe('PERMISSION_DENIED');
    expect(metadata.get('golog-action')).toEqual(['consume']);
    expect(time.stop()).toBeLessThan(1_000);
    expect(node.logger.audit()).toContainEqual(
      expect.objectContaining({ audit: 'denied', subject: 'root', action: 'consume' }),
    );
  });

  it('is answered for what it began: a stream of appends', async () => {
    const { call, messages, ended } = open('AppendStream');
    call.write(oneRecord);
    await firstMessage(call);
    rule('p, root, *, consume\n');
    let sent = 1;
    const timer = setInterval(() => {
      call.write(oneRecord);
      sent += 1;
    }, 5);
    const { code } = await ended;
    clearInterval(timer);
    expect(status[code]).toBe('PERMISSION_DENIED');
    expect(messages.length).toBeLessThanOrEqual(sent);
    const offsets = messages.map((bytes) => Number(fromBinary(AppendResponseSchema, bytes).baseOffset));
    expect(offsets).toEqual(offsets.map((_, place) => place));

    // What was not answered was not appended: the log ends where the answers end.
    rule('p, root, *, consume\np, root, *, produce\n');
    await new Promise<void>((resolve) => {
      const timer = setInterval(() => {
        if (node.logger.fieldsOf('acl_reloaded').length < 2) return;
        clearInterval(timer);
        resolve();
      }, 20);
    });
    const after = open('AppendStream');
    after.call.write(oneRecord);
    await firstMessage(after.call);
    expect(Number(fromBinary(AppendResponseSchema, after.messages[0]).baseOffset)).toBe(offsets.length);
    after.call.end();
  });

  it('goes on where the change does not touch it, and where the new policy is broken', async () => {
    await append();
    const { call, messages } = open('Tail');
    call.write(fromStart);
    call.end();
    await firstMessage(call);
    const reloaded = node.logger.next('info');
    rule('p, root, *, consume\np, root, *, produce\np, bill, *, admin\n');
    expect(await reloaded).toBe('acl_reloaded');
    const complained = node.logger.next('error');
    rule('p, root\n');
    expect(await complained).toBe('acl_reload_failed');
    const second = firstMessage(call);
    await append();
    await second;
    expect(messages.length).toBe(2);
    call.cancel();
  });

  it('ends within a second: a stream over Connect', async () => {
    await append();
    const session = connectHttp2(`https://127.0.0.1:${node.httpPort}`, { ...clientOf(set, 'root-client') });
    const stream = session.request({
      ':method': 'POST',
      ':path': '/golog.v1.LogService/Tail',
      'content-type': 'application/connect+json',
    });
    const message = Buffer.from('{"offset":"0"}');
    const head = Buffer.alloc(5);
    head.writeUInt32BE(message.length, 1);
    stream.end(Buffer.concat([head, message]));
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    await new Promise((resolve) => stream.once('data', resolve));
    const time = new OwnTime();
    rule('');
    await new Promise((resolve) => stream.once('end', resolve));
    expect(time.stop()).toBeLessThan(1_000);
    expect(Buffer.concat(chunks).toString('latin1')).toMatch(/"code":"permission_denied"/);
    session.destroy();
  });
});
