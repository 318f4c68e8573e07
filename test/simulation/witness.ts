import type { Configuration } from '../../src/application/configuration/configuration.js';
import type { AppendReceipt } from '../../src/application/ports/consensus.js';
import type { Message } from '../../src/domain/raft/message.js';
import { describeEntry, recordKeys, sameEntry, type StoredEntry } from './stored-entries.js';
import { ProducerHistory } from './producer-history.js';
import type { StoreMirror } from './store-mirror.js';
import { InvariantError } from './world.js';

/** What the witness watches of a machine, across all lives of its disk. */
export interface Watched {
  readonly name: string;
  /** The state of the process that runs there now; undefined while none serves. */
  readonly highWatermark: number | undefined;
  readonly mirror: StoreMirror | undefined;
  /** The newest configuration of its node. */
  readonly configuration?: Configuration | undefined;
  /** Whether it is a replica, which commits nothing itself. */
  readonly isReplica?: boolean;
}

interface Seen {
  watermark: number;
  configuration: Configuration | undefined;
  mirror: StoreMirror | undefined;
  /** The last entry up to which the mirror was compared. */
  checkedIndex: number;
}

/** Sees everything at any time, and checks the invariants (docs/guarantees.md, I1 to I9, I13, I18, I19). */
export class Witness {
  /** By index, from 1: what was committed on any node. */
  readonly committed: StoredEntry[] = [];
  /** By offset: the record that was committed there. */
  readonly records: string[] = [];
  readonly #producers = new ProducerHistory();
  /** The entry up to which all are known and were checked for their producers. */
  #checkedEntries = 0;
  readonly #seen = new Map<string, Seen>();
  readonly #leaders = new Map<number, number>();
  #begunBy: string | undefined;
  readonly #votes = new Map<string, number>();
  /** By offset: acknowledged records that no node has shown yet. */
  readonly #acknowledged = new Map<number, string>();
  /** By index: the configuration of every node that has one of that index, as JSON. */
  readonly #configurations = new Map<number, string>();
  /** By index and term: the names of the nodes that have had the entry on disk. */
  readonly #syncedOn = new Map<string, Set<string>>();

  /** One past the last record that any node showed as committed. */
  get highWatermark(): number {
    return this.records.length;
  }

  /** The highest term that had a leader. */
  get leaderTerm(): number {
    return Math.max(0, ...this.#leaders.keys());
  }

  /** Called after every event. */
  look(machines: readonly Watched[]): void {
    for (const machine of machines) {
      const { highWatermark, mirror } = machine;
      if (highWatermark === undefined || mirror === undefined) continue;
      let seen = this.#seen.get(machine.name);
      if (seen === undefined)
        this.#seen.set(
          machine.name,
          (seen = { watermark: 0, configuration: undefined, mirror: undefined, checkedIndex: 0 }),
        );
      this.#compareConfiguration(machine, seen);
      if (seen.watermark === highWatermark && seen.mirror === mirror) continue;
      const isNewLife = seen.mirror !== mirror;
      // A starting process may know less for a while; it answers no call then (see `Shown`).
      if (highWatermark < seen.watermark && !isNewLife)
        throw new InvariantError(
          'I7',
          `the watermark of ${machine.name} went from ${seen.watermark} back to ${highWatermark}`,
        );
      if (isNewLife) seen.checkedIndex = 0;
      seen.mirror = mirror;
      seen.watermark = highWatermark;
      this.#compare(machine, mirror, seen);
    }
  }

  #compareConfiguration({ name, configuration }: Watched, seen: Seen): void {
    if (configuration === undefined || configuration === seen.configuration) return;
    seen.configuration = configuration;
    const { index, confState, members, lastId, settings } = configuration;
    if (index === 0) return;
    // A node that catches up counts itself among the learners before it has read that it is one.
    const { voters, votersOutgoing } = confState;
    const json = JSON.stringify({ voters, votersOutgoing, members, lastId, settings });
    const known = this.#configurations.get(index);
    if (known === undefined) this.#configurations.set(index, json);
    else if (known !== json)
      throw new InvariantError('I19', `as of entry ${index}, ${name} has the configuration ${json}, others ${known}`);
  }

  /** The disk of the machine is empty from here on: it is another node. */
  forget(name: string): void {
    this.#seen.delete(name);
  }

  /** Checks that only one cluster begins. */
  began(name: string): void {
    if (this.#begunBy !== undefined)
      throw new InvariantError('I17', `${name} begins a cluster, and ${this.#begunBy} has begun one before`);
    this.#begunBy = name;
  }

  /** Checks that each term has at most one leader, and that each node votes once. */
  sent(message: Message): void {
    const { type, term, from, to } = message;
    if (type === 'MsgApp' || type === 'MsgHeartbeat' || type === 'MsgSnap') {
      const known = this.#leaders.get(term);
      if (known === undefined) this.#leaders.set(term, from);
      else if (known !== from) throw new InvariantError('I9', `term ${term} has two leaders, ${known} and ${from}`);
    } else if (type === 'MsgVoteResp' && !message.reject) {
      const key = `${from}@${term}`;
      const known = this.#votes.get(key);
      if (known === undefined) this.#votes.set(key, to);
      else if (known !== to)
        throw new InvariantError('I9', `member ${from} voted in term ${term} for ${known} and for ${to}`);
    }
  }

  /** Called when entries from `from` on are about to be removed from the log of a machine. */
  cutting(name: string, from: number): void {
    const seen = this.#seen.get(name);
    if (seen !== undefined && from <= seen.checkedIndex)
      throw new InvariantError(
        'I6',
        `${name} cuts its log from entry ${from}, and showed ${seen.checkedIndex} as committed`,
      );
  }

  /** Called when the entries are on the disk of the node. */
  synced(name: string, entries: readonly StoredEntry[]): void {
    for (const { index, term } of entries) {
      const key = `${index}@${term}`;
      const names = this.#syncedOn.get(key) ?? new Set();
      this.#syncedOn.set(key, names.add(name));
    }
  }

  /** Checks an acknowledged append: its records are committed there, or will be, and on the disks that it names. */
  acknowledged({ baseOffset, index, term, syncedOn }: AppendReceipt, keys: readonly string[], by: string): void {
    for (const [i, key] of keys.entries()) {
      const offset = baseOffset + i;
      const found = this.records[offset] ?? this.#acknowledged.get(offset);
      if (found === undefined) this.#acknowledged.set(offset, key);
      else if (found !== key)
        throw new InvariantError('I1', `${by} acknowledged a record at offset ${offset}, but another record is there`);
    }
    const holders = this.#syncedOn.get(`${index}@${term}`);
    const wrong = syncedOn.filter((name) => holders?.has(name) !== true);
    if (holders === undefined || wrong.length > 0)
      throw new InvariantError(
        'I18',
        `${by} acknowledged entry ${index} of term ${term} as synced on ${syncedOn.join(' ')}; it was on the disks of ${[...(holders ?? [])].join(' ') || 'no node'}`,
      );
  }

  /** Checks that everything a machine shows as committed was committed there before, or directly follows it. */
  #compare(machine: Watched, mirror: StoreMirror, seen: Seen): void {
    const { name } = machine;
    let shown = mirror.startOffset;
    let last = Math.max(seen.checkedIndex, mirror.firstIndex - 1);
    const before = mirror.at(last);
    if (before !== undefined) shown = before.baseOffset + before.recordCount;
    for (let index = last + 1; index <= mirror.lastIndex; index++) {
      const entry = mirror.at(index);
      if (entry === undefined || entry.baseOffset + entry.recordCount > seen.watermark) break;
      if (entry.recordCount === 0) continue;
      for (let sure = last + 1; sure <= index; sure++) this.#commit(machine, mirror.at(sure));
      last = index;
      shown = entry.baseOffset + entry.recordCount;
    }
    seen.checkedIndex = Math.max(seen.checkedIndex, last);
    if (shown < seen.watermark)
      throw new InvariantError(
        'I6',
        `${name} shows offsets up to ${seen.watermark} as committed, and its log ends at ${shown} (entry ${last})`,
      );
  }

  #commit({ name, isReplica = false }: Watched, entry: StoredEntry | undefined): void {
    if (entry === undefined) return;
    const known = this.committed[entry.index];
    // Members that no longer store the preceding entry may have shown only the record.
    if (known === undefined && isReplica && this.committed.length <= entry.index)
      throw new InvariantError(
        'I6',
        `${name} is a replica and shows ${describeEntry(entry)}, which no member committed`,
      );
    if (known !== undefined) {
      if (sameEntry(known, entry)) return;
      throw new InvariantError(
        'I9',
        `${name} shows ${describeEntry(entry)} as committed, where ${describeEntry(known)} was committed before`,
      );
    }
    const previous = this.committed[entry.index - 1];
    if (previous !== undefined && previous.baseOffset + previous.recordCount !== entry.baseOffset)
      throw new InvariantError('I2', `${name} committed ${describeEntry(entry)} after ${describeEntry(previous)}`);
    this.committed[entry.index] = entry;
    for (let next = this.committed[this.#checkedEntries + 1]; next !== undefined;) {
      this.#producers.committed(next);
      this.#checkedEntries += 1;
      next = this.committed[this.#checkedEntries + 1];
    }
    if (entry.recordCount === 0) return;
    for (const [i, key] of recordKeys(entry.payload).entries()) {
      const offset = entry.baseOffset + i;
      const found = this.records[offset];
      if (found !== undefined && found !== key) throw new InvariantError('I2', `offset ${offset} has two records`);
      const acknowledged = this.#acknowledged.get(offset) ?? key;
      if (acknowledged !== key)
        throw new InvariantError(
          'I1',
          `${name} commits at offset ${offset} another record than was acknowledged there`,
        );
      this.#acknowledged.delete(offset);
      this.records[offset] = key;
    }
  }
}
