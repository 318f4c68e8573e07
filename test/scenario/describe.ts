import { asV2, decodeConfChange, MalformedConfChangeError } from '../../src/domain/raft/conf-change.js';
import type { ConfState } from '../../src/domain/raft/conf-state.js';
import type { Entry, EntryType } from '../../src/domain/raft/entry.js';
import type { HardState } from '../../src/domain/raft/hard-state.js';
import { isEmptyHardState } from '../../src/domain/raft/hard-state.js';
import type { Message } from '../../src/domain/raft/message.js';
import { applyThread, appendThread, noNode } from '../../src/domain/raft/message.js';
import type { ReadState, Ready } from '../../src/domain/raft/ready.js';
import type { Snapshot } from '../../src/domain/raft/snapshot.js';
import { isEmptySnapshot } from '../../src/domain/raft/snapshot.js';
import { describeConfChanges } from './conf-changes.js';
import { quote } from './quote.js';

const entryTypeNames: Record<EntryType, string> = {
  normal: 'EntryNormal',
  'conf-change': 'EntryConfChange',
  'conf-change-v2': 'EntryConfChangeV2',
};

/** Describes a Ready, one part per line; without a newline when it is empty. */
export function describeReady(ready: Ready): string {
  let out = '';
  if (ready.softState !== undefined) out += `Lead:${ready.softState.lead} State:${ready.softState.raftState}\n`;
  if (ready.hardState !== undefined && !isEmptyHardState(ready.hardState)) {
    out += `HardState ${describeHardState(ready.hardState)}\n`;
  }
  if (ready.readStates.length > 0) out += `ReadStates [${ready.readStates.map(describeReadState).join(' ')}]\n`;
  if (ready.entries.length > 0) out += `Entries:\n${describeEntries(ready.entries)}`;
  if (ready.snapshot !== undefined && !isEmptySnapshot(ready.snapshot)) {
    out += `Snapshot ${describeSnapshot(ready.snapshot)}\n`;
  }
  if (ready.committedEntries.length > 0) out += `CommittedEntries:\n${describeEntries(ready.committedEntries)}`;
  if (ready.messages.length > 0) {
    out += `Messages:\n${ready.messages.map((each) => `${describeMessage(each)}\n`).join('')}`;
  }
  return out === '' ? '<empty Ready>' : `Ready MustSync=${ready.mustSync}:\n${out}`;
}

/**
 * Describes a message, in several lines if it has several entries, a snapshot or responses; without a final newline.
 */
export function describeMessage(message: Message, indent = ''): string {
  const route = `${describeTarget(message.from)}->${describeTarget(message.to)}`;
  let out = `${indent}${route} ${message.type} Term:${message.term} Log:${message.logTerm}/${message.index}`;
  if (message.reject) out += ` Rejected (Hint: ${message.rejectHint})`;
  if (message.commit !== 0) out += ` Commit:${message.commit}`;
  if (message.vote !== 0) out += ` Vote:${message.vote}`;
  const [first, ...rest] = message.entries.map(describeEntry);
  if (first !== undefined && rest.length === 0) {
    out += ` Entries:[${first}]`;
  } else if (first !== undefined) {
    out += ` Entries:[${[first, ...rest].map((line) => `\n${indent}  ${line}`).join('')}\n${indent}]`;
  }
  if (message.snapshot !== undefined && !isEmptySnapshot(message.snapshot)) {
    out += `\n${indent}  Snapshot: ${describeSnapshot(message.snapshot)}`;
  }
  if (message.responses.length > 0) {
    const lines = message.responses.map((response) => `\n${describeMessage(response, `${indent}  `)}`);
    out += ` Responses:[${lines.join('')}\n${indent}]`;
  }
  return out;
}

/** Describes entries, one per line. */
export function describeEntries(entries: readonly Entry[]): string {
  return entries.map((entry) => `${describeEntry(entry)}\n`).join('');
}

function describeEntry(entry: Entry): string {
  const data = describeData(entry);
  return `${entry.term}/${entry.index} ${entryTypeNames[entry.type]}${data === '' ? '' : ` ${data}`}`;
}

function describeData({ type, data }: Entry): string {
  if (type === 'normal') return quote(data);
  try {
    return describeConfChanges(asV2(decodeConfChange(type, data)).changes);
  } catch (error) {
    if (error instanceof MalformedConfChangeError) return error.message;
    throw error;
  }
}

function describeTarget(id: number): string {
  switch (id) {
    case noNode:
      return 'None';
    case appendThread:
      return 'AppendThread';
    case applyThread:
      return 'ApplyThread';
    default:
      return id.toString(16);
  }
}

function describeHardState({ term, vote, commit }: HardState): string {
  return `Term:${term}${vote === 0 ? '' : ` Vote:${vote}`} Commit:${commit}`;
}

function describeReadState({ index, requestContext }: ReadState): string {
  return `{${index} [${requestContext.join(' ')}]}`;
}

function describeSnapshot({ metadata }: Snapshot): string {
  return `Index:${metadata.index} Term:${metadata.term} ConfState:${describeConfState(metadata.confState)}`;
}

function describeConfState(state: ConfState): string {
  const ids = (list: readonly number[]): string => `[${list.join(' ')}]`;
  return [
    `Voters:${ids(state.voters)}`,
    `VotersOutgoing:${ids(state.votersOutgoing)}`,
    `Learners:${ids(state.learners)}`,
    `LearnersNext:${ids(state.learnersNext)}`,
    `AutoLeave:${state.autoLeave}`,
  ].join(' ');
}
