import type { Message, MessageType } from '../../domain/raft/message.js';
import type { RawNode } from '../../domain/raft/raw-node.js';
import { votersOf } from '../configuration/configuration.js';
import type { ConfigurationFile } from '../configuration/configuration-file.js';
import type { Clock } from '../ports/clock.js';
import type { Logger } from '../ports/logger.js';
import type { PeerMessage } from '../ports/peer-transport.js';
import type { PassedNote } from '../ports/vouching.js';
import type { PeerNotes } from '../vouching/peer-notes.js';
import type { ClusterTime } from '../time/cluster-time.js';
import { LogThrottle } from '../waiting/log-throttle.js';
import type { FollowerDiskGuard } from './follower-disk-guard.js';
import type { FullDisks } from './full-disks.js';

/** Their term is one that the sender has reached; a pre-vote names one that it may never reach. */
const notedTypes: ReadonlySet<MessageType> = new Set(['MsgHeartbeat', 'MsgHeartbeatResp', 'MsgVote', 'MsgVoteResp']);

export interface NoteExchangeOptions {
  readonly core: RawNode;
  readonly notes: PeerNotes;
  /** The incarnation of this start. */
  readonly incarnation: number;
  readonly configuration: Pick<ConfigurationFile, 'current' | 'stored'>;
  readonly id: number;
  readonly time: ClusterTime;
  readonly diskGuard: Pick<FollowerDiskGuard, 'isFull'>;
  readonly fullDisks: FullDisks;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Keeps the notes about the peers, their clocks and their full disks up to date, from the messages that pass anyway:
 * heartbeats carry what the leader has seen of every voter, so that each of them can vouch for each other one and knows
 * what time it is there.
 */
export class NoteExchange {
  readonly #throttle: LogThrottle;

  constructor(private readonly options: NoteExchangeOptions) {
    this.#throttle = new LogThrottle(options.clock);
  }

  /** Returns the message with what its receiver should note. */
  addTo(message: Message): PeerMessage {
    if (!notedTypes.has(message.type)) return message;
    const notes = message.type === 'MsgHeartbeat' ? this.#ofVoters() : [this.#ofSelf(message.type)];
    return { ...message, notes: notes.map((note) => this.#withClock(note)) };
  }

  /** Notes what a message shows. Returns false for a message of an earlier run of its sender, which must be dropped. */
  admits({ type, from, term, notes: passed = [] }: PeerMessage): boolean {
    if (!notedTypes.has(type)) return true;
    const { notes, id: self, logger, time, fullDisks } = this.options;
    const uuid = this.#uuidOf(from);
    const own = passed.find(({ id }) => id === from);
    const known = notes.of(uuid, from)?.incarnation ?? 0;
    if (own !== undefined && own.incarnation < known) {
      if (this.#throttle.isDue())
        logger.warn(
          'previous_run_message',
          { peerId: from, incarnation: own.incarnation, newest: known },
          'dropped a message of an earlier run of a member; is a copy of its data directory running?',
        );
      return false;
    }
    if (uuid !== '') notes.add(uuid, from, { term });
    if (type === 'MsgHeartbeatResp') fullDisks.heard(from, term, own?.isDiskFull === true);
    for (const note of passed) {
      const owner = this.#uuidOf(note.id);
      if (owner !== '' && note.id !== self) notes.add(owner, note.id, note);
      if (note.clockMs !== undefined && note.id !== self) time.heard(note.id, note.clockMs, note.id === from);
    }
    return true;
  }

  #withClock(note: PassedNote): PassedNote {
    const clockMs = this.options.time.toForward(note.id);
    return clockMs === undefined ? note : { ...note, clockMs };
  }

  #ofSelf(type: MessageType): PassedNote {
    const { core, id, incarnation, diskGuard } = this.options;
    const note = { id, incarnation, term: core.basicStatus().hardState.term, durable: { term: 0, index: 0 } };
    return type === 'MsgHeartbeatResp' && diskGuard.isFull ? { ...note, isDiskFull: true } : note;
  }

  /** What a follower acknowledged, and what this leader has synced itself, is on disk there. */
  #ofVoters(): PassedNote[] {
    const { core, notes, configuration } = this.options;
    const self = this.#ofSelf('MsgHeartbeat');
    notes.add(this.#uuidOf(self.id), self.id, self);
    core.visitProgress((member, { match }) => {
      // The core counts this node's log up to its end when it is elected.
      const index = member === self.id ? Math.min(match, core.durableIndex) : match;
      const [uuid, term] = [this.#uuidOf(member), index === 0 ? undefined : core.termAt(index)];
      if (uuid !== '' && term !== undefined) notes.add(uuid, member, { durable: { term, index } });
    });
    return votersOf(configuration.current).flatMap((id) => {
      const note = notes.of(this.#uuidOf(id), id);
      return note === undefined ? [] : [{ id, ...note }];
    });
  }

  /** Returns an empty text for a member that is not known. */
  #uuidOf(id: number): string {
    const { current, stored } = this.options.configuration;
    const member = current.members.find((each) => each.id === id) ?? stored?.contacts.find((each) => each.id === id);
    return member?.uuid ?? '';
  }
}
