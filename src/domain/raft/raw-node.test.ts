import { describe, expect, it } from '@jest/globals';
import { confState } from './conf-state.js';
import type { RaftConfig } from './config.js';
import { RaftConfigError } from './config.js';
import type { Message } from './message.js';
import { message } from './message.js';
import { MemoryStorage } from './memory-storage.js';
import { ProposalDroppedError } from './raft-errors.js';
import { RawNode } from './raw-node.js';
import type { ReadState } from './ready.js';

type Options = Partial<RaftConfig> & { readonly voters?: readonly number[] };

/** One node with the roles of its peers and its driver. */
class Driven {
  readonly notes: string[] = [];
  readonly storage = new MemoryStorage();
  readonly raw: RawNode;
  readonly reads: ReadState[] = [];

  constructor({ voters = [1, 2, 3], ...options }: Options = {}) {
    this.storage.applySnapshot({
      data: new Uint8Array(0),
      metadata: { index: 1, term: 1, confState: confState({ voters }) },
    });
    this.storage.setHardState({ term: 1, vote: 0, commit: 1 });
    const note = (text: string): void => void this.notes.push(text);
    const logger = { debug: note, info: note, warning: note, error: note };
    const fixed = { id: 1, electionTick: 5, heartbeatTick: 1, random: () => 0 };
    this.raw = new RawNode({ ...fixed, storage: this.storage, applied: 1, logger, ...options });
  }

  /** Does all outstanding work and returns the messages sent. */
  sent(): readonly Message[] {
    const sent: Message[] = [];
    while (this.raw.hasReady()) {
      const ready = this.raw.ready();
      this.storage.append(ready.entries);
      if (ready.hardState !== undefined) this.storage.setHardState(ready.hardState);
      this.reads.push(...ready.readStates);
      sent.push(...ready.messages);
      this.raw.advance();
    }
    return sent;
  }

  lead(): this {
    this.raw.campaign();
    this.sent();
    const isAlone = this.role === 'StateLeader';
    if (!isAlone) this.raw.step(message({ type: 'MsgVoteResp', from: 2, to: 1, term: this.term }));
    this.sent();
    return this;
  }

  tick(ticks: number): void {
    for (let done = 0; done < ticks; done += 1) this.raw.tick();
  }

  get term(): number {
    return this.raw.basicStatus().hardState.term;
  }

  get role(): string {
    return this.raw.basicStatus().softState.raftState;
  }
}

const bytes = (length: number): Uint8Array => new Uint8Array(length);

describe('a raw node', () => {
  it.each<Options>([
    { id: 0 },
    { heartbeatTick: 0 },
    { electionTick: 1 },
    { maxInflightMsgs: 0 },
    { maxSizePerMsg: 9, maxInflightBytes: 8 },
    { readOnlyOption: 'lease-based' },
  ])('does not start with %j', (options) => {
    expect(() => new Driven(options)).toThrow(RaftConfigError);
  });

  it('becomes the leader of a single-node group without messages', () => {
    const node = new Driven({ voters: [1] });
    node.raw.campaign();
    expect(node.sent()).toEqual([]);
    expect(node.role).toBe('StateLeader');
    expect(node.raw.basicStatus().hardState.commit).toBe(2);
  });

  it('drops proposals during a transfer, until it times out after an election timeout', () => {
    const node = new Driven().lead();
    node.raw.transferLeader(2);
    expect(() => node.raw.propose({ data: bytes(1) })).toThrow(ProposalDroppedError);
    node.tick(5);
    expect(node.raw.basicStatus().leadTransferee).toBe(0);
    node.raw.propose({ data: bytes(1) });
  });

  it('drops proposals above the limit of uncommitted bytes, but not the first one', () => {
    const node = new Driven({ maxUncommittedEntriesSize: 10 }).lead();
    node.raw.propose({ data: bytes(20) });
    expect(() => node.raw.propose({ data: bytes(1) })).toThrow(ProposalDroppedError);
    node.raw.propose({ data: bytes(0) });
    node.sent();
    node.raw.step(message({ type: 'MsgAppResp', from: 2, to: 1, term: node.term, index: 4 }));
    node.sent();
    node.raw.propose({ data: bytes(1) });
  });

  it('confirms a read by a quorum, after its first commit', () => {
    const node = new Driven().lead();
    const context = Uint8Array.of(7);
    node.raw.readIndex(context);
    expect(node.sent()).toEqual([]);
    node.raw.step(message({ type: 'MsgAppResp', from: 2, to: 1, term: node.term, index: 2 }));
    const heartbeats = node.sent().filter(({ type }) => type === 'MsgHeartbeat');
    expect(heartbeats.map((heartbeat) => heartbeat.context)).toEqual([context, context]);
    expect(node.reads).toEqual([]);
    node.raw.step(message({ type: 'MsgHeartbeatResp', from: 3, to: 1, term: node.term, context }));
    node.sent();
    expect(node.reads).toEqual([{ index: 2, requestContext: context }]);
  });

  it('sends only probes to a follower with a full window, one per heartbeat response', () => {
    const node = new Driven({ maxInflightMsgs: 2 }).lead();
    node.raw.step(message({ type: 'MsgAppResp', from: 2, to: 1, term: node.term, index: 2 }));
    node.sent();
    for (let count = 0; count < 4; count += 1) node.raw.propose({ data: bytes(1) });
    const toPeer = (): readonly number[] =>
      node
        .sent()
        .filter(({ to, type }) => to === 2 && type === 'MsgApp')
        .map(({ entries }) => entries.length);
    expect(toPeer()).toEqual([1, 1]);
    for (let count = 0; count < 2; count += 1) {
      node.raw.step(message({ type: 'MsgHeartbeatResp', from: 2, to: 1, term: node.term }));
      expect(toPeer()).toEqual([0]);
    }
  });

  it('ignores acknowledgements of writes from an earlier term', () => {
    const node = new Driven({ asyncStorageWrites: true });
    const append = message({ type: 'MsgApp', from: 2, to: 1, logTerm: 1, index: 1, term: 2 });
    node.raw.step({ ...append, entries: [{ term: 2, index: 2, type: 'normal', data: bytes(1) }] });
    const [work] = node.raw.ready().messages;
    const acknowledgement = work?.responses.at(-1);
    expect(acknowledgement).toMatchObject({ type: 'MsgStorageAppendResp', term: 2, index: 2, logTerm: 2 });
    node.raw.step(message({ type: 'MsgHeartbeat', from: 3, to: 1, term: 3 }));
    if (acknowledgement !== undefined) node.raw.step(acknowledgement);
    expect(node.notes.at(-1)).toBe(
      '1 [term: 3] ignored entry appends from a MsgStorageAppendResp message with lower term [term: 2]',
    );
    // The next acknowledgement, of this term, covers the entry.
    expect(node.raw.ready().messages.at(-1)?.responses.at(-1)).toMatchObject({ term: 3, index: 2, logTerm: 2 });
  });

  it('steps down when no quorum answers for an election timeout', () => {
    const node = new Driven({ checkQuorum: true }).lead();
    node.tick(5);
    expect(node.role).toBe('StateFollower');
  });

  it('restarts from its stored state', () => {
    const node = new Driven({ voters: [1] }).lead();
    const again = new RawNode({
      id: 1,
      electionTick: 5,
      heartbeatTick: 1,
      random: () => 0,
      storage: node.storage,
      applied: 1,
    });
    expect(again.basicStatus().hardState).toEqual(node.storage.initialState().hardState);
    expect(again.ready().committedEntries.map(({ index }) => index)).toEqual([2]);
  });
});
