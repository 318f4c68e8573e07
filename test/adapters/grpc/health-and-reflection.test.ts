import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import type { FileRegistry } from '@bufbuild/protobuf';
import { create, createFileRegistry, fromBinary } from '@bufbuild/protobuf';
import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire';
import type { FileDescriptorProto } from '@bufbuild/protobuf/wkt';
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import type { ClientDuplexStream, ClientReadableStream } from '@grpc/grpc-js';
import { Client, credentials, Metadata, status } from '@grpc/grpc-js';
import type { Fixture } from './fixture.js';
import { start } from './fixture.js';
import { collect, errorOf } from './grpc-client.js';

const graceMs = 60_000;
const asItIs = (bytes: Buffer): Buffer => bytes;

let fixture: Fixture;
let client: Client;
beforeEach(async () => {
  fixture = await start();
  client = new Client(`127.0.0.1:${fixture.port}`, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
  });
});
afterEach(async () => {
  client.close();
  await fixture.close();
});

describe('grpc.health.v1.Health', () => {
  const names = ['', 'log.v1.Log', 'golog.v1.LogService'];
  const request = (service: string): Buffer => Buffer.from(new BinaryWriter().tag(1, 2).string(service).finish());
  const serving = 1;
  const notServing = 2;

  function statusOf(response: Buffer): number {
    const reader = new BinaryReader(response);
    reader.tag();
    return reader.int32();
  }

  function check(service: string): Promise<number> {
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest('/grpc.health.v1.Health/Check', asItIs, asItIs, request(service), (error, response) => {
        if (error) reject(error);
        else resolve(statusOf(response!));
      });
    });
  }

  const watch = (service: string): ClientReadableStream<Buffer> =>
    client.makeServerStreamRequest('/grpc.health.v1.Health/Watch', asItIs, asItIs, request(service));

  it.each(names)(
    'regression: health calls refused for lack of TLS: %p is SERVING to a caller without',
    async (name) => {
      expect(await check(name)).toBe(serving);
    },
  );

  it.each(names)('%p follows setServing', async (name) => {
    fixture.server.setServing(false);
    expect(await check(name)).toBe(notServing);
    fixture.server.setServing(true);
    expect(await check(name)).toBe(serving);
  });

  it('tells under the name latched what does not follow the cluster', async () => {
    fixture.server.setServing(false, true);
    expect([await check(''), await check('latched')]).toEqual([notServing, serving]);
    fixture.server.setServing(false);
    expect(await check('latched')).toBe(notServing);
  });

  it('does not know other services', async () => {
    expect((await errorOf(check('no.such.Service'))).code).toBe(status.NOT_FOUND);
  });

  it('tells watchers of the shutdown, then ends them, so that they do not hold it up', async () => {
    const { messages, count, ended } = collect(watch(''));
    await count(1);
    await fixture.server.close(graceMs);
    expect((await ended)?.code).toBe(status.UNAVAILABLE);
    expect(messages.map(statusOf)).toEqual([serving, notServing]);
  });
});

describe.each(['v1', 'v1alpha'])('grpc.reflection.%s', (version) => {
  const reflect = (): ClientDuplexStream<Buffer, Buffer> =>
    client.makeBidiStreamRequest(
      `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
      asItIs,
      asItIs,
      new Metadata(),
    );

  /** Field numbers are those of grpc/reflection/v1/reflection.proto; returns the content of the answer's field. */
  async function ask(field: number, argument: string, answerField: number): Promise<Uint8Array[]> {
    const stream = reflect();
    const { messages, ended } = collect(stream);
    stream.end(Buffer.from(new BinaryWriter().tag(field, 2).string(argument).finish()));
    expect(await ended).toBeUndefined();
    return fieldsOf(fieldsOf(messages[0], answerField)[0], 1);
  }

  function fieldsOf(bytes: Uint8Array, wanted: number): Uint8Array[] {
    const reader = new BinaryReader(bytes);
    const found: Uint8Array[] = [];
    while (reader.pos < reader.len) {
      const [number, wireType] = reader.tag();
      if (number === wanted) found.push(reader.bytes());
      else reader.skip(wireType);
    }
    return found;
  }

  async function filesOf(symbol: string): Promise<FileDescriptorProto[]> {
    return (await ask(4, symbol, 4)).map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
  }

  /** Links the files of an answer, which come in any order: imports first. */
  function linked(files: readonly FileDescriptorProto[]): FileRegistry {
    const ordered: FileDescriptorProto[] = [];
    const add = (file: FileDescriptorProto): void => {
      if (ordered.includes(file)) return;
      for (const name of file.dependency) add(files.find((imported) => imported.name === name)!);
      ordered.push(file);
    };
    files.forEach(add);
    return createFileRegistry(create(FileDescriptorSetSchema, { file: ordered }));
  }

  it('lists the services', async () => {
    const names = (await ask(7, '*', 6)).map((service) => Buffer.from(fieldsOf(service, 1)[0]).toString());
    expect(names.sort()).toEqual(['golog.v1.LogService', 'grpc.health.v1.Health', 'log.v1.Log']);
  });

  it('answers for a service with files that link, timestamp.proto among them', async () => {
    const file = await filesOf('golog.v1.LogService');
    expect(file.map(({ name }) => name)).toContain('google/protobuf/timestamp.proto');
    const registry = linked(file);
    const service = registry.getService('golog.v1.LogService');
    const methods = ['Append', 'AppendStream', 'OpenProducer', 'CloseProducer', 'Read', 'Tail', 'GetLogInfo'];
    expect(service?.methods.map(({ name }) => name)).toEqual(methods);
    const batch = registry.getMessage('golog.v1.RecordBatch');
    expect(batch?.fields.map(({ name }) => name)).toEqual([
      'base_offset',
      'term',
      'append_time',
      'records',
      'producer',
    ]);
  });

  it('answers for the health service with a file that links', async () => {
    const registry = linked(await filesOf('grpc.health.v1.Health'));
    const list = registry.getMessage('grpc.health.v1.HealthListResponse');
    expect(list?.fields[0]).toMatchObject({ name: 'statuses', fieldKind: 'map' });
  });

  it('an open reflection stream does not hold up a shutdown', async () => {
    const stream = reflect();
    const { count, ended } = collect(stream);
    stream.write(Buffer.from(new BinaryWriter().tag(7, 2).string('*').finish()));
    await count(1);
    await fixture.server.close(graceMs);
    expect((await ended)?.code).toBe(status.UNAVAILABLE);
  });
});

const grpcurl = ['/usr/local/bin/grpcurl', '/usr/bin/grpcurl'].find((path) => existsSync(path));

(grpcurl === undefined ? describe.skip : describe)('grpcurl (skipped where it is not installed)', () => {
  const run = async (...args: string[]): Promise<string> =>
    (await promisify(execFile)(grpcurl ?? '', ['-plaintext', ...args])).stdout;
  const failing = async (...args: string[]): Promise<{ stdout: string; stderr: string }> => {
    try {
      await run(...args);
    } catch (error) {
      return error as { stdout: string; stderr: string };
    }
    throw new Error('grpcurl did not fail');
  };
  const call = async (method: string, data: object, ...args: string[]): Promise<unknown[]> => {
    const output = await run('-d', JSON.stringify(data), ...args, `127.0.0.1:${fixture.port}`, method);
    return JSON.parse(`[${output.trim().replaceAll(/^}\n{/gm, '},{')}]`) as unknown[];
  };

  it('lists and describes', async () => {
    const address = `127.0.0.1:${fixture.port}`;
    expect((await run(address, 'list')).split('\n')).toEqual(
      expect.arrayContaining(['log.v1.Log', 'golog.v1.LogService', 'grpc.health.v1.Health']),
    );
    expect(await run(address, 'describe', 'log.v1.Record')).toContain('map<string, bytes> headers = 7;');
    expect(await run(address, 'describe', 'golog.v1.AppendRequest')).toContain('optional uint64 expected_offset = 2;');
  });

  it('calls all five methods of log.v1.Log, and health', async () => {
    expect(await call('log.v1.Log/Produce', { record: { value: 'AA==' } })).toEqual([{}]);
    expect(await call('log.v1.Log/Consume', { offset: 0 })).toMatchObject([{ record: { value: 'AA==', term: '3' } }]);
    expect(await call('log.v1.Log/ProduceStream', { record: { value: 'AQ==' } })).toEqual([{ offset: '1' }]);
    expect(await call('log.v1.Log/GetServers', {})).toMatchObject([{ servers: [{ isLeader: true }, {}] }]);
    const following = await failing(
      ...['-max-time', '0.5', '-d', '{}', `127.0.0.1:${fixture.port}`, 'log.v1.Log/ConsumeStream'],
    );
    expect(following.stderr).toContain('DeadlineExceeded');
    expect(following.stdout).toContain('"offset": "1"');
    expect(await call('grpc.health.v1.Health/Check', {})).toEqual([{ status: 'SERVING' }]);
  });

  it('prints the details of an error', async () => {
    const { stderr } = await failing('-d', '{"offset":7}', `127.0.0.1:${fixture.port}`, 'log.v1.Log/Consume');
    expect(stderr).toContain('Code: OutOfRange');
    expect(stderr).toContain('"highWatermark": "0"');
  });
});
