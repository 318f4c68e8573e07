import { toIndex } from '../../domain/log/offsets.js';
import type { Log } from '../../domain/log/log.js';
import type { ConfState } from '../../domain/raft/conf-state.js';
import { type Message, message } from '../../domain/raft/message.js';
import { CatchUp } from './catch-up.js';
import type { ConfigurationFile } from '../configuration/configuration-file.js';
import { encodeTransfer } from '../configuration/configuration-json.js';
import type { Logger } from '../ports/logger.js';
import type { PeerTransport } from '../ports/peer-transport.js';
import type { RaftLoop } from './raft-loop.js';

export interface CatchUpsOptions {
  readonly loop: RaftLoop;
  readonly transport: Pick<PeerTransport, 'send'>;
  readonly log: Log;
  readonly configuration: ConfigurationFile;
  readonly id: number;
  readonly logger: Logger;
}

/**
 * The catch-ups in progress from this node, as the leader: one for each follower that the core wants to send a snapshot
 * to.
 */
export class CatchUps {
  readonly #running = new Map<number, CatchUp>();

  constructor(private readonly options: CatchUpsOptions) {}

  start(to: number, term: number): void {
    const { loop, log, id, logger, transport } = this.options;
    const { core } = loop;
    this.#running.get(to)?.stop();
    let match = 0;
    core.visitProgress((member, progress) => {
      if (member === to) ({ match } = progress);
    });
    logger.info(
      'catch_up_started',
      { memberId: to, match, lastIndex: log.lastIndex },
      'sending stored segments to a follower',
    );
    const catchUp = new CatchUp({
      log,
      from: id,
      to,
      term,
      match,
      commit: () => core.basicStatus().hardState.commit,
      send: (sent) => transport.send([sent]),
      snapshot: () => this.#snapshot(to, term),
      onFailure: (error) => {
        logger.error('catch_up_failed', { error, memberId: to }, 'could not send stored segments to a follower');
        this.#running.delete(to);
        core.reportSnapshot(to, 'failure');
        loop.schedule();
      },
    });
    this.#running.set(to, catchUp);
  }

  /** Called after the core has handled a response of this term. */
  handleResponse(received: Message): void {
    const catchUp = this.#running.get(received.from);
    const { loop, logger } = this.options;
    if (catchUp === undefined || received.term !== loop.term) return;
    let goesOn = false;
    loop.core.visitProgress((id, { state }) => {
      if (id === received.from) goesOn = state === 'snapshot';
    });
    if (goesOn) {
      catchUp.handleResponse(received);
      return;
    }
    catchUp.stop();
    this.#running.delete(received.from);
    logger.info('catch_up_finished', { memberId: received.from, match: catchUp.match }, 'a follower caught up');
  }

  tick(): void {
    for (const each of this.#running.values()) each.tick();
  }

  stopAll(): void {
    for (const each of this.#running.values()) each.stop();
    this.#running.clear();
  }

  async #snapshot(to: number, term: number): Promise<Message> {
    const { log, configuration, id } = this.options;
    const { startIndex, startOffset: offset } = log;
    const index = startIndex - 1;
    const at = configuration.at(index);
    const data = encodeTransfer({ configuration: at, offset, contacts: configuration.current.members });
    const confState = withMember(at.confState, to);
    const metadata = { index, term: await log.termAt(toIndex(index)), confState };
    return message({ type: 'MsgSnap', from: id, to, term, snapshot: { data, metadata } });
  }
}

/**
 * Adds the member to the configuration of a snapshot, since a core accepts a snapshot only if its configuration names
 * that core. A node that joined after the log start is not named there: until it reads its admission in the log, it is
 * a learner only in its own view, which changes no quorum.
 */
function withMember(confState: ConfState, id: number): ConfState {
  const { voters, votersOutgoing, learners } = confState;
  const isMember = [...voters, ...votersOutgoing, ...learners].includes(id);
  return isMember ? confState : { ...confState, learners: [...learners, id].sort((a, b) => a - b) };
}
