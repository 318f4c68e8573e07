import type { AppendEvent, HistoryEvent, LeaderEvent, ReadEvent } from './history.js';
import { isWhole, nameOf } from './value.js';

/** What a log must never do; the numbers are those of docs/guarantees.md. */
export type Rule =
  | 'I1 an acknowledged record is lost'
  | 'I2 an offset has two values'
  | 'I2 a record is in the log twice'
  | 'I3 a record is in the log though it was refused'
  | 'I3 a record is in the log that nobody appended'
  | 'I4 an append is out of order'
  | 'I4 a record is not at its expected offset'
  | 'I5 a reader skips an offset or goes back'
  | 'I6 a record that was read is not there any more'
  | 'I8 a linearizable read is stale'
  | 'I9 a term has two leaders'
  | 'I11 a corrupt value is served'
  | 'the logs of the nodes do not end alike';

export interface Violation {
  readonly rule: Rule;
  readonly text: string;
}

/** An operation at the end of the log. What an earlier operation saw, a later one must not be before. */
interface EndOperation {
  readonly rule: Rule;
  readonly text: string;
  readonly invokedMs: number;
  /** Infinity: it may still take effect, at any time. */
  readonly endedMs: number;
  /** The end of the log for this operation must not be below what was seen before; undefined: it may. */
  readonly at?: number;
  /** How far the log certainly reaches once the operation has ended. */
  readonly seen: number;
}

/** What the final reads of a node returned. */
interface FinalLog {
  readonly first: number;
  readonly next: number;
  readonly highWatermark: number;
}

const noLog: FinalLog = { first: 0, next: 0, highWatermark: -1 };

/** After so many of one rule, more say nothing new. */
const violationsPerRule = 5;

/**
 * Checks a history of what clients were told against what a replicated log promises. It knows nothing of how the log is
 * made. `nodes` are those whose logs were read back at the end; none: the run was cut short.
 */
export function check(events: Iterable<HistoryEvent>, nodes: readonly string[]): Violation[] {
  const checker = new Checker();
  for (const event of events) {
    if (event.kind === 'append') checker.append(event);
    else if (event.kind === 'read') checker.read(event);
    else if (event.kind === 'leader') checker.leader(event);
  }
  checker.end(nodes);
  return checker.violations;
}

class Checker {
  readonly violations: Violation[] = [];
  readonly #counts = new Map<Rule, number>();
  /** By offset: the first value that anybody was told, and who told it. */
  readonly #values: string[] = [];
  readonly #sources: string[] = [];
  readonly #offsets = new Map<string, number>();
  readonly #appends = new Map<string, AppendEvent>();
  readonly #operations: EndOperation[] = [];
  readonly #streams = new Map<string, number>();
  readonly #leaders = new Map<number, string>();
  readonly #finals = new Map<string, FinalLog>();

  append(event: AppendEvent): void {
    const { value, outcome, offset, expectedOffset, node } = event;
    this.#appends.set(value, event);
    if (outcome !== 'acknowledged' || offset === undefined) return;
    this.#observe(offset, value, `the acknowledgement of ${node}`);
    if (expectedOffset !== undefined && offset !== expectedOffset)
      this.#violate(
        'I4 a record is not at its expected offset',
        `${nameOf(value)} was to be at ${expectedOffset} and is at ${offset}`,
      );
  }

  read(event: ReadEvent): void {
    const { node, how, offset, values, highWatermark, invokedMs, endedMs } = event;
    values.forEach((value, i) => this.#observe(offset + i, value, `a ${how} read at ${node}`));
    const end = offset + values.length;
    if (how === 'final') this.#final(event);
    if (how === 'tail') this.#tail(event);
    if (end > highWatermark)
      this.#violate('I6 a record that was read is not there any more', `${node} told ${end - 1} of ${highWatermark}`);
    this.#operations.push({
      rule: 'I8 a linearizable read is stale',
      text: `a ${how} read at ${node} saw the log end at ${highWatermark}`,
      invokedMs,
      endedMs,
      ...(how === 'linearizable' && { at: highWatermark }),
      seen: highWatermark,
    });
  }

  leader({ node, term }: LeaderEvent): void {
    const other = this.#leaders.get(term) ?? node;
    this.#leaders.set(term, other);
    if (other !== node) this.#violate('I9 a term has two leaders', `${other} and ${node} led in term ${term}`);
  }

  end(nodes: readonly string[]): void {
    if (nodes.length > 0) this.#checkFinals(nodes);
    this.#checkOrigins();
    for (const event of this.#appends.values()) this.#place(event);
    this.#checkOrder();
  }

  #observe(offset: number, value: string, source: string): void {
    const known = this.#values[offset];
    if (known === value) return;
    if (!isWhole(value))
      this.#violate('I11 a corrupt value is served', `${nameOf(value)} at ${offset}, told by ${source}`);
    if (known !== undefined) {
      const text = `${offset} is ${nameOf(known)} by ${this.#sources[offset]}, and ${nameOf(value)} by ${source}`;
      this.#violate('I2 an offset has two values', text);
      return;
    }
    const elsewhere = this.#offsets.get(value);
    if (elsewhere !== undefined)
      this.#violate('I2 a record is in the log twice', `${nameOf(value)} is at ${elsewhere} and at ${offset}`);
    this.#values[offset] = value;
    this.#sources[offset] = source;
    this.#offsets.set(value, offset);
  }

  #tail({ stream = '', node, offset, values }: ReadEvent): void {
    const next = this.#streams.get(stream) ?? offset;
    if (offset !== next)
      this.#violate('I5 a reader skips an offset or goes back', `a tail at ${node} goes on at ${offset}, not ${next}`);
    this.#streams.set(stream, offset + values.length);
  }

  #final({ node, offset, values, highWatermark }: ReadEvent): void {
    const { first, next } = this.#finals.get(node) ?? { first: offset, next: offset };
    if (offset !== next)
      this.#violate('I5 a reader skips an offset or goes back', `${node} goes on at ${offset}, not ${next}`);
    this.#finals.set(node, { first, next: offset + values.length, highWatermark });
  }

  /** Every node has the whole log, and nothing that was told lies outside of it. */
  #checkFinals(nodes: readonly string[]): void {
    const ends = nodes.map((node) => this.#finals.get(node) ?? noLog);
    const text = nodes.map((node, i) => `${node}: ${ends[i].next} of ${ends[i].highWatermark}`).join(', ');
    const end = Math.max(0, ...ends.map(({ next }) => next));
    if (ends.some(({ next, highWatermark }) => next !== end || highWatermark !== end))
      this.#violate('the logs of the nodes do not end alike', text);
    nodes.forEach((node, i) => {
      const { first, next } = ends[i];
      for (let offset = 0; offset < this.#values.length; offset += 1)
        if (offset < first || offset >= next) this.#lost(offset, node, `from ${first} to ${next}`);
    });
    for (let offset = 0; offset < this.#values.length; offset += 1)
      if (this.#values[offset] === undefined)
        this.#violate('I5 a reader skips an offset or goes back', `nothing was ever read at ${offset}`);
  }

  #lost(offset: number, node: string, range: string): void {
    const value = this.#values[offset];
    if (value === undefined) return;
    const isAcknowledged = this.#appends.get(value)?.outcome === 'acknowledged';
    const rule = isAcknowledged
      ? 'I1 an acknowledged record is lost'
      : 'I6 a record that was read is not there any more';
    this.#violate(
      rule,
      `${nameOf(value)} was at ${offset} by ${this.#sources[offset]}; the log of ${node} is ${range}`,
    );
  }

  #checkOrigins(): void {
    for (const [value, offset] of this.#offsets) {
      const outcome = this.#appends.get(value)?.outcome;
      if (outcome === undefined)
        this.#violate('I3 a record is in the log that nobody appended', `${nameOf(value)} is at ${offset}`);
      if (outcome === 'refused')
        this.#violate('I3 a record is in the log though it was refused', `${nameOf(value)} is at ${offset}`);
    }
  }

  /** Makes an operation of an append that is in the log, whatever its client was told. */
  #place({ value, invokedMs, endedMs, outcome, node }: AppendEvent): void {
    const at = this.#offsets.get(value);
    if (at === undefined) return;
    this.#operations.push({
      rule: 'I4 an append is out of order',
      text: `${nameOf(value)}, appended at ${node}, is at ${at}`,
      invokedMs,
      endedMs: outcome === 'acknowledged' ? endedMs : Infinity,
      at,
      seen: at + 1,
    });
  }

  /** What ended before another operation began must be before it in the log. */
  #checkOrder(): void {
    const ended = [...this.#operations].sort((a, b) => a.endedMs - b.endedMs);
    let next = 0;
    let furthest: EndOperation | undefined;
    for (const operation of this.#operations.sort((a, b) => a.invokedMs - b.invokedMs)) {
      for (; next < ended.length && ended[next].endedMs < operation.invokedMs; next += 1)
        if (ended[next].seen > (furthest?.seen ?? 0)) furthest = ended[next];
      if (furthest !== undefined && operation.at !== undefined && operation.at < furthest.seen)
        this.#violate(operation.rule, `${operation.text}; before it began, ${furthest.text}`);
    }
  }

  #violate(rule: Rule, text: string): void {
    const count = (this.#counts.get(rule) ?? 0) + 1;
    this.#counts.set(rule, count);
    if (count <= violationsPerRule) this.violations.push({ rule, text });
  }
}
