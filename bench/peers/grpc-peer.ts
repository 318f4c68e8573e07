/**
 * The grpc-js server that golog's rates are held against: it takes and sends the same bytes and does nothing else.
 * `--tail FILE --tail-bytes N`: Tail sends the gRPC frames of FILE, again and again, until N bytes are sent.
 */
import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import {
  Server,
  ServerCredentials,
  type MethodDefinition,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
} from '@grpc/grpc-js';

const { values } = parseArgs({ options: { tail: { type: 'string' }, 'tail-bytes': { type: 'string' } } });

const identity = (bytes: Buffer): Buffer => bytes;
const method = (path: string, requestStream: boolean, responseStream: boolean): MethodDefinition<Buffer, Buffer> => ({
  path,
  requestStream,
  responseStream,
  requestSerialize: identity,
  requestDeserialize: identity,
  responseSerialize: identity,
  responseDeserialize: identity,
});

function framesOf(file: string): Buffer[] {
  const bytes = readFileSync(file);
  const frames: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = at + 5 + bytes.readUInt32BE(at + 1);
    frames.push(bytes.subarray(at + 5, end));
    at = end;
  }
  return frames;
}

const tailMessages = values.tail === undefined ? [] : framesOf(values.tail);
const tailBytes = Number(values['tail-bytes'] ?? 0);
/** As long as golog's answers: an offset of 4 bytes, a count, a receipt with a node's name. */
const appendAnswer = Buffer.from('08ffffff7f10e8071a0f080110ffff3f1a076e6f64652d3031', 'hex');
const produceAnswer = Buffer.from('08ffffff7f', 'hex');
let countedBytes = 0;

const server = new Server({ 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 });
server.addService(
  {
    appendStream: method('/golog.v1.LogService/AppendStream', true, true),
    produce: method('/log.v1.Log/Produce', false, false),
    tail: method('/golog.v1.LogService/Tail', false, true),
  },
  {
    appendStream: (call: ServerDuplexStream<Buffer, Buffer>) => {
      call.on('data', (message: Buffer) => {
        countedBytes += message.length;
        call.write(appendAnswer);
      });
      call.on('end', () => call.end());
    },
    produce: (_call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>) => answer(null, produceAnswer),
    tail: (call: ServerWritableStream<Buffer, Buffer>) => {
      const send = async (): Promise<void> => {
        for (let sent = 0, n = 0; sent < tailBytes && !call.cancelled; n++) {
          const message = tailMessages[n % tailMessages.length];
          if (message === undefined) break;
          sent += message.length;
          if (!call.write(message)) await once(call, 'drain');
        }
        call.end();
      };
      send().catch((error: unknown) => call.destroy(error instanceof Error ? error : undefined));
    },
  },
);

server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  process.stderr.write(`${JSON.stringify({ event: 'serving', rpcAddr: `127.0.0.1:${port}` })}\n`);
});
process.on('SIGTERM', () => {
  process.stderr.write(`${JSON.stringify({ event: 'stopped', countedBytes })}\n`);
  process.exit(0);
});
