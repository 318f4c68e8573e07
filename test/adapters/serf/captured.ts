import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodePacket } from '../../../src/adapters/serf/wire/packet.js';
import { SerfWire } from '../../../src/adapters/serf/wire/serf-wire.js';
import { decodeStream } from '../../../src/adapters/serf/wire/stream.js';
import type { SerfMessage, SwimMessage } from '../../../src/domain/gossip/message.js';

export interface Captured {
  readonly kind: string;
  readonly bytes: Uint8Array;
  /** Go's fields; strings and bytes in hexadecimal. */
  readonly decoded: Readonly<Record<string, unknown>> | undefined;
}

type Entries = Readonly<Record<string, readonly { hex: string; decoded?: Record<string, unknown> }[]>>;

/** What two agents of Debian's serf sent to a third member; see golden.json. */
export const captured: readonly Captured[] = Object.entries(
  JSON.parse(readFileSync(join(import.meta.dirname, 'golden.json'), 'utf8')) as Entries,
).flatMap(([kind, entries]) =>
  entries.map(({ hex, decoded }) => ({ kind, bytes: Uint8Array.from(Buffer.from(hex, 'hex')), decoded })),
);

export const packets = captured.filter(({ kind }) => !kind.startsWith('tcp.'));
export const streams = captured.filter(({ kind }) => kind.startsWith('tcp.'));

const wire = new SerfWire();

/** Everything that lies within a packet, through all layers. */
export function lookIntoPacket(packet: Uint8Array): unknown {
  return decodePacket(packet).map(lookIntoMessage);
}

/** Everything that lies within a stream, through all layers. */
export function lookIntoStream(stream: Uint8Array): unknown {
  const message = decodeStream(stream);
  switch (message.type) {
    case 'push-pull': {
      const serf = message.userState.length > 0 ? wire.decodePushPull(message.userState) : undefined;
      return { ...message, userState: serf, tags: message.members.map(({ meta }) => wire.decodeTags(meta)) };
    }
    case 'ping':
    case 'ack':
    case 'user':
      return lookIntoMessage(message);
    case 'error':
      return message;
  }
}

function lookIntoMessage(message: SwimMessage): unknown {
  if (message.type === 'user') return lookIntoSerf(wire.decodeSerf(message.payload));
  if (message.type === 'ack') return { ...message, payload: wire.decodeCoordinate(message.payload) };
  if (message.type === 'alive') return { ...message, meta: wire.decodeTags(message.meta) };
  return message;
}

function lookIntoSerf(message: SerfMessage): unknown {
  return message.type === 'relay' ? { ...message, message: wire.decodeSerf(message.message) } : message;
}
