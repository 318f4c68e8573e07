import { Metadata, status } from '@grpc/grpc-js';
import { expect, it } from '@jest/globals';
import { RpcError, UnreachableError } from '../../client/index.js';
import { failureMessage, waitingMessage } from './failure-message.js';

/** An error that a server has returned. */
function answer(code: 'UNAVAILABLE' | 'RESOURCE_EXHAUSTED', message: string): RpcError {
  const metadata = new Metadata();
  metadata.set('grpc-status-details-bin', Buffer.of(0));
  const cause = Object.assign(new Error(message), { code: status[code], metadata });
  return new RpcError(code, message, new Map(), { cause });
}

const noLeader = answer('UNAVAILABLE', 'no leader confirmed the read');
const [nobody] = ['127.0.0.1:1'];

it('says what to do where a command fails', async () => {
  const say = (command: string, error: unknown): Promise<string> => failureMessage(command, error, [nobody], undefined);
  const why = 'no leader confirmed the read (UNAVAILABLE)';
  expect(await say('produce', noLeader)).toBe(`${why}; "golog cluster status" says why`);
  expect(await say('cluster status', noLeader)).toBe(why);
  expect(await say('servers', new UnreachableError(nobody, 'ECONNREFUSED'))).toBe(
    `cannot reach ${nobody}: ECONNREFUSED; start a node there, or give --addr, or GOLOG_ADDR, the gRPC address of one that runs`,
  );
  expect(await say('servers', new UnreachableError('n1:8400', 'ENOTFOUND'))).toMatch(
    /: ENOTFOUND; correct --addr or GOLOG_ADDR/,
  );
});

it('says why and for how long it waits', () => {
  expect(waitingMessage(noLeader, 'no server accepts records now', 60_000)).toBe(
    'no server accepts records now (no leader confirmed the read (UNAVAILABLE)); retrying for up to 60 s; "golog cluster status" says why',
  );
  expect(waitingMessage(answer('RESOURCE_EXHAUSTED', 'disk full'), 'no server accepts records now', 500)).toBe(
    'no server accepts records now (disk full (RESOURCE_EXHAUSTED)); retrying for up to 500 ms',
  );
});
