import type { PushPull, PushPullMember } from '../../../domain/gossip/message.js';
import { MalformedGossipError } from '../../../domain/gossip/wire.js';
import { addressOf, ipBytes, metaOf, nameOf, swimStates, versionBytes, versionsOf } from './fields.js';
import { MsgpackReader } from './msgpack-reader.js';
import { MsgpackWriter } from './msgpack-writer.js';
import { boolean, bytes, bytesOrNil, struct, text, uint16, uint32, uint53, uint8 } from './msgpack.js';
import { messageType } from './swim-wire.js';

const pushPullHeader = struct({ Nodes: uint53, UserStateLen: uint53, Join: boolean });
const pushPullNode = struct({
  Name: text,
  Addr: bytes,
  Port: uint16,
  Meta: bytesOrNil,
  Incarnation: uint32,
  State: uint8,
  Vsn: bytes,
});

/** The limit on fields of a header or a member: more than are known, and few enough to scan repeatedly. */
const fieldsMax = 64;

/** Encodes the header, the members and Serf's part, back to back. */
export function encodePushPull({ join, members, userState }: PushPull): Uint8Array {
  const writer = new MsgpackWriter();
  writer.byte(messageType.pushPull);
  pushPullHeader.write(writer, { Nodes: members.length, UserStateLen: userState.length, Join: join });
  for (const member of members)
    pushPullNode.write(writer, {
      Name: member.name,
      Addr: ipBytes(member.address),
      Port: member.address.port,
      Meta: member.meta,
      Incarnation: member.incarnation,
      State: swimStates.indexOf(member.state),
      Vsn: versionBytes(member.versions),
    });
  writer.append(userState);
  return writer.finish();
}

/** Decodes a push/pull, starting with the type byte. Throws `MalformedGossipError`. */
export function decodePushPull(from: Uint8Array): PushPull {
  const reader = new MsgpackReader(from, 1);
  const { Nodes, UserStateLen, Join } = pushPullHeader.read(reader);
  if (Nodes > from.length) throw new MalformedGossipError(`a push/pull of ${Nodes} members in ${from.length} bytes`);
  const members: PushPullMember[] = [];
  for (let left = Nodes; left > 0; left--) members.push(readMember(reader));
  const userState = reader.rest();
  if (userState.length !== UserStateLen)
    throw new MalformedGossipError(`Serf's part of a push/pull has ${userState.length} bytes of ${UserStateLen}`);
  return { join: Join, members, userState: Uint8Array.from(userState) };
}

function readMember(reader: MsgpackReader): PushPullMember {
  const node = pushPullNode.read(reader);
  const state = swimStates[node.State];
  if (state === undefined) throw new MalformedGossipError(`unknown member state ${node.State}`);
  return {
    name: nameOf(node.Name),
    address: addressOf(node.Addr, node.Port),
    meta: metaOf(node.Meta),
    incarnation: node.Incarnation,
    state,
    versions: versionsOf(node.Vsn),
  };
}

/** Finds the end of a push/pull that arrives in pieces; scans each member once, however many pieces arrive. */
export class PushPullLength {
  #at = 1;
  #membersLeft: number | undefined;
  #userStateBytes = 0;

  /** Returns the length as soon as the first bytes determine it; throws `TruncatedError` before that. */
  of(start: Uint8Array): number {
    if (this.#membersLeft === undefined) {
      const reader = new MsgpackReader(start, this.#at, fieldsMax);
      const { Nodes, UserStateLen } = pushPullHeader.read(reader);
      this.#at = reader.position;
      this.#membersLeft = Nodes;
      this.#userStateBytes = UserStateLen;
    }
    while (this.#membersLeft > 0) {
      const reader = new MsgpackReader(start, this.#at, fieldsMax);
      reader.skip();
      this.#at = reader.position;
      this.#membersLeft--;
    }
    return this.#at + this.#userStateBytes;
  }
}
