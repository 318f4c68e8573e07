import { describe, expect, it } from '@jest/globals';
import type { ConfChangeTransition, ConfChangeType } from './conf-change.js';
import { confChangeV2, decodeConfChange } from './conf-change.js';
import { confState } from './conf-state.js';
import type { Entry } from './entry.js';
import type { Message } from './message.js';
import { appendThread, applyThread, message } from './message.js';
import { MemoryStorage } from './memory-storage.js';
import { LocalMessageError, PeerNotFoundError, ProposalDroppedError } from './raft-errors.js';
import { RawNode } from './raw-node.js';
import type { Snapshot } from './snapshot.js';

/** Returns a generator of integers in [0, n), deterministic for a seed. */
function randomOf(seed: number): (n: number) => number {
  let state = seed >>> 0;
  return (n) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % n;
  };
}

interface NetworkFaults {
  /** Per hundred messages. */
  lost: number;
  doubled: number;
}

interface Options {
  readonly nodes: number;
  readonly asyncStorageWrites: boolean;
  readonly preVoteAndCheckQuorum: boolean;
  readonly membership: boolean;
}

/** Checks the invariants that all nodes of the group must agree on. */
class InvariantChecker {
  readonly #leaders = new Map<number, number>();
  readonly #chosen = new Map<number, string>();
  highestCommit = 0;

  recordLeader(term: number, id: number): void {
    const known = this.#leaders.get(term) ?? id;
    if (known !== id) throw new Error(`term ${term} has two leaders: ${known} and ${id}`);
    this.#leaders.set(term, id);
  }

  recordCommitted({ index, term, data }: Entry): void {
    const text = `${term}:${data.join(',')}`;
    const known = this.#chosen.get(index) ?? text;
    if (known !== text) throw new Error(`index ${index} was committed as ${known} and as ${text}`);
    this.#chosen.set(index, text);
    this.highestCommit = Math.max(this.highestCommit, index);
  }
}

class Host {
  readonly storage = new MemoryStorage();
  raw: RawNode;
  applied = 1;
  readonly reads = new Map<string, number>();
  #appends: Message[] = [];
  #applies: Message[] = [];

  constructor(
    readonly id: number,
    private readonly group: Group,
  ) {
    const voters = group.initialVoters;
    if (voters.includes(id)) {
      this.storage.applySnapshot({
        data: new Uint8Array(0),
        metadata: { index: 1, term: 1, confState: confState({ voters }) },
      });
    }
    this.raw = this.#start();
  }

  /** Loses everything that was not stored. */
  crash(): void {
    this.#appends = [];
    this.#applies = [];
    this.reads.clear();
    this.raw = this.#start();
  }

  receive(received: Message): void {
    try {
      this.raw.step(received);
    } catch (error) {
      const expected = error instanceof ProposalDroppedError || error instanceof PeerNotFoundError;
      if (!expected) throw error;
    }
  }

  /** Handles one Ready; may crash after storing it and before sending it. */
  handleReady(mayCrash: boolean): void {
    if (!this.raw.hasReady()) return;
    const ready = this.raw.ready();
    for (const { requestContext, index } of ready.readStates) this.#checkRead(requestContext, index);
    if (this.group.options.asyncStorageWrites) {
      for (const sent of ready.messages) {
        if (sent.to === appendThread) this.#appends.push(sent);
        else if (sent.to === applyThread) this.#applies.push(sent);
        else this.group.send(sent);
      }
      return;
    }
    this.#store(ready.snapshot, ready.entries);
    if (ready.hardState !== undefined) this.storage.setHardState(ready.hardState);
    if (mayCrash && this.group.random(40) === 0) {
      this.crash();
      return;
    }
    for (const sent of ready.messages) this.group.send(sent);
    this.#apply(ready.committedEntries);
    this.raw.advance();
  }

  appendOne(): void {
    const work = this.#appends.shift();
    if (work === undefined) return;
    this.#store(work.snapshot, work.entries);
    if (work.term > 0) this.storage.setHardState({ term: work.term, vote: work.vote, commit: work.commit });
    for (const response of work.responses) this.group.send(response);
  }

  applyOne(): void {
    const work = this.#applies.shift();
    if (work === undefined) return;
    this.#apply(work.entries);
    for (const response of work.responses) this.group.send(response);
  }

  compact(): void {
    const state = this.raw.status().config;
    // The core must know that the entries are applied, and the commit index must be durable: it must not start below
    // the log.
    const isKnown = this.raw.basicStatus().applied === this.applied;
    const isDurable = this.storage.initialState().hardState.commit >= this.applied;
    if (!isKnown || !isDurable || this.applied < this.storage.firstIndex()) return;
    this.storage.createSnapshot(this.applied, state, new Uint8Array(0));
    this.storage.compact(this.applied);
  }

  #start(): RawNode {
    const { random, options } = this.group;
    // The snapshot holds the configuration: later changes are applied again.
    this.applied = this.storage.snapshot().metadata.index;
    return new RawNode({
      id: this.id,
      electionTick: 6,
      heartbeatTick: 1,
      storage: this.storage,
      random,
      applied: this.applied,
      asyncStorageWrites: options.asyncStorageWrites,
      maxSizePerMsg: 64,
      maxInflightMsgs: 3,
      maxCommittedSizePerReady: 100,
      preVote: options.preVoteAndCheckQuorum,
      checkQuorum: options.preVoteAndCheckQuorum,
      // A leader that steps down may leave voters that do not know of the commit and cannot win without it. Real
      // leaders transfer leadership before they are removed.
      stepDownOnRemoval: false,
    });
  }

  #store(snapshot: Snapshot | undefined, entries: readonly Entry[]): void {
    if (snapshot !== undefined) {
      this.storage.applySnapshot(snapshot);
      this.applied = snapshot.metadata.index;
    }
    this.storage.append(entries);
  }

  #apply(entries: readonly Entry[]): void {
    for (const entry of entries) {
      this.group.invariants.recordCommitted(entry);
      // A snapshot overtook entries in flight to the apply thread.
      if (this.group.options.asyncStorageWrites && entry.index <= this.applied) continue;
      expect(entry.index).toBe(this.applied + 1);
      this.applied = entry.index;
      if (entry.type !== 'normal') this.raw.applyConfChange(decodeConfChange(entry.type, entry.data));
    }
  }

  #checkRead(context: Uint8Array, index: number): void {
    const asked = this.reads.get(context.join());
    if (asked !== undefined && index < asked) throw new Error(`read at ${index} after ${asked} was committed`);
  }
}

class Group {
  readonly random: (n: number) => number;
  readonly invariants = new InvariantChecker();
  readonly hosts: Host[];
  readonly initialVoters: readonly number[];
  networkFaults: NetworkFaults = { lost: 15, doubled: 5 };
  #wire: Message[] = [];
  #reads = 0;
  #isolated = 0;

  constructor(
    seed: number,
    readonly options: Options,
  ) {
    this.random = randomOf(seed);
    const ids = Array.from({ length: options.nodes }, (_, i) => i + 1);
    this.initialVoters = options.membership ? ids.slice(0, 3) : ids;
    this.hosts = ids.map((id) => new Host(id, this));
  }

  send(sent: Message): void {
    this.#wire.push(sent);
  }

  chaos(): void {
    const host = this.#any();
    const chance = this.random(100);
    if (chance < 10) host.raw.tick();
    else if (chance < 55) this.#deliverOne();
    else if (chance < 75) host.handleReady(true);
    else if (chance < 82) host.appendOne();
    else if (chance < 88) host.applyOne();
    else if (chance < 94)
      this.#attempt(() => host.raw.propose({ data: Uint8Array.of(this.random(256), this.random(256)) }));
    else if (chance < 96) this.#read(host);
    else if (chance < 97) this.#rarely(host);
    else if (chance < 98) this.#isolated = this.random(3) === 0 ? 1 + this.random(this.options.nodes) : 0;
    else if (chance < 99 && this.options.membership) this.#changeMembership(host);
    this.#checkLeaders();
  }

  /** Heals the network, stops the crashes, and returns whether the group commits new proposals. */
  recovers(): boolean {
    this.networkFaults = { lost: 0, doubled: 0 };
    this.#isolated = 0;
    const before = this.invariants.highestCommit;
    for (let round = 0; round < 400; round += 1) {
      // A removed node may not know that it is removed, and would disturb the members.
      const members = this.#members();
      for (const host of this.hosts) if (members.includes(host.id)) host.raw.tick();
      this.#settle();
      // A new member cannot use a snapshot from before it was added.
      if (round % 10 === 0) for (const host of this.hosts) host.compact();
      const leader = this.hosts.find(({ raw }) => raw.basicStatus().softState.raftState === 'StateLeader');
      if (leader !== undefined) this.#attempt(() => leader.raw.propose({ data: Uint8Array.of(1) }));
      this.#settle();
      const commits = this.hosts
        .filter(({ id }) => members.includes(id))
        .map(({ raw }) => raw.basicStatus().hardState.commit);
      if (Math.min(...commits) > before + 3 && new Set(commits).size === 1) return true;
    }
    return false;
  }

  #settle(): void {
    for (let round = 0; round < 60; round += 1) {
      for (const host of this.hosts) {
        host.handleReady(false);
        host.appendOne();
        host.applyOne();
      }
      while (this.#wire.length > 0) this.#deliverOne();
    }
    this.#checkLeaders();
  }

  #members(): readonly number[] {
    const newest = this.hosts.reduce((a, b) => (b.applied > a.applied ? b : a));
    const { voters, votersOutgoing, learners } = newest.raw.status().config;
    return [...voters, ...votersOutgoing, ...learners];
  }

  #deliverOne(): void {
    if (this.#wire.length === 0) return;
    // Storage threads respond in order; the network may reorder messages.
    const i = this.random(4) === 0 ? this.random(this.#wire.length) : 0;
    const chosen = this.#wire[i];
    if (chosen === undefined) return;
    const isLocal = chosen.from === appendThread || chosen.from === applyThread || chosen.from === chosen.to;
    const chosenIndex = isLocal ? this.#wire.findIndex(({ to, from }) => to === chosen.to && from === chosen.from) : i;
    const [delivered] = this.#wire.splice(chosenIndex, 1);
    const receiver = this.hosts.find(({ id }) => id === delivered?.to);
    if (delivered === undefined || receiver === undefined) return;
    if (isLocal) {
      receiver.receive(delivered);
      return;
    }
    const isCut = delivered.to === this.#isolated || delivered.from === this.#isolated;
    const isLost = isCut || this.random(100) < this.networkFaults.lost;
    if (delivered.type === 'MsgSnap') {
      const sender = this.hosts.find(({ id }) => id === delivered.from);
      sender?.raw.reportSnapshot(delivered.to, isLost ? 'failure' : 'finish');
    }
    if (isLost) return;
    if (this.random(100) < this.networkFaults.doubled) this.send(delivered);
    receiver.receive(delivered);
  }

  #rarely(host: Host): void {
    const chance = this.random(5);
    if (chance === 0) this.#crash(host);
    else if (chance === 1) host.compact();
    else if (chance === 2) host.raw.transferLeader(this.#any().id);
    else if (chance === 3) host.raw.forgetLeader();
    else host.raw.reportUnreachable(this.#any().id);
  }

  #crash(host: Host): void {
    // Responses of its storage threads are lost with it.
    this.#wire = this.#wire.filter(
      ({ to, from }) => to !== host.id || (from !== appendThread && from !== applyThread && from !== host.id),
    );
    host.crash();
  }

  #changeMembership(host: Host): void {
    const types: readonly ConfChangeType[] = ['add-node', 'remove-node', 'add-learner-node'];
    const transitions: readonly ConfChangeTransition[] = ['auto', 'auto', 'joint-implicit', 'joint-explicit'];
    const changes = Array.from({ length: this.random(3) }, () => ({
      type: types[this.random(3)] ?? 'add-node',
      nodeId: this.#any().id,
    }));
    // Voter 1 stays: an empty group would be rejected only when the change is applied.
    const allowed = changes.filter(({ type, nodeId }) => nodeId !== 1 || type === 'add-node');
    const transition = allowed.length === 0 ? 'auto' : (transitions[this.random(4)] ?? 'auto');
    this.#attempt(() => host.raw.proposeConfChange(confChangeV2({ transition, changes: allowed })));
  }

  #read(host: Host): void {
    this.#reads += 1;
    const context = Uint8Array.of(host.id, this.#reads >> 8, this.#reads & 0xff);
    const highest = Math.max(...this.hosts.map(({ raw }) => raw.basicStatus().hardState.commit));
    host.reads.set(context.join(), highest);
    host.raw.readIndex(context);
  }

  #attempt(action: () => void): void {
    try {
      action();
    } catch (error) {
      if (!(error instanceof ProposalDroppedError)) throw error;
    }
  }

  #checkLeaders(): void {
    for (const { raw, id } of this.hosts) {
      const { hardState, softState } = raw.basicStatus();
      if (softState.raftState === 'StateLeader') this.invariants.recordLeader(hardState.term, id);
    }
  }

  #any(): Host {
    const host = this.hosts[this.random(this.hosts.length)];
    if (host === undefined) throw new Error('a group has hosts');
    return host;
  }
}

const seedFromEnvironment = process.env['RAFT_SEED'];
const seeds =
  seedFromEnvironment === undefined ? Array.from({ length: 8 }, (_, i) => 1 + i) : [Number(seedFromEnvironment)];

describe.each([false, true])('a group under message loss and crashes, asynchronous writes %s', (asyncStorageWrites) => {
  it.each(seeds)('never has two leaders in a term or two entries at an index, and recovers: RAFT_SEED=%i', (seed) => {
    const membership = seed % 2 === 0;
    const group = new Group(seed, {
      nodes: membership || seed % 3 === 0 ? 5 : 3,
      asyncStorageWrites,
      preVoteAndCheckQuorum: seed % 4 < 2,
      membership,
    });
    for (let step = 0; step < 6000; step += 1) group.chaos();
    expect(group.invariants.highestCommit).toBeGreaterThan(1);
    expect(group.recovers()).toBe(true);
  });
});

describe('a raw node', () => {
  it('rejects messages that only the node itself may send', () => {
    const group = new Group(1, {
      nodes: 3,
      asyncStorageWrites: false,
      preVoteAndCheckQuorum: false,
      membership: false,
    });
    const raw = group.hosts[0]?.raw;
    expect(() => raw?.step(message({ type: 'MsgHup', from: 2 }))).toThrow(LocalMessageError);
    expect(() => raw?.step(message({ type: 'MsgAppResp', from: 9, term: 1 }))).toThrow(PeerNotFoundError);
  });
});
