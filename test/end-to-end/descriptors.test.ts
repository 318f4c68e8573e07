import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { loggedLines } from '../logging/logged-lines.js';
import { compile, runGolog, Scratch, ServerProcess } from './golog-process.js';

const scratch = new Scratch();
beforeAll(compile, 120_000);
afterAll(() => scratch.remove());

const descriptors = 256;
/** Another address than that of the commands, so that it has limits of its own; only Linux has it without setup. */
const crowdedAddress = '127.0.0.2';
const isLinux = process.platform === 'linux';
if (!isLinux) console.warn(`skipped: ${crowdedAddress} is an address of this machine on Linux only`);

/** Opens connections that say nothing but enough to be kept; resolves when each is open, or closed again. */
async function crowd(addr: string, count: number): Promise<Socket[]> {
  const [host, port] = addr.split(':');
  const sockets = Array.from({ length: count }, () => {
    const socket = connect({ host, port: Number(port), localAddress: crowdedAddress });
    socket.on('error', () => undefined).resume();
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0');
    return socket;
  });
  await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.on('data', resolve).on('close', resolve))));
  return sockets;
}

(isLinux ? it : it.skip)(
  'F13: a node with few descriptors rolls its segments while both ports are crowded',
  async () => {
    const through = ['sh', '-c', `ulimit -n ${descriptors} && exec "$@"`, 'sh'];
    const flags = ['--segment-bytes', '4KiB'];
    const node = await ServerProcess.spawn(scratch.file('n1'), '0', flags, { through }).served();
    const [limits] = loggedLines(node.stderr, 'connections_limited');
    expect(limits).toMatchObject({ descriptors, connectionsMax: 32, connectionsPerAddressMax: 16 });
    const sockets = [...(await crowd(node.rpcAddr, descriptors)), ...(await crowd(node.httpAddr, descriptors))];
    const open = sockets.filter((socket) => !socket.destroyed);
    expect(open).toHaveLength(2 * 16);
    const lines = Array.from({ length: 2_000 }, (_, i) => `${i} ${'x'.repeat(100)}\n`).join('');
    expect(await runGolog(['produce', '--addr', node.rpcAddr], lines)).toMatchObject({ code: 0 });
    expect((await runGolog(['consume', '--addr', node.rpcAddr])).stdout).toBe(lines);
    for (const socket of sockets) socket.destroy();
    expect(await node.stop()).toBe(0);
  },
  60_000,
);
