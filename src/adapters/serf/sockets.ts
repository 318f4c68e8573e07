import { createSocket, type Socket } from 'node:dgram';
import { isIPv4, isIPv6 } from 'node:net';
import { lookup } from 'node:dns/promises';
import type { GossipAddress } from '../../domain/gossip/message.js';
import { plainIp } from './host-port.js';
import { StreamListener, type StreamListenerOptions } from './stream-listener.js';

/** Buffers bursts of gossip while this process is busy. */
const receiveBufferBytes = 2 << 20;
/** The number of attempts to find a TCP port that is also free for UDP. */
const portAttemptsMax = 20;

export interface SocketsOptions extends StreamListenerOptions {
  readonly onPacket: (packet: Uint8Array, from: GossipAddress) => void;
}

/** The UDP and TCP sockets of one address. */
export class Sockets {
  /** Opens the sockets; port 0 picks a port that is free for both. Rejects with the system's error. */
  static async open(host: string, port: number, options: SocketsOptions): Promise<Sockets> {
    const ip = plainIp((await lookup(host)).address);
    for (let attemptsLeft = portAttemptsMax; ; attemptsLeft--) {
      const streams = new StreamListener(options);
      const address = { ip, port: await streams.listen(ip, port) };
      try {
        return new Sockets(address, await bind(address, options.onPacket), streams);
      } catch (error) {
        await streams.close();
        if (port !== 0 || attemptsLeft === 1) throw error;
      }
    }
  }

  readonly #packets: Socket;
  readonly #streams: StreamListener;
  #isOpen = true;

  private constructor(
    readonly address: GossipAddress,
    packets: Socket,
    streams: StreamListener,
  ) {
    this.#packets = packets;
    this.#streams = streams;
  }

  /** Sends a UDP packet, which may be lost. */
  send(packet: Uint8Array, to: GossipAddress): void {
    if (!this.#isOpen) return;
    const mapped = isIPv6(this.address.ip) && isIPv4(to.ip) ? `::ffff:${to.ip}` : to.ip;
    this.#packets.send(packet, to.port, mapped, () => undefined);
  }

  /** Idempotent. */
  async close(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    await Promise.all([this.#streams.close(), new Promise<void>((resolve) => this.#packets.close(resolve))]);
  }
}

function bind({ ip, port }: GossipAddress, onPacket: SocketsOptions['onPacket']): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createSocket({ type: isIPv6(ip) ? 'udp6' : 'udp4', recvBufferSize: receiveBufferBytes });
    socket.once('error', (error) => {
      socket.close();
      reject(error);
    });
    socket.bind({ address: ip, port, exclusive: true }, () => {
      socket.removeAllListeners('error');
      // A packet could not be sent or was rejected; gossip tolerates loss.
      socket.on('error', () => undefined);
      socket.on('message', (packet, from) => {
        if (from.port > 0) onPacket(packet, { ip: plainIp(from.address), port: from.port });
      });
      resolve(socket);
    });
  });
}
