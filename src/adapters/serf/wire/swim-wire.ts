import type { PingSource, SwimMessage } from '../../../domain/gossip/message.js';
import { MalformedGossipError } from '../../../domain/gossip/wire.js';
import { addressOf, ipBytes, metaOf, nameOf, nameOrNone, versionBytes, versionsOf } from './fields.js';
import { boolean, bytes, bytesOrNil, decode, encode, omitEmpty, struct, text, uint16, uint32 } from './msgpack.js';

/** The first byte of memberlist messages, over UDP and TCP. */
export const messageType = {
  ping: 0,
  indirectPing: 1,
  ack: 2,
  suspect: 3,
  alive: 4,
  dead: 5,
  pushPull: 6,
  compound: 7,
  user: 8,
  compressed: 9,
  encrypted: 10,
  nack: 11,
  checksum: 12,
  error: 13,
  label: 244,
} as const;

const source = { SourceAddr: omitEmpty(bytes), SourcePort: omitEmpty(uint16), SourceNode: omitEmpty(text) };
const ping = struct({ SeqNo: uint32, Node: text, ...source });
const indirectPing = struct({ SeqNo: uint32, Target: bytes, Port: uint16, Node: text, Nack: boolean, ...source });
const ack = struct({ SeqNo: uint32, Payload: bytesOrNil });
const nack = struct({ SeqNo: uint32 });
const accusation = struct({ Incarnation: uint32, Node: text, From: text });
const alive = struct({ Incarnation: uint32, Node: text, Addr: bytes, Port: uint16, Meta: bytes, Vsn: bytes });

/** Encodes a message, starting with the type byte. Throws `RangeError` if a field is out of range. */
export function encodeSwim(message: SwimMessage): Uint8Array {
  switch (message.type) {
    case 'ping':
      return encode(
        ping,
        { SeqNo: message.seqNo, Node: message.node, ...sourceFields(message.source) },
        messageType.ping,
      );
    case 'indirect-ping':
      return encode(
        indirectPing,
        {
          SeqNo: message.seqNo,
          Target: ipBytes(message.target),
          Port: message.target.port,
          Node: message.node,
          Nack: message.nack,
          ...sourceFields(message.source),
        },
        messageType.indirectPing,
      );
    case 'ack':
      return encode(ack, { SeqNo: message.seqNo, Payload: message.payload }, messageType.ack);
    case 'nack':
      return encode(nack, { SeqNo: message.seqNo }, messageType.nack);
    case 'suspect':
    case 'dead':
      return encode(
        accusation,
        { Incarnation: message.incarnation, Node: message.node, From: message.from },
        messageType[message.type],
      );
    case 'alive':
      return encode(
        alive,
        {
          Incarnation: message.incarnation,
          Node: message.node,
          Addr: ipBytes(message.address),
          Port: message.address.port,
          Meta: message.meta,
          Vsn: versionBytes(message.versions),
        },
        messageType.alive,
      );
    case 'user':
      return Uint8Array.of(messageType.user, ...message.payload);
  }
}

/** Decodes one message, starting with the type byte. Throws `MalformedGossipError`. */
export function decodeSwim(from: Uint8Array): SwimMessage {
  switch (from[0]) {
    case messageType.ping: {
      const body = decode(ping, from, 1);
      return { type: 'ping', seqNo: body.SeqNo, node: nameOrNone(body.Node), ...sourceOf(body) };
    }
    case messageType.indirectPing: {
      const body = decode(indirectPing, from, 1);
      return {
        type: 'indirect-ping',
        seqNo: body.SeqNo,
        target: addressOf(body.Target, body.Port),
        node: nameOrNone(body.Node),
        nack: body.Nack,
        ...sourceOf(body),
      };
    }
    case messageType.ack: {
      const { SeqNo, Payload } = decode(ack, from, 1);
      return { type: 'ack', seqNo: SeqNo, payload: Uint8Array.from(Payload) };
    }
    case messageType.nack:
      return { type: 'nack', seqNo: decode(nack, from, 1).SeqNo };
    case messageType.suspect:
      return { type: 'suspect', ...accusationOf(from) };
    case messageType.dead:
      return { type: 'dead', ...accusationOf(from) };
    case messageType.alive: {
      const body = decode(alive, from, 1);
      return {
        type: 'alive',
        incarnation: body.Incarnation,
        node: nameOf(body.Node),
        address: addressOf(body.Addr, body.Port),
        meta: metaOf(body.Meta),
        versions: versionsOf(body.Vsn),
      };
    }
    case messageType.user:
      return { type: 'user', payload: from.slice(1) };
    default:
      throw new MalformedGossipError(`unknown message type ${from[0]}`);
  }
}

interface SourceFields {
  readonly SourceAddr: Uint8Array;
  readonly SourcePort: number;
  readonly SourceNode: string;
}

function sourceFields(from: PingSource | undefined): SourceFields {
  if (from === undefined) return { SourceAddr: new Uint8Array(), SourcePort: 0, SourceNode: '' };
  return { SourceAddr: ipBytes(from), SourcePort: from.port, SourceNode: from.node };
}

function sourceOf({ SourceAddr, SourcePort, SourceNode }: SourceFields): { source?: PingSource } {
  if (SourceAddr.length === 0 || SourcePort === 0) return {};
  return { source: { ...addressOf(SourceAddr, SourcePort), node: nameOrNone(SourceNode) } };
}

function accusationOf(from: Uint8Array): { incarnation: number; node: string; from: string } {
  const { Incarnation, Node, From } = decode(accusation, from, 1);
  return { incarnation: Incarnation, node: nameOf(Node), from: nameOf(From) };
}
