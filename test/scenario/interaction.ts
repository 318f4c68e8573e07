import type { ConfChange, ConfChangeTransition, ConfChangeV2 } from '../../src/domain/raft/conf-change.js';
import { confChange, confChangeV2 } from '../../src/domain/raft/conf-change.js';
import { message } from '../../src/domain/raft/message.js';
import { describeProgressMap } from '../../src/domain/raft/progress-tracker.js';
import { readNodeSetup } from './add-nodes.js';
import type { Recipient } from './cluster.js';
import { Cluster } from './cluster.js';
import { CommandError, expectedError } from './command-error.js';
import { parseConfChanges } from './conf-changes.js';
import { describeEntries, describeMessage } from './describe.js';
import type { Directive } from './grammar.js';
import { parseBoolean, parseNumber, plainNumbers, ScenarioError, valueOf } from './grammar.js';
import { levelNames, Output, parseLevel } from './output.js';
import type { ScenarioNode } from './scenario-node.js';

type Command = (directive: Directive) => void;

const transitions = new Map<string, ConfChangeTransition>([
  ['auto', 'auto'],
  ['implicit', 'joint-implicit'],
  ['explicit', 'joint-explicit'],
]);

/** Plays scenarios of kind `interaction`: each command drives a part of one cluster and prints the effects. */
export class InteractionScenario {
  readonly #output = new Output();
  readonly #cluster = new Cluster(this.#output);
  readonly #commands: ReadonlyMap<string, Command> = new Map<string, Command>([
    ['_breakpoint', () => {}],
    ['add-nodes', (directive) => this.#addNodes(directive)],
    ['campaign', (directive) => this.#firstNode(directive).raft.campaign()],
    ['compact', (directive) => this.#compact(directive)],
    ['deliver-msgs', (directive) => this.#deliver(directive)],
    [
      'process-ready',
      (directive) => this.#process(directive, 'handling Ready', (node) => this.#cluster.processReady(node)),
    ],
    [
      'process-append-thread',
      (directive) =>
        this.#process(directive, 'processing append thread', (node) => this.#cluster.processAppendThread(node)),
    ],
    [
      'process-apply-thread',
      (directive) =>
        this.#process(directive, 'processing apply thread', (node) => this.#cluster.processApplyThread(node)),
    ],
    ['log-level', (directive) => this.#setLevel(argument(directive, 0))],
    ['raft-log', (directive) => this.#printLog(this.#firstNode(directive))],
    ['raft-state', () => this.#printStates()],
    [
      'set-randomized-election-timeout',
      (directive) =>
        this.#firstNode(directive).raft.setRandomizedElectionTimeout(parseNumber(valueOf(directive, 'timeout'))),
    ],
    ['stabilize', (directive) => this.#stabilize(directive)],
    ['status', (directive) => this.#printProgress(this.#firstNode(directive))],
    ['tick-election', (directive) => this.#tick(directive, ({ electionTick }) => electionTick)],
    ['tick-heartbeat', (directive) => this.#tick(directive, ({ heartbeatTick }) => heartbeatTick)],
    ['transfer-leadership', (directive) => this.#transferLeadership(directive)],
    ['forget-leader', (directive) => this.#firstNode(directive).raft.forgetLeader()],
    ['send-snapshot', (directive) => this.#sendSnapshot(directive)],
    ['propose', (directive) => this.#propose(directive)],
    ['propose-conf-change', (directive) => this.#proposeConfChange(directive)],
    ['report-unreachable', (directive) => this.#reportUnreachable(directive)],
  ]);

  play(directive: Directive): string {
    const command = this.#commands.get(directive.command);
    const error = expectedError(() => {
      if (command === undefined) throw new CommandError('unknown command');
      command(directive);
    });
    const printed = this.#output.take();
    // Errors are printed at every level.
    return `${printed}${error ?? ''}` || 'ok';
  }

  #addNodes(directive: Directive): void {
    const count = parseNumber(argument(directive, 0));
    const setup = readNodeSetup(directive, this.#output);
    for (let added = 0; added < count; added += 1) this.#cluster.add(setup);
  }

  #compact(directive: Directive): void {
    const node = this.#firstNode(directive);
    node.storage.compact(parseNumber(argument(directive, 1)));
    this.#printLog(node);
  }

  #deliver(directive: Directive): void {
    const recipients: Recipient[] = [];
    let type: string | undefined;
    for (const { key, values } of directive.args) {
      if (values.length === 0 && key !== 'drop') recipients.push({ id: parseNumber(key), drop: false });
      else if (key === 'type') type = valueOf(directive, key);
      else if (key === 'drop') recipients.push(...values.map((id) => ({ id: parseNumber(id), drop: true })));
    }
    for (const { id } of recipients.filter(({ drop }) => drop)) {
      if (recipients.some((each) => each.id === id && !each.drop)) {
        throw new ScenarioError(`can't both deliver and drop msgs to ${id}`);
      }
    }
    if (this.#cluster.deliver(recipients, type) === 0) this.#output.write('no messages\n');
  }

  /** Processes the work of one node, or of several, each with a title. */
  #process(directive: Directive, title: string, work: (node: ScenarioNode) => void): void {
    const nodes = this.#nodes(directive);
    for (const node of nodes) {
      if (nodes.length === 1) {
        work(node);
      } else {
        this.#output.write(`> ${node.id} ${title}\n`);
        this.#output.indented(() => work(node));
      }
    }
  }

  #setLevel(name: string): void {
    const level = parseLevel(name);
    if (level === undefined) throw new CommandError(`log levels must be either of [${levelNames}]`);
    this.#output.level = level;
  }

  #printLog({ storage }: ScenarioNode): void {
    const first = storage.firstIndex();
    const last = storage.lastIndex();
    if (last < first) this.#output.write(`log is empty: first index=${first}, last index=${last}`);
    else this.#output.write(describeEntries(storage.entries(first, last + 1, Number.MAX_SAFE_INTEGER)));
  }

  #printStates(): void {
    for (const { id, raft } of this.#cluster.nodes) {
      const { softState, hardState, config } = raft.status();
      const isVoter = config.voters.includes(id) || config.votersOutgoing.includes(id);
      const voter = isVoter ? '(Voter)' : '(Non-Voter)';
      this.#output.write(`${id}: ${softState.raftState} ${voter} Term:${hardState.term} Lead:${softState.lead}\n`);
    }
  }

  #printProgress(node: ScenarioNode): void {
    this.#output.write(describeProgressMap(node.raft.status().progress));
  }

  #stabilize(directive: Directive): void {
    const before = this.#output.level;
    try {
      if (directive.args.some(({ key }) => key === 'log-level')) this.#setLevel(valueOf(directive, 'log-level'));
      const nodes = this.#nodes(directive);
      this.#cluster.stabilize(nodes.length === 0 ? this.#cluster.nodes : nodes);
    } finally {
      this.#output.level = before;
    }
  }

  #tick(directive: Directive, ticks: (node: ScenarioNode) => number): void {
    const node = this.#firstNode(directive);
    for (let left = ticks(node); left > 0; left -= 1) node.raft.tick();
  }

  #transferLeadership(directive: Directive): void {
    const from = this.#cluster.node(parseNumber(valueOf(directive, 'from')));
    const to = this.#cluster.node(parseNumber(valueOf(directive, 'to')));
    from.raft.transferLeader(to.id);
  }

  #sendSnapshot(directive: Directive): void {
    const [from, to] = this.#pair(directive, 'sender, and receiver');
    const { term } = from.raft.basicStatus().hardState;
    const snapshot = from.storage.snapshot();
    const sent = message({ type: 'MsgSnap', term, from: from.id, to: to.id, snapshot });
    this.#cluster.send(sent);
    this.#output.write(describeMessage(sent));
  }

  #propose(directive: Directive): void {
    if (directive.args.length !== 2) throw new ScenarioError('expected two arguments: a node and the data to propose');
    this.#firstNode(directive).raft.propose({ data: new TextEncoder().encode(argument(directive, 1)) });
  }

  #proposeConfChange(directive: Directive): void {
    this.#firstNode(directive).raft.proposeConfChange(readConfChange(directive));
  }

  #reportUnreachable(directive: Directive): void {
    const [on, unreachable] = this.#pair(directive, 'node on which to report, and reported node');
    on.raft.reportUnreachable(unreachable.id);
  }

  #nodes(directive: Directive): readonly ScenarioNode[] {
    return plainNumbers(directive).map((id) => this.#cluster.node(id));
  }

  #firstNode(directive: Directive): ScenarioNode {
    return this.#cluster.node(parseNumber(argument(directive, 0)));
  }

  #pair(directive: Directive, what: string): readonly [ScenarioNode, ScenarioNode] {
    const [first, second, ...rest] = this.#nodes(directive);
    if (first === undefined || second === undefined || rest.length > 0) {
      throw new CommandError(`must specify exactly two node indexes: ${what}`);
    }
    return [first, second];
  }
}

function argument(directive: Directive, index: number): string {
  const found = directive.args[index];
  if (found === undefined || found.values.length > 0) {
    throw new ScenarioError(`${directive.command}: expected argument ${index + 1} to have no value`);
  }
  return found.key;
}

function readConfChange(directive: Directive): ConfChange | ConfChangeV2 {
  let isV1 = false;
  let transition: ConfChangeTransition = 'auto';
  for (const { key, values } of directive.args.slice(1)) {
    for (const value of values) {
      if (key === 'v1') {
        isV1 = parseBoolean(value);
      } else if (key === 'transition') {
        const named = transitions.get(value);
        if (named === undefined) throw new CommandError(`unknown transition ${value}`);
        transition = named;
      } else {
        throw new CommandError(`unknown command ${key}`);
      }
    }
  }
  const changes = parseConfChanges(directive.input);
  if (!isV1) return confChangeV2({ transition, changes });
  const [change, ...rest] = changes;
  if (change === undefined || rest.length > 0 || transition !== 'auto') {
    throw new CommandError('v1 conf change can only have one operation and no transition');
  }
  return confChange(change.type, change.nodeId);
}
