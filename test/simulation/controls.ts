import type { RaftNode } from '../../src/application/raft/raft-node.js';
import type { RaftNodeOptions } from '../../src/application/raft/raft-options.js';
import type { HardStateFile } from '../../src/domain/log/hard-state-file.js';
import { message, type Message } from '../../src/domain/raft/message.js';
import type { Falsification } from './false-disks.js';
import type { FaultKind } from './faults.js';
import type { Run } from './run.js';

/**
 * A known bug, planted from outside: a sweep that does not find it proves nothing (docs/guarantees.md).
 */
export interface Control {
  readonly name: string;
  /** The faults that expose it. */
  readonly faults: readonly FaultKind[];
  /** How disks turn false; by default in all ways. */
  readonly falsifications?: readonly Falsification[];
  /** The invariants that it breaks; any of them may be seen first. */
  readonly breaks: readonly string[];
  /** Whether nodes cut off damage and take part at once. */
  readonly forgetsDamage?: boolean;
  readonly prepare?: (run: Run) => void;
  readonly tamper?: (options: RaftNodeOptions) => RaftNodeOptions;
  readonly tamperNode?: (node: RaftNode) => RaftNode;
}

export const controls: readonly Control[] = [
  {
    name: 'acknowledge before the sync',
    faults: ['power cut of all', 'power cut'],
    breaks: ['I1', 'I2', 'I6', 'I7', 'I9', 'I10', 'start', 'fatal'],
    prepare: ({ machines }) => {
      for (const { disk } of machines) disk.weather.syncsNothing = true;
    },
  },
  {
    name: 'acknowledge before the commit',
    faults: ['kill', 'partition', 'power cut', 'loss'],
    breaks: ['I1', 'I2', 'I6', 'I9', 'fatal'],
    prepare: (run) => {
      run.network.filter = (received, from, to) => {
        if (received.type === 'MsgApp') acknowledgeAtOnce(run, received, from, to);
        return received;
      };
    },
  },
  {
    name: 'skip the log-matching check',
    faults: ['kill', 'partition', 'partition', 'one-way cut'],
    breaks: ['I1', 'I2', 'I6', 'I9', 'fatal'],
    prepare: (run) => {
      run.network.filter = (received, _from, to) => {
        const mirror = run.machines.find(({ name }) => name === to)?.mirror;
        if (received.type !== 'MsgApp' || mirror === undefined) return received;
        const own = mirror.at(received.index);
        return own === undefined ? received : { ...received, logTerm: own.term };
      };
    },
  },
  {
    name: 'read by lease after a pause',
    faults: ['pause'],
    breaks: ['I8'],
    // A leader that confirms reads without asking its peers, like one whose lease expired while it was paused.
    tamperNode: (node) => {
      const ask = node.readBarrier.bind(node);
      node.readBarrier = (signal) => (node.leadership.isLeader ? Promise.resolve(node.highWatermark) : ask(signal));
      return node;
    },
  },
  {
    name: 'forget the vote',
    faults: ['crash at a vote', 'crash at a vote', 'delay'],
    breaks: ['I9'],
    tamper: (options) => ({
      ...options,
      hardState: withoutVote(options.hardState),
      // Nearly equal timeouts cause elections with several candidates.
      random: (n) => options.random(n === options.timing.electionTicks ? 2 : n),
    }),
  },
  {
    name: 'take part without the repair',
    faults: ['bit rot', 'bit rot', 'kill', 'power cut of all', 'partition'],
    breaks: ['I1', 'I2', 'I6', 'I7', 'I9'],
    forgetsDamage: true,
  },
];

/** Sends the response that the follower owes after its disk write as soon as the entries arrive. */
function acknowledgeAtOnce(run: Run, { from, to, term, entries }: Message, sender: string, receiver: string): void {
  const last = entries.at(-1);
  const leader = run.machines.find(({ name }) => name === sender);
  if (last === undefined || leader === undefined) return;
  const early = message({ type: 'MsgAppResp', from: to, to: from, term, index: last.index });
  run.world.schedule(0.1, `${receiver}>${sender} early acknowledgement`, () => {
    const listener = run.network.listener(leader.address);
    listener?.process.enter('early acknowledgement', () => listener.receiver?.receive(early));
  });
}

/** Keeps the vote in memory and off the disk, unless it is there already. */
function withoutVote(hardState: HardStateFile): HardStateFile {
  const save = hardState.save.bind(hardState);
  let { vote, term } = hardState.current;
  hardState.save = (state, ...more) => {
    ({ vote, term } = state);
    const { current } = hardState;
    return save({ ...state, vote: current.term === term ? current.vote : 0 }, ...more);
  };
  return new Proxy(hardState, {
    get(target, property) {
      if (property === 'current') return { ...target.current, ...(target.current.term === term && { vote }) };
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}
