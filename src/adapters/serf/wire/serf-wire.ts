import type {
  ConflictMember,
  Coordinate,
  KeyResponse,
  QueryFilter,
  SerfMessage,
  SerfPushPull,
  SwimMessage,
} from '../../../domain/gossip/message.js';
import { MalformedGossipError, type MembershipWire } from '../../../domain/gossip/wire.js';
import { addressOf, ipBytes, metaBytesMax, nameOf, nameOrNone } from './fields.js';
import { MsgpackReader, decodeText } from './msgpack-reader.js';
import {
  boolean,
  bytes,
  bytesOrNil,
  decode,
  durationMs,
  encode,
  float,
  list,
  listOrNil,
  mapOf,
  struct,
  text,
  uint16,
  uint32,
  uint53,
  uint8,
} from './msgpack.js';
import { encodeSwim } from './swim-wire.js';

/**
 * Serf's type byte: the first byte of a memberlist user message, of Serf's part of a push/pull, and of some payloads.
 */
const serfType = {
  leave: 0,
  join: 1,
  pushPull: 2,
  userEvent: 3,
  query: 4,
  queryResponse: 5,
  conflictResponse: 6,
  keyRequest: 7,
  keyResponse: 8,
  relay: 9,
} as const;

const ackFlag = 1;
const noBroadcastFlag = 2;
const filterNodes = 0;
const filterTag = 1;
const tagsMagic = 0xff;
const coordinateVersion = 1;
const dimensions = 8;

const leave = struct({ LTime: uint53, Node: text, Prune: boolean });
const join = struct({ LTime: uint53, Node: text });
const userEvent = struct({ LTime: uint53, Name: text, Payload: bytesOrNil, CC: boolean });
const query = struct({
  LTime: uint53,
  ID: uint32,
  Addr: bytes,
  Port: uint16,
  SourceNode: text,
  Filters: listOrNil(bytes),
  Flags: uint32,
  RelayFactor: uint8,
  Timeout: durationMs,
  Name: text,
  Payload: bytesOrNil,
});
const queryResponse = struct({ LTime: uint53, ID: uint32, From: text, Flags: uint32, Payload: bytesOrNil });
const relayHeader = struct({ DestAddr: struct({ IP: bytes, Port: uint16, Zone: text }), DestName: text });
const nodeNames = list(text);
const tagFilter = struct({ Tag: text, Expr: text });
const eventsAtTime = struct({ LTime: uint53, Events: list(struct({ Name: text, Payload: bytesOrNil })) });
const pushPull = struct({
  LTime: uint53,
  StatusLTimes: mapOf(uint53),
  LeftMembers: list(text),
  EventLTime: uint53,
  Events: list(eventsAtTime),
  QueryLTime: uint53,
});
const tagMap = mapOf(text);
const coordinatePack = struct({ Adjustment: float, Error: float, Height: float, Vec: list(float) });
const keyRequest = struct({ Key: bytes });
const keyResponse = struct({ Result: boolean, Message: text, Keys: list(text), PrimaryKey: text });
const conflictMember = struct({
  Name: text,
  Addr: bytes,
  Port: uint16,
  Tags: tagMap,
  Status: uint8,
  ProtocolMin: uint8,
  ProtocolMax: uint8,
  ProtocolCur: uint8,
  DelegateMin: uint8,
  DelegateMax: uint8,
  DelegateCur: uint8,
});
const statuses: readonly ConflictMember['status'][] = ['none', 'alive', 'leaving', 'left', 'failed'];

/** Encodes and decodes messages as Serf 0.9 and memberlist 0.2 do. */
export class SerfWire implements MembershipWire {
  encodeSwim(message: SwimMessage): Uint8Array {
    return encodeSwim(message);
  }

  encodeSerf(message: SerfMessage): Uint8Array {
    switch (message.type) {
      case 'leave':
        return encode(leave, { LTime: message.lTime, Node: message.node, Prune: message.prune }, serfType.leave);
      case 'join':
        return encode(join, { LTime: message.lTime, Node: message.node }, serfType.join);
      case 'user-event': {
        const { lTime, name, payload, coalesce } = message;
        return encode(userEvent, { LTime: lTime, Name: name, Payload: payload, CC: coalesce }, serfType.userEvent);
      }
      case 'query':
        return encode(
          query,
          {
            LTime: message.lTime,
            ID: message.id,
            Addr: ipBytes(message.address),
            Port: message.address.port,
            SourceNode: message.sourceNode,
            Filters: message.filters.map(encodeFilter),
            Flags: (message.wantsAck ? ackFlag : 0) | (message.noBroadcast ? noBroadcastFlag : 0),
            RelayFactor: message.relayFactor,
            Timeout: message.timeoutMs,
            Name: message.name,
            Payload: message.payload,
          },
          serfType.query,
        );
      case 'query-response':
        return encode(
          queryResponse,
          {
            LTime: message.lTime,
            ID: message.id,
            From: message.from,
            Flags: message.isAck ? ackFlag : 0,
            Payload: message.payload,
          },
          serfType.queryResponse,
        );
      case 'relay': {
        const { destination, destinationName } = message;
        const DestAddr = { IP: ipBytes(destination), Port: destination.port, Zone: '' };
        const header = encode(relayHeader, { DestAddr, DestName: destinationName }, serfType.relay);
        return Uint8Array.of(...header, ...message.message);
      }
    }
  }

  decodeSerf(from: Uint8Array): SerfMessage {
    switch (from[0]) {
      case serfType.leave: {
        const { LTime, Node, Prune } = decode(leave, from, 1);
        return { type: 'leave', lTime: LTime, node: nameOf(Node), prune: Prune };
      }
      case serfType.join: {
        const { LTime, Node } = decode(join, from, 1);
        return { type: 'join', lTime: LTime, node: nameOf(Node) };
      }
      case serfType.userEvent: {
        const { LTime, Name, Payload, CC } = decode(userEvent, from, 1);
        return { type: 'user-event', lTime: LTime, name: Name, payload: Uint8Array.from(Payload), coalesce: CC };
      }
      case serfType.query: {
        const body = decode(query, from, 1);
        return {
          type: 'query',
          lTime: body.LTime,
          id: body.ID,
          address: addressOf(body.Addr, body.Port),
          sourceNode: nameOrNone(body.SourceNode),
          filters: body.Filters.map(decodeFilter),
          wantsAck: (body.Flags & ackFlag) !== 0,
          noBroadcast: (body.Flags & noBroadcastFlag) !== 0,
          relayFactor: body.RelayFactor,
          timeoutMs: body.Timeout,
          name: body.Name,
          payload: Uint8Array.from(body.Payload),
        };
      }
      case serfType.queryResponse: {
        const { LTime, ID, From, Flags, Payload } = decode(queryResponse, from, 1);
        const isAck = (Flags & ackFlag) !== 0;
        return {
          type: 'query-response',
          lTime: LTime,
          id: ID,
          from: nameOf(From),
          isAck,
          payload: Uint8Array.from(Payload),
        };
      }
      case serfType.relay: {
        const reader = new MsgpackReader(from, 1);
        const { DestAddr, DestName } = relayHeader.read(reader);
        const destination = addressOf(DestAddr.IP, DestAddr.Port);
        return {
          type: 'relay',
          destination,
          destinationName: nameOrNone(DestName),
          message: Uint8Array.from(reader.rest()),
        };
      }
      default:
        throw unexpectedType(from);
    }
  }

  encodePushPull(state: SerfPushPull): Uint8Array {
    return encode(
      pushPull,
      {
        LTime: state.lTime,
        StatusLTimes: state.statusLTimes,
        LeftMembers: state.leftMembers,
        EventLTime: state.eventLTime,
        Events: state.events.map(({ lTime, events }) => ({
          LTime: lTime,
          Events: events.map(({ name, payload }) => ({ Name: name, Payload: payload })),
        })),
        QueryLTime: state.queryLTime,
      },
      serfType.pushPull,
    );
  }

  /** Go's event list has a nil for each time without an event; they are omitted here. */
  decodePushPull(from: Uint8Array): SerfPushPull {
    const body = decodeTyped(serfType.pushPull, pushPull, from);
    for (const name of body.StatusLTimes.keys()) nameOf(name);
    return {
      lTime: body.LTime,
      statusLTimes: body.StatusLTimes,
      leftMembers: body.LeftMembers.map(nameOf),
      eventLTime: body.EventLTime,
      events: body.Events.filter(({ Events }) => Events.length > 0).map(({ LTime, Events }) => ({
        lTime: LTime,
        events: Events.map(({ Name, Payload }) => ({ name: Name, payload: Uint8Array.from(Payload) })),
      })),
      queryLTime: body.QueryLTime,
    };
  }

  encodeTags(tags: ReadonlyMap<string, string>): Uint8Array {
    const meta = encode(tagMap, tags, tagsMagic);
    if (meta.length > metaBytesMax)
      throw new RangeError(`the encoded tags take ${meta.length} bytes: expected at most ${metaBytesMax}`);
    return meta;
  }

  decodeTags(meta: Uint8Array): ReadonlyMap<string, string> {
    if (meta[0] === tagsMagic) return decode(tagMap, meta, 1);
    return new Map([['role', decodeText(meta)]]);
  }

  encodeCoordinate({ adjustment, error, height, vector }: Coordinate): Uint8Array {
    return encode(
      coordinatePack,
      { Adjustment: adjustment, Error: error, Height: height, Vec: vector },
      coordinateVersion,
    );
  }

  decodeCoordinate(payload: Uint8Array): Coordinate | undefined {
    if (payload.length === 0) return undefined;
    const { Adjustment, Error, Height, Vec } = decodeTyped(coordinateVersion, coordinatePack, payload);
    if (Vec.length !== dimensions || ![Adjustment, Error, Height, ...Vec].every(Number.isFinite))
      throw new MalformedGossipError('invalid coordinate: expected ${dimensions} finite numbers');
    return { adjustment: Adjustment, error: Error, height: Height, vector: Vec };
  }

  encodeKeyRequest(key: Uint8Array): Uint8Array {
    return encode(keyRequest, { Key: key }, serfType.keyRequest);
  }

  decodeKeyRequest(payload: Uint8Array): Uint8Array {
    return Uint8Array.from(decodeTyped(serfType.keyRequest, keyRequest, payload).Key);
  }

  encodeKeyResponse({ result, message, keys, primaryKey }: KeyResponse): Uint8Array {
    return encode(
      keyResponse,
      { Result: result, Message: message, Keys: keys, PrimaryKey: primaryKey },
      serfType.keyResponse,
    );
  }

  decodeKeyResponse(payload: Uint8Array): KeyResponse {
    const { Result, Message, Keys, PrimaryKey } = decodeTyped(serfType.keyResponse, keyResponse, payload);
    return { result: Result, message: Message, keys: Keys, primaryKey: PrimaryKey };
  }

  encodeConflictResponse(member: ConflictMember): Uint8Array {
    const { versions } = member;
    return encode(
      conflictMember,
      {
        Name: member.name,
        Addr: ipBytes(member.address),
        Port: member.address.port,
        Tags: member.tags,
        Status: statuses.indexOf(member.status),
        ProtocolMin: versions.protocolMin,
        ProtocolMax: versions.protocolMax,
        ProtocolCur: versions.protocol,
        DelegateMin: versions.delegateMin,
        DelegateMax: versions.delegateMax,
        DelegateCur: versions.delegate,
      },
      serfType.conflictResponse,
    );
  }

  decodeConflictResponse(payload: Uint8Array): ConflictMember {
    const body = decodeTyped(serfType.conflictResponse, conflictMember, payload);
    const status = statuses[body.Status];
    if (status === undefined) throw new MalformedGossipError(`unknown member status ${body.Status}`);
    return {
      name: nameOf(body.Name),
      address: addressOf(body.Addr, body.Port),
      tags: body.Tags,
      status,
      versions: {
        protocolMin: body.ProtocolMin,
        protocolMax: body.ProtocolMax,
        protocol: body.ProtocolCur,
        delegateMin: body.DelegateMin,
        delegateMax: body.DelegateMax,
        delegate: body.DelegateCur,
      },
    };
  }
}

function encodeFilter(filter: QueryFilter): Uint8Array {
  if (filter.type === 'nodes') return encode(nodeNames, filter.names, filterNodes);
  return encode(tagFilter, { Tag: filter.tag, Expr: filter.expression }, filterTag);
}

function decodeFilter(from: Uint8Array): QueryFilter {
  if (from[0] === filterNodes) return { type: 'nodes', names: decode(nodeNames, from, 1) };
  const { Tag, Expr } = decodeTyped(filterTag, tagFilter, from);
  return { type: 'tag', tag: Tag, expression: Expr };
}

function decodeTyped<T>(type: number, pack: Parameters<typeof decode<T>>[0], from: Uint8Array): T {
  if (from[0] !== type) throw unexpectedType(from);
  return decode(pack, from, 1);
}

const unexpectedType = (from: Uint8Array): MalformedGossipError =>
  new MalformedGossipError(from.length === 0 ? 'an empty message' : `unexpected message type ${from[0]}`);
