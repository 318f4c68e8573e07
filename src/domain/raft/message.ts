import type { Entry } from './entry.js';
import type { Snapshot } from './snapshot.js';

/** No node: an unset sender, vote or leader. Ids of nodes are positive. */
export const noNode = 0;

/** The local thread that makes entries, hard state and snapshots durable, as an address of messages. */
export const appendThread = Number.MAX_SAFE_INTEGER;
/** The local thread that applies committed entries to the state machine, as an address of messages. */
export const applyThread = Number.MAX_SAFE_INTEGER - 1;

export type MessageType =
  | 'MsgHup'
  | 'MsgBeat'
  | 'MsgProp'
  | 'MsgApp'
  | 'MsgAppResp'
  | 'MsgVote'
  | 'MsgVoteResp'
  | 'MsgSnap'
  | 'MsgHeartbeat'
  | 'MsgHeartbeatResp'
  | 'MsgUnreachable'
  | 'MsgSnapStatus'
  | 'MsgCheckQuorum'
  | 'MsgTransferLeader'
  | 'MsgTimeoutNow'
  | 'MsgReadIndex'
  | 'MsgReadIndexResp'
  | 'MsgPreVote'
  | 'MsgPreVoteResp'
  | 'MsgStorageAppend'
  | 'MsgStorageAppendResp'
  | 'MsgStorageApply'
  | 'MsgStorageApplyResp'
  | 'MsgForgetLeader';

/**
 * Everything a core takes in or sends out, to peers and to the local storage threads. One shape for all types: what a
 * type does not use is zero, empty or undefined.
 */
export interface Message {
  readonly type: MessageType;
  readonly to: number;
  readonly from: number;
  /** 0: a local message, outside of any term. */
  readonly term: number;
  /** Of a MsgApp the term of the entry before the first, of a vote the term of the candidate's last entry. */
  readonly logTerm: number;
  /** Of a MsgApp the index before the first entry, of a MsgAppResp the last index that matches. */
  readonly index: number;
  readonly entries: readonly Entry[];
  readonly commit: number;
  /** Of a MsgStorageAppend alone: the vote to make durable. */
  readonly vote: number;
  readonly snapshot: Snapshot | undefined;
  readonly reject: boolean;
  readonly rejectHint: number;
  readonly context: Uint8Array | undefined;
  /** Of the messages to local threads: what to deliver once the work of this message is done, in this order. */
  readonly responses: readonly Message[];
}

const noEntries: readonly Entry[] = [];
const noResponses: readonly Message[] = [];

/** The message with these fields; the rest zero, empty or undefined. */
export function message(fields: Partial<Message> & Pick<Message, 'type'>): Message {
  return {
    to: noNode,
    from: noNode,
    term: 0,
    logTerm: 0,
    index: 0,
    entries: noEntries,
    commit: 0,
    vote: 0,
    snapshot: undefined,
    reject: false,
    rejectHint: 0,
    context: undefined,
    responses: noResponses,
    ...fields,
  };
}

const localTypes: ReadonlySet<MessageType> = new Set<MessageType>([
  'MsgHup',
  'MsgBeat',
  'MsgUnreachable',
  'MsgSnapStatus',
  'MsgCheckQuorum',
  'MsgStorageAppend',
  'MsgStorageAppendResp',
  'MsgStorageApply',
  'MsgStorageApplyResp',
]);

const responseTypes: ReadonlySet<MessageType> = new Set<MessageType>([
  'MsgAppResp',
  'MsgVoteResp',
  'MsgHeartbeatResp',
  'MsgUnreachable',
  'MsgReadIndexResp',
  'MsgPreVoteResp',
  'MsgStorageAppendResp',
  'MsgStorageApplyResp',
]);

/** Whether a message of this type never comes from a peer. */
export function isLocalType(type: MessageType): boolean {
  return localTypes.has(type);
}

/** Whether a message of this type answers one that this node sent. */
export function isResponseType(type: MessageType): boolean {
  return responseTypes.has(type);
}

/** Whether the id is a storage thread of this node and no peer. */
export function isLocalThread(id: number): boolean {
  return id === appendThread || id === applyThread;
}
