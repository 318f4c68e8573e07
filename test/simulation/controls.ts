import { UnavailableError } from '../../src/application/errors.js';
import type { MemberDependencies } from '../../src/application/node/node-dependencies.js';
import type { VouchAnswer } from '../../src/application/ports/vouching.js';
import type { AppendReceipt } from '../../src/application/ports/consensus.js';
import { RaftNode } from '../../src/application/raft/raft-node.js';
import type { RaftNodeOptions } from '../../src/application/raft/raft-options.js';
import { type Directory, type File, UnreadableError } from '../../src/domain/log/directory.js';
import { Log } from '../../src/domain/log/log.js';
import { type Offset, toOffset } from '../../src/domain/log/offsets.js';
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
  /** Whether nodes cut off damage and run Raft at once. */
  readonly forgetsDamage?: boolean;
  /** The number of founding voters; by default the seed chooses. */
  readonly nodes?: number;
  /** How long faults come (default: as in every run). */
  readonly hostileMs?: number;
  /** Whether a majority loses its disks in the end. */
  readonly losesMajority?: boolean;
  readonly prepare?: (run: Run) => void;
  readonly tamper?: (options: RaftNodeOptions) => RaftNodeOptions;
  readonly tamperMember?: (deps: MemberDependencies, run: Run) => MemberDependencies;
  readonly tamperNode?: (node: RaftNode) => RaftNode;
}

export const controls: readonly Control[] = [
  {
    name: 'acknowledge before the sync',
    faults: ['power cut of all', 'power cut'],
    breaks: ['I1', 'I2', 'I6', 'I7', 'I9', 'I10', 'start', 'fatal'],
    prepare: ({ machines }) => {
      for (const { disk } of machines) disk.weather.skipsSyncOf = /./;
    },
  },
  {
    name: 'do not sync the incarnation',
    faults: ['power cut'],
    breaks: ['I16'],
    // No peer may take a member for a copy of itself that has only lost power.
    prepare: ({ machines }) => {
      for (const { disk } of machines) disk.weather.skipsSyncOf = /^incarnation$/;
    },
  },
  {
    name: 'acknowledge before the commit',
    faults: ['kill', 'partition', 'power cut', 'loss'],
    breaks: ['I1', 'I2', 'I6', 'I9', 'I18', 'fatal'],
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
    name: 'run Raft without the repair',
    faults: ['bit rot', 'bit rot', 'kill', 'power cut of all', 'partition'],
    breaks: ['I1', 'I2', 'I6', 'I7', 'I9'],
    forgetsDamage: true,
    // Otherwise the peers tell it that it comes back with less than it had.
    tamperMember: (deps) =>
      withVouch(deps, async (vouch) => {
        const answer = await vouch;
        if (answer === 'unsupported') return answer;
        const { note: _, ...rest } = answer;
        return rest;
      }),
  },
  {
    name: 'note no base of the log',
    faults: ['false disk', 'settings', 'settings'],
    falsifications: ['old part'],
    breaks: ['I19', 'fatal'],
    hostileMs: 90_000,
    tamper: (options) => ({
      ...options,
      configurationBase: { raise: () => Promise.resolve() },
      retention: { bytesMax: 4_000 },
    }),
  },
  {
    name: 'take a failed read for no damage',
    faults: ['bit rot', 'bit rot', 'kill'],
    breaks: ['I11', 'errors', 'crash', 'start', 'fatal'],
    tamperMember: (deps) => {
      const { openLog = Log.open } = deps;
      return { ...deps, openLog: (directory, options) => openLog(withPlainReadErrors(directory), options) };
    },
  },
  {
    name: 'scrub nothing',
    faults: ['bit rot'],
    nodes: 5,
    breaks: ['I11'],
    tamper: (options) => {
      const { log } = options;
      log.scrub = (from) => Promise.resolve(from < log.sealedEnd ? log.sealedEnd : undefined);
      return options;
    },
  },
  {
    name: 'take no answer for a yes',
    faults: ['false disk'],
    falsifications: ['old copy unheard'],
    breaks: ['I1', 'I2', 'I6', 'I9', 'I16', 'fatal'],
    tamperMember: (deps, { machines }) => {
      const { joinTransport } = deps;
      const vouch = joinTransport.vouch.bind(joinTransport);
      joinTransport.vouch = async (...request) => {
        try {
          return await vouch(...request);
        } catch (error) {
          const silent = machines.find(({ address }) => address === request[0]);
          if (!(error instanceof UnavailableError) || silent === undefined) throw error;
          return { uuid: silent.uuid, id: silent.memberId, term: 0, last: { term: 0, index: 0 } };
        }
      };
      return deps;
    },
  },
  {
    name: 'keep notes by UUID alone',
    faults: ['false disk', 'kill'],
    falsifications: ['old copy'],
    breaks: ['I16'],
    tamper: (options) => {
      const { notes } = options;
      const [of, add] = [notes.of.bind(notes), notes.add.bind(notes)];
      notes.of = (uuid) => of(uuid, 0);
      notes.add = (uuid, _, shown) => add(uuid, 0, shown);
      return options;
    },
  },
  {
    name: 'do not ask whether a namesake lives',
    faults: ['false disk', 'partition', 'delay'],
    falsifications: ['twin'],
    breaks: ['I2', 'I6', 'I9', 'I10', 'fatal'],
    tamperMember: (deps) => {
      const { joinTransport } = deps;
      const ask = joinTransport.ask.bind(joinTransport);
      joinTransport.ask = async (...request) => {
        const answer = await ask(...request);
        if (answer.kind !== 'retry') return answer;
        const { aliveAt: _, ...rest } = answer;
        return rest;
      };
      return withVouch(deps, async (vouch) => {
        const answer = await vouch;
        if (answer === 'unsupported') return answer;
        const { aliveAt: _, ...rest } = answer;
        return rest;
      });
    },
  },
  {
    name: 'begin a cluster without listening',
    faults: ['loss', 'delay'],
    losesMajority: true,
    breaks: ['I17'],
    tamperMember: (deps) => {
      const { joinTransport, gossip } = deps;
      const [ask, members] = [joinTransport.ask.bind(joinTransport), gossip.members.bind(gossip)];
      joinTransport.ask = async (...request) => {
        const answer = await ask(...request);
        if (answer.kind === 'retry') throw new UnavailableError(answer.reason);
        return answer;
      };
      gossip.members = () => members().map((member) => ({ ...member, tags: new Map() }));
      return deps;
    },
  },
  {
    name: 'retain by the own wall clock',
    faults: ['clock jump', 'kill'],
    breaks: ['I1'],
    tamper: (options) => {
      const { log, clock } = options;
      const retain = log.retain.bind(log);
      log.retain = ({ maybeOldUpTo: _, ...policy }) => retain({ ...policy, now: clock.wallClockMs() });
      return options;
    },
  },
  {
    name: 'vote below the term that was seen',
    faults: ['false disk'],
    falsifications: ['loss at a vote'],
    nodes: 5,
    breaks: ['I9'],
    prepare: delayVotes,
    tamper: nearlyEqualTimeouts,
    tamperMember: (deps) =>
      withVouch(deps, async (vouch) => {
        const answer = await vouch;
        if (answer === 'unsupported') return answer;
        const { note } = answer;
        return { ...answer, term: 0, ...(note && { note: { ...note, term: 0 } }) };
      }),
  },
  {
    name: 'a watermark by commit alone',
    faults: ['hung disk', 'kill'],
    breaks: ['I6', 'I7'],
    tamperNode: (node) => {
      const own = Object.getOwnPropertyDescriptor(RaftNode.prototype, 'highWatermark');
      let acknowledged = toOffset(0);
      onReceipt(node, (receipt) => {
        acknowledged = toOffset(Math.max(acknowledged, receipt.baseOffset + receipt.recordCount));
        return receipt;
      });
      const get = (): Offset => toOffset(Math.max(Number(own?.get?.call(node)), acknowledged));
      return Object.defineProperty(node, 'highWatermark', { get });
    },
  },
  {
    name: '`synced_on` names the leader itself',
    faults: ['hung disk'],
    breaks: ['I18'],
    tamperNode: (node) => {
      onReceipt(node, (receipt) => {
        const { configuration, status } = node.leadership;
        const self = configuration.members.find(({ id }) => id === status.id)?.name ?? '';
        return { ...receipt, syncedOn: [...new Set([self, ...receipt.syncedOn])] };
      });
      return node;
    },
  },
];

/** Changes what the node answers as the leader to its own appends. */
function onReceipt(node: RaftNode, change: (receipt: AppendReceipt) => AppendReceipt): void {
  const propose = node.propose.bind(node);
  node.propose = async (...append) => {
    const { isLeader } = node.leadership;
    const receipt = await propose(...append);
    return isLeader ? change(receipt) : receipt;
  };
}

/** Returns the directory with reads that fail as any other operation does. */
function withPlainReadErrors(directory: Directory): Directory {
  const plain = (error: unknown): never => {
    throw error instanceof UnreadableError ? error.cause : error;
  };
  const plainReads = (file: File): File => {
    const read = file.read.bind(file);
    file.read = (...range) => read(...range).catch(plain);
    return file;
  };
  const [open, create] = [directory.open.bind(directory), directory.create.bind(directory)];
  directory.open = async (name) => plainReads(await open(name));
  directory.create = async (name) => plainReads(await create(name));
  return directory;
}

/** Half of the requests for votes arrive late, by another connection. */
function delayVotes({ world, network, machines }: Run): void {
  const chance = world.chance.fork('late votes');
  network.filter = (received, _from, to) => {
    if (received.type !== 'MsgVote' || chance.percent(50)) return received;
    world.schedule(chance.between(100, 1_000), `late MsgVote at ${to}`, () => {
      const machine = machines.find(({ name }) => name === to);
      const listener = machine && network.listener(machine.address);
      listener?.process.enter('late MsgVote', () => listener.receiver?.receive(received));
    });
    return undefined;
  };
}

/** Nearly equal timeouts cause elections with several candidates. */
function nearlyEqualTimeouts(options: RaftNodeOptions): RaftNodeOptions {
  return { ...options, random: (n) => options.random(n === options.timing.electionTicks ? 2 : n) };
}

function withVouch(
  deps: MemberDependencies,
  change: (vouch: Promise<VouchAnswer>) => Promise<VouchAnswer>,
): MemberDependencies {
  const { joinTransport } = deps;
  const vouch = joinTransport.vouch.bind(joinTransport);
  joinTransport.vouch = (...request) => change(vouch(...request));
  return deps;
}

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
