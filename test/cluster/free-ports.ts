import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';

/**
 * Below what systems give to those that ask for any port (from 32,768 on with Linux, 49,152 elsewhere), so that nobody
 * has the port of a node before its start, or until its next one. Each worker of a run takes from ports of its own.
 */
const firstPort = 20_000;
const workers = 4;
const portsOfWorker = 3_000;
const base = firstPort + (Number(process.env['JEST_WORKER_ID'] ?? 0) % workers) * portsOfWorker;
let turn = Math.floor(Math.random() * portsOfWorker);

/** Ports of the loopback that nobody has, for TCP and UDP. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    turn += 1;
    const port = base + (turn % portsOfWorker);
    if (await isFree(port)) ports.push(port);
  }
  return ports;
}

export async function freePort(): Promise<number> {
  const [port] = await freePorts(1);
  return port;
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const socket = createSocket('udp4');
  try {
    await once(server.listen(port, '127.0.0.1'), 'listening');
    socket.bind(port, '127.0.0.1');
    await once(socket, 'listening');
    return true;
  } catch {
    return false;
  } finally {
    socket.close();
    if (server.listening) await once(server.close(), 'close');
  }
}
