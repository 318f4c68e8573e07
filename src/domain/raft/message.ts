import type { Entry } from './entry.js';
import type { Snapshot } from './snapshot.js';

/** Stands for no node: an unset sender, vote or leader. Node IDs are positive. */
export const noNode = 0;

/** The message address of the local thread that makes entries, hard state and snapshots durable. */
export const appendThread = Number.MAX_SAFE_INTEGER;
/** The message address of the local thread that applies committed entries to the state machine. */
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
 * A message between cores, or between a core and its local storage threads. All types have one shape: fields that a
 * type does not use are zero, empty or undefined.
 */
export interface Message {
  readonly type: MessageType;
  readonly to: number;
  readonly from: number;
  /** 0 means a local message, outside any term. */
  readonly term: number;
  /** In a MsgApp, the term of the entry before the first; in a vote request, the term of the candidate's last entry. */
  readonly logTerm: number;
  /** In a MsgApp, the index before the first entry; in a MsgAppResp, the last matching index. */
  readonly index: number;
  readonly entries: readonly Entry[];
  readonly commit: number;
  /** Only in a MsgStorageAppend: the vote to make durable. */
  readonly vote: number;
  readonly snapshot: Snapshot | undefined;
  readonly reject: boolean;
  readonly rejectHint: number;
  readonly context: Uint8Array | undefined;
  /** In messages to local threads: the messages to deliver, in this order, once the work of this message is done. */
  readonly responses: readonly Message[];
}

const noEntries: readonly Entry[] = [];
const noResponses: readonly Message[] = [];

/** Builds a message with these fields; the other fields are zero, empty or undefined. */
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

/** Returns true if a message of this type never comes from a peer. */
export function isLocalType(type: MessageType): boolean {
  return localTypes.has(type);
}

/** Returns true if a message of this type is a response to one that this node sent. */
export function isResponseType(type: MessageType): boolean {
  return responseTypes.has(type);
}

/** Returns true if the ID is a storage thread of this node, not a peer. */
export function isLocalThread(id: number): boolean {
  return id === appendThread || id === applyThread;
}
