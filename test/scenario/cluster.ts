import type { Message } from '../../src/domain/raft/message.js';
import { isLocalThread } from '../../src/domain/raft/message.js';
import { expectedError } from './command-error.js';
import { describeMessage, describeReady } from './describe.js';
import { ScenarioError } from './grammar.js';
import type { Output } from './output.js';
import type { NodeSetup } from './scenario-node.js';
import { ScenarioNode } from './scenario-node.js';

/** A node to which messages are delivered, or dropped. */
export interface Recipient {
  readonly id: number;
  readonly drop: boolean;
}

/** A whole cluster: nodes that act only on command, and the messages in flight. */
export class Cluster {
  readonly nodes: ScenarioNode[] = [];
  #messages: readonly Message[] = [];

  constructor(private readonly output: Output) {}

  node(id: number): ScenarioNode {
    const node = this.nodes[id - 1];
    if (node === undefined) throw new ScenarioError(`node ${id} does not exist`);
    return node;
  }

  /** Adds a node with the next ID, counted from 1. */
  add(setup: NodeSetup): void {
    this.nodes.push(new ScenarioNode(this.nodes.length + 1, setup));
  }

  send(message: Message): void {
    this.#messages = [...this.#messages, message];
  }

  /**
   * Delivers or drops the messages in flight to each recipient in turn, in the order sent, or only those of `type` if
   * given. Returns the number of messages.
   */
  deliver(recipients: readonly Recipient[], type?: string): number {
    let count = 0;
    for (const { id, drop } of recipients) {
      const messages = this.#messages.filter((message) => isFor(message, id, drop, type));
      this.#messages = this.#messages.filter((message) => !messages.includes(message));
      count += messages.length;
      for (const message of messages) {
        this.output.write(`${drop ? 'dropped: ' : ''}${describeMessage(message)}\n`);
        if (drop) continue;
        const error = expectedError(() => this.node(id).raft.step(message));
        if (error !== undefined) this.output.write(`${error}\n`);
      }
    }
    return count;
  }

  processReady(node: ScenarioNode): void {
    const ready = node.raft.ready();
    this.output.write(describeReady(ready));
    this.#messages = [...this.#messages, ...node.handle(ready)];
  }

  processAppendThread(node: ScenarioNode): void {
    this.#processThread(node.takeAppendWork(), 'append', (work) => node.doAppendWork(work));
  }

  processApplyThread(node: ScenarioNode): void {
    this.#processThread(node.takeApplyWork(), 'apply', (work) => node.doApplyWork(work));
  }

  /** Processes the nodes' work and messages until none is left. */
  stabilize(nodes: readonly ScenarioNode[]): void {
    let busy = true;
    const step = (title: string, work: () => void): void => {
      busy = true;
      this.output.write(`> ${title}\n`);
      this.output.indented(work);
    };
    const drain = (hasWork: () => boolean, process: () => void) => () => {
      while (hasWork()) process();
    };
    while (busy) {
      busy = false;
      for (const node of nodes) {
        if (node.raft.hasReady()) step(`${node.id} handling Ready`, () => this.processReady(node));
      }
      for (const { id } of nodes) {
        if (this.#messages.some((message) => message.to === id)) {
          step(`${id} receiving messages`, () => this.deliver([{ id, drop: false }]));
        }
      }
      for (const node of nodes) {
        if (!node.hasAppendWork) continue;
        step(
          `${node.id} processing append thread`,
          drain(
            () => node.hasAppendWork,
            () => this.processAppendThread(node),
          ),
        );
      }
      for (const node of nodes) {
        if (!node.hasApplyWork) continue;
        step(
          `${node.id} processing apply thread`,
          drain(
            () => node.hasApplyWork,
            () => this.processApplyThread(node),
          ),
        );
      }
    }
  }

  #processThread(message: Message | undefined, thread: 'append' | 'apply', work: (message: Message) => void): void {
    if (message === undefined) {
      this.output.write(`no ${thread} work to perform`);
      return;
    }
    this.output.write(`Processing:\n${describeMessage({ ...message, responses: [] })}\n`);
    work(message);
    this.output.write(`Responses:\n${message.responses.map((each) => `${describeMessage(each)}\n`).join('')}`);
    this.#messages = [...this.#messages, ...message.responses];
  }
}

/** Messages of a node to itself or its threads are local and never dropped. */
function isFor(message: Message, id: number, drop: boolean, type: string | undefined): boolean {
  const isLocal = message.from === message.to || isLocalThread(message.from) || isLocalThread(message.to);
  return message.to === id && !(drop && isLocal) && (type === undefined || message.type === type);
}
