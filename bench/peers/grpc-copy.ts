/**
 * A file copied through a grpc-js stream from one process to another, which golog's catch-up is held against.
 * `serve FILE…` streams the files, one after the other; `fetch ADDRESS TARGET` writes them to one and syncs it, then
 * prints `{"bytes", "seconds"}`.
 */
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { Client, credentials, Server, ServerCredentials, type ServerWritableStream } from '@grpc/grpc-js';

const path = '/bench.Copy/Fetch';
const chunkBytes = 1024 * 1024;
const [mode, ...rest] = process.argv.slice(2);
const identity = (bytes: Buffer): Buffer => bytes;

async function sendFiles(call: ServerWritableStream<Buffer, Buffer>, files: readonly string[]): Promise<void> {
  for (const file of files)
    for await (const chunk of createReadStream(file, { highWaterMark: chunkBytes }) as AsyncIterable<Buffer>)
      if (!call.write(chunk)) await once(call, 'drain');
  call.end();
}

function serve(files: readonly string[]): void {
  const server = new Server();
  const fetch = {
    path,
    requestStream: false,
    responseStream: true,
    requestSerialize: identity,
    requestDeserialize: identity,
    responseSerialize: identity,
    responseDeserialize: identity,
  } as const;
  server.addService(
    { fetch },
    {
      fetch: (call: ServerWritableStream<Buffer, Buffer>) => {
        sendFiles(call, files).catch((error: unknown) => call.destroy(error instanceof Error ? error : undefined));
      },
    },
  );
  server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
    if (error) throw error;
    process.stderr.write(`${JSON.stringify({ event: 'serving', rpcAddr: `127.0.0.1:${port}` })}\n`);
  });
  process.on('SIGTERM', () => process.exit(0));
}

async function fetch(address: string, target: string): Promise<void> {
  const client = new Client(address, credentials.createInsecure(), {
    'grpc.max_receive_message_length': -1,
    'grpc-node.flow_control_window': 8 * chunkBytes,
  });
  await new Promise<void>((resolve, reject) => {
    client.waitForReady(Date.now() + 5_000, (error) => (error ? reject(error) : resolve()));
  });
  const file = await open(target, 'w');
  const startedAt = performance.now();
  let bytes = 0;
  const call = client.makeServerStreamRequest(path, identity, identity, Buffer.alloc(0));
  for await (const chunk of call as AsyncIterable<Buffer>) {
    await file.write(chunk, 0, chunk.length);
    bytes += chunk.length;
  }
  await file.datasync();
  const seconds = (performance.now() - startedAt) / 1000;
  await file.close();
  client.close();
  process.stdout.write(`${JSON.stringify({ bytes, seconds })}\n`);
}

if (mode === 'serve') serve(rest);
else await fetch(rest[0], rest[1]);
