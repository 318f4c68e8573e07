import type { EntryType } from './entry.js';
import { ProtobufReader, ProtobufWriter } from './conf-change-wire.js';

const changeTypes = ['add-node', 'remove-node', 'update-node', 'add-learner-node'] as const;
const transitions = ['auto', 'joint-implicit', 'joint-explicit'] as const;

/** `add-node` also promotes a learner, `add-learner-node` also demotes a voter; `update-node` changes nothing here. */
export type ConfChangeType = (typeof changeTypes)[number];

/**
 * The way in which several changes take effect. `auto`: directly if there is at most one, otherwise as `joint-implicit`.
 * `joint-implicit`: through a joint configuration that the leader leaves automatically. `joint-explicit`: through a
 * joint configuration that stays until an empty change is proposed.
 */
export type ConfChangeTransition = (typeof transitions)[number];

export interface ConfChangeSingle {
  readonly type: ConfChangeType;
  readonly nodeId: number;
}

/** One change of one member, applied directly (Raft thesis §4.1). `id` is for the proposer; Raft never reads it. */
export interface ConfChange {
  readonly id?: number;
  readonly type: ConfChangeType;
  readonly nodeId: number;
  readonly context: Uint8Array;
}

/**
 * Any number of changes, applied through joint consensus where needed (Raft §6). An empty list leaves a joint
 * configuration.
 */
export interface ConfChangeV2 {
  readonly transition: ConfChangeTransition;
  readonly changes: readonly ConfChangeSingle[];
  readonly context: Uint8Array;
}

const noContext = new Uint8Array(0);

/** Builds a change of one member. */
export function confChange(type: ConfChangeType, nodeId: number, context: Uint8Array = noContext): ConfChange {
  return { type, nodeId, context };
}

/** Builds a change; the defaults are `auto`, no changes and no context. */
export function confChangeV2(fields: Partial<ConfChangeV2>): ConfChangeV2 {
  return { transition: 'auto', changes: [], context: noContext, ...fields };
}

export function isConfChangeV2(change: ConfChange | ConfChangeV2): change is ConfChangeV2 {
  return 'changes' in change;
}

/** Converts either version to a list of changes. */
export function asV2(change: ConfChange | ConfChangeV2): ConfChangeV2 {
  if (isConfChangeV2(change)) return change;
  return {
    transition: 'auto',
    changes: [{ type: change.type, nodeId: change.nodeId }],
    context: change.context,
  };
}

/**
 * Returns whether the change must enter a joint configuration (`ok`), and whether the leader then leaves it
 * automatically.
 */
export function enterJoint(change: ConfChangeV2): { readonly autoLeave: boolean; readonly ok: boolean } {
  const ok = change.transition !== 'auto' || change.changes.length > 1;
  return { autoLeave: ok && change.transition !== 'joint-explicit', ok };
}

/** Returns true if the change leaves a joint configuration: it has no changes (it may have a context). */
export function leaveJoint(change: ConfChangeV2): boolean {
  return change.transition === 'auto' && change.changes.length === 0;
}

/**
 * Encodes the change as the type and data of an entry, in etcd's protobuf encoding (raftpb.ConfChange,
 * raftpb.ConfChangeV2). `undefined` is the empty change that leaves a joint configuration; its data is empty.
 */
export function encodeConfChange(change: ConfChange | ConfChangeV2 | undefined): {
  readonly type: Exclude<EntryType, 'normal'>;
  readonly data: Uint8Array;
} {
  if (change === undefined) return { type: 'conf-change-v2', data: new Uint8Array(0) };
  const writer = new ProtobufWriter();
  if (!isConfChangeV2(change)) {
    if (change.id !== undefined) writer.varint(1, change.id);
    writer.varint(2, changeTypes.indexOf(change.type));
    writer.varint(3, change.nodeId);
    if (change.context.length > 0) writer.bytes(4, change.context);
    return { type: 'conf-change', data: writer.finish() };
  }
  writer.varint(1, transitions.indexOf(change.transition));
  for (const single of change.changes) {
    const nested = new ProtobufWriter();
    nested.varint(1, changeTypes.indexOf(single.type));
    nested.varint(2, single.nodeId);
    writer.bytes(2, nested.finish());
  }
  if (change.context.length > 0) writer.bytes(3, change.context);
  return { type: 'conf-change-v2', data: writer.finish() };
}

/**
 * Decodes the data of an entry of type `conf-change` or `conf-change-v2`. Fields may be absent or unknown; the context
 * of the result is a view of `data`. Throws `MalformedConfChangeError`.
 */
export function decodeConfChange(type: EntryType, data: Uint8Array): ConfChange | ConfChangeV2 {
  switch (type) {
    case 'conf-change':
      return decodeV1(data);
    case 'conf-change-v2':
      return decodeV2(data);
    case 'normal':
      throw new MalformedConfChangeError('a normal entry is not a membership change');
  }
}

const changeNames: Record<ConfChangeType, string> = {
  'add-node': 'ConfChangeAddNode',
  'remove-node': 'ConfChangeRemoveNode',
  'update-node': 'ConfChangeUpdateNode',
  'add-learner-node': 'ConfChangeAddLearnerNode',
};

const transitionNames: Record<ConfChangeTransition, string> = {
  auto: 'ConfChangeTransitionAuto',
  'joint-implicit': 'ConfChangeTransitionJointImplicit',
  'joint-explicit': 'ConfChangeTransitionJointExplicit',
};

/**
 * Returns one line for logs, with the fields of its version, such as `type:ConfChangeAddNode node_id:3` and
 * `transition:ConfChangeTransitionAuto changes:{type:ConfChangeAddNode node_id:3}`.
 */
export function describeConfChange(change: ConfChange | ConfChangeV2): string {
  const words: string[] = [];
  if (isConfChangeV2(change)) {
    words.push(`transition:${transitionNames[change.transition]}`);
    for (const single of change.changes) words.push(`changes:{${describeSingle(single)}}`);
  } else {
    if (change.id !== undefined) words.push(`id:${change.id}`);
    words.push(describeSingle(change));
  }
  if (change.context.length > 0) words.push(`context:${JSON.stringify(String.fromCharCode(...change.context))}`);
  return words.join(' ');
}

function describeSingle({ type, nodeId }: ConfChangeSingle): string {
  return `type:${changeNames[type]} node_id:${nodeId}`;
}

/**
 * The data of an entry is not a membership change that this node supports: the log is damaged, or newer than the node.
 */
export class MalformedConfChangeError extends Error {
  override readonly name = 'MalformedConfChangeError';
}

function decodeV1(data: Uint8Array): ConfChange {
  const reader = new ProtobufReader(data, malformed);
  let id: number | undefined;
  let type: ConfChangeType = 'add-node';
  let nodeId = 0;
  let context: Uint8Array = noContext;
  while (reader.next()) {
    if (reader.field === 1) id = reader.varint();
    else if (reader.field === 2) type = named(changeTypes, reader.varint());
    else if (reader.field === 3) nodeId = reader.varint();
    else if (reader.field === 4) context = reader.bytes();
    else reader.skip();
  }
  return id === undefined ? { type, nodeId, context } : { id, type, nodeId, context };
}

function decodeV2(data: Uint8Array): ConfChangeV2 {
  const reader = new ProtobufReader(data, malformed);
  let transition: ConfChangeTransition = 'auto';
  const changes: ConfChangeSingle[] = [];
  let context: Uint8Array = noContext;
  while (reader.next()) {
    if (reader.field === 1) transition = named(transitions, reader.varint());
    else if (reader.field === 2) changes.push(decodeSingle(reader.bytes()));
    else if (reader.field === 3) context = reader.bytes();
    else reader.skip();
  }
  return { transition, changes, context };
}

function decodeSingle(data: Uint8Array): ConfChangeSingle {
  const reader = new ProtobufReader(data, malformed);
  let type: ConfChangeType = 'add-node';
  let nodeId = 0;
  while (reader.next()) {
    if (reader.field === 1) type = named(changeTypes, reader.varint());
    else if (reader.field === 2) nodeId = reader.varint();
    else reader.skip();
  }
  return { type, nodeId };
}

function named<Name>(names: readonly Name[], number: number): Name {
  const name = names[number];
  if (name === undefined) throw malformed(`unknown enum value ${number}`);
  return name;
}

function malformed(reason: string): MalformedConfChangeError {
  return new MalformedConfChangeError(`malformed membership change: ${reason}`);
}
