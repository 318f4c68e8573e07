import { describe, expect, it } from '@jest/globals';
import { check, type Rule } from './checker.js';
import type { AppendEvent, HistoryEvent, ReadEvent } from './history.js';
import { Random } from './random.js';
import { nodes, syntheticHistory, valuesPerRead } from './synthetic-history.js';
import { makeValue } from './value.js';

const seeds = [1, 2, 3, 4, 5];

type Tamper = (events: HistoryEvent[], random: Random) => HistoryEvent[];

const isAcknowledged = (event: HistoryEvent): event is AppendEvent & { offset: number } =>
  event.kind === 'append' && event.outcome === 'acknowledged';
const isRead =
  (how: ReadEvent['how']) =>
  (event: HistoryEvent): event is ReadEvent =>
    event.kind === 'read' && event.how === how;
const withValues = (how: ReadEvent['how'], events: HistoryEvent[]): ReadEvent[] =>
  events.filter(isRead(how)).filter(({ values }) => values.length > 1);
const isFinal = isRead('final');

function replace(events: HistoryEvent[], old: HistoryEvent, by: Partial<HistoryEvent>): HistoryEvent[] {
  return events.map((event) => (event === old ? ({ ...old, ...by } as HistoryEvent) : event));
}

/** The final logs of all nodes are changed alike, and so are their ends. */
function changeFinals(events: HistoryEvent[], change: (log: string[]) => void): HistoryEvent[] {
  const log = events.filter(isFinal).flatMap(({ node, values }) => (node === nodes[0] ? values : []));
  change(log);
  const times = { invokedMs: 1e6, endedMs: 1e6 + 1 };
  const finals = nodes.map((node): ReadEvent => {
    return { kind: 'read', how: 'final', node, ...times, offset: 0, values: log, highWatermark: log.length };
  });
  return [...events.filter((event) => !isFinal(event)), ...finals];
}

const onlyWrites = (events: HistoryEvent[]): HistoryEvent[] =>
  events.filter((event) => event.kind !== 'read' || event.how === 'final');

/** The last acknowledged record: nothing after it moves when it is removed. */
function lastAcknowledged(events: HistoryEvent[]): AppendEvent & { offset: number } {
  const acknowledged = events.filter(isAcknowledged);
  return acknowledged.reduce((last, event) => (event.offset > last.offset ? event : last));
}

/** The offset after the first acknowledged record. */
const lateOf = (events: HistoryEvent[]): number =>
  Math.min(...events.filter(isAcknowledged).map(({ offset }) => offset)) + 1;

const tampered: readonly (readonly [what: string, rule: Rule, tamper: Tamper])[] = [
  [
    'the end of the log, with acknowledged records, is lost on every node',
    'I1 an acknowledged record is lost',
    (events) => changeFinals(events, (log) => log.splice(lastAcknowledged(events).offset)),
  ],
  [
    'the end of the log is lost on one node',
    'the logs of the nodes do not end alike',
    (events) => {
      const last = events.filter(isFinal).at(-1)!;
      return replace(events, last, { values: last.values.slice(0, -1), highWatermark: last.highWatermark - 1 });
    },
  ],
  [
    'an acknowledged record is lost from the middle',
    'I2 an offset has two values',
    (events, random) => {
      const { offset } = random.pick(events.filter(isAcknowledged));
      return changeFinals(onlyWrites(events), (log) => log.splice(offset, 1));
    },
  ],
  [
    'an acknowledged record is replaced by another',
    'I2 an offset has two values',
    (events, random) => {
      const { offset } = random.pick(events.filter(isAcknowledged));
      return changeFinals(onlyWrites(events), (log) => (log[offset] = makeValue('another')));
    },
  ],
  [
    'two records change places on one node',
    'I2 an offset has two values',
    (events, random) => {
      const read = random.pick(withValues('final', events));
      const [first, second, ...others] = read.values;
      return replace(events, read, { values: [second, first, ...others] });
    },
  ],
  [
    'a node answered a read with another value than the others, once',
    'I2 an offset has two values',
    (events, random) => {
      const read = random.pick(withValues('local', events));
      return replace(events, read, { values: [makeValue('another'), ...read.values.slice(1)] });
    },
  ],
  [
    'an append was acknowledged at the offset of another',
    'I2 an offset has two values',
    (events, random) => {
      const [one, other] = random.shuffled(events.filter(isAcknowledged));
      return replace(events, one, { offset: other.offset });
    },
  ],
  [
    'a record is in the log twice',
    'I2 a record is in the log twice',
    (events, random) => {
      const { value } = random.pick(events.filter(isAcknowledged));
      return changeFinals(events, (log) => log.push(value));
    },
  ],
  [
    'a record of unknown outcome is in the log twice',
    'I2 a record is in the log twice',
    (events, random) => {
      const unknown = events.filter((event) => event.kind === 'append' && event.outcome === 'unknown');
      const { value } = random.pick(unknown) as AppendEvent;
      return changeFinals(events, (log) => log.push(...(log.includes(value) ? [value] : [value, value])));
    },
  ],
  [
    'a refused record is in the log',
    'I3 a record is in the log though it was refused',
    (events, random) => {
      const refused = events.filter((event) => event.kind === 'append' && event.outcome === 'refused');
      return changeFinals(events, (log) => log.push((random.pick(refused) as AppendEvent).value));
    },
  ],
  [
    'an acknowledged append is said to have been refused',
    'I3 a record is in the log though it was refused',
    (events, random) => replace(events, random.pick(events.filter(isAcknowledged)), { outcome: 'refused' }),
  ],
  [
    'a record is in the log that nobody appended',
    'I3 a record is in the log that nobody appended',
    (events) => changeFinals(events, (log) => log.push(makeValue('a stranger'))),
  ],
  [
    'two appends that followed each other changed places everywhere',
    'I4 an append is out of order',
    (events, random) => {
      const acknowledged = events.filter(isAcknowledged);
      const one = random.pick(acknowledged.slice(0, -10));
      const other = acknowledged[acknowledged.indexOf(one) + 5];
      const swapped = replace(replace(onlyWrites(events), one, { offset: other.offset }), other, {
        offset: one.offset,
      });
      return changeFinals(swapped, (log) => ([log[one.offset], log[other.offset]] = [other.value, one.value]));
    },
  ],
  [
    'a record of unknown outcome is before one that was acknowledged before it was sent',
    'I4 an append is out of order',
    (events) => {
      const value = makeValue('late');
      const late: AppendEvent = {
        kind: 'append',
        node: 'n1',
        value,
        invokedMs: 2e3,
        endedMs: 2e3 + 1,
        outcome: 'unknown',
      };
      const first = events.filter(isAcknowledged)[0];
      const others = onlyWrites(events).filter((event) => event !== first);
      const moved = { ...first, invokedMs: 3e3, endedMs: 3e3 + 1 };
      return changeFinals([...others, late, moved], (log) => {
        moved.offset = log.length;
        log[first.offset] = value;
        log.push(first.value);
      });
    },
  ],
  [
    'a record is not at the offset that its append asked for',
    'I4 a record is not at its expected offset',
    (events, random) => {
      const append = random.pick(events.filter(isAcknowledged));
      return replace(events, append, { expectedOffset: append.offset + 1 });
    },
  ],
  [
    'a tail skips a record',
    'I5 a reader skips an offset or goes back',
    (events, random) => {
      const read = random.pick(withValues('tail', events).filter(({ offset }) => offset > 0));
      return replace(events, read, { offset: read.offset + 1, values: read.values.slice(1) });
    },
  ],
  [
    'a tail goes back',
    'I5 a reader skips an offset or goes back',
    (events) => {
      const reads = withValues('tail', events).filter(({ node }) => node === 'n1');
      return [...events, reads[0]];
    },
  ],
  [
    'the final log of a node has a hole',
    'I5 a reader skips an offset or goes back',
    (events, random) => {
      const read = random.pick(
        events.filter(isFinal).filter(({ offset, values }) => offset > 0 && values.length === valuesPerRead),
      );
      return events.filter((event) => event !== read);
    },
  ],
  [
    'the log of a node begins late',
    'I1 an acknowledged record is lost',
    (events) => {
      const first = events.filter(isFinal)[0];
      const late = lateOf(events);
      return replace(events, first, { offset: late, values: first.values.slice(late) });
    },
  ],
  [
    'a record that nobody acknowledged was read, and vanished',
    'I6 a record that was read is not there any more',
    (events) => {
      const value = makeValue('seen');
      const times = { invokedMs: 2e3, endedMs: 2e3 + 1 };
      const offset = events.filter(isFinal)[0].highWatermark;
      const values = [value];
      return [
        ...events,
        { kind: 'append', node: 'n1', value, ...times, outcome: 'unknown' },
        { kind: 'read', node: 'n1', how: 'local', ...times, offset, values, highWatermark: offset + 1 },
      ];
    },
  ],
  [
    'a read returns a record after its own watermark',
    'I6 a record that was read is not there any more',
    (events, random) => {
      const read = random.pick(withValues('local', events));
      return replace(events, read, { highWatermark: read.offset });
    },
  ],
  [
    'a linearizable read does not see an earlier acknowledgement',
    'I8 a linearizable read is stale',
    (events) => {
      const { offset, endedMs, node } = lastAcknowledged(events);
      const times = { invokedMs: endedMs + 1, endedMs: endedMs + 2 };
      return [
        ...events,
        { kind: 'read', how: 'linearizable', node, ...times, offset, values: [], highWatermark: offset },
      ];
    },
  ],
  [
    'the watermark of linearizable reads goes back',
    'I8 a linearizable read is stale',
    (events) => {
      const last = events.filter(isRead('linearizable')).at(-1)!;
      return replace(events, last, { highWatermark: 0, offset: 0 });
    },
  ],
  [
    'two nodes lead in one term',
    'I9 a term has two leaders',
    (events) => [...events, { kind: 'leader', node: 'n1', term: 2 }],
  ],
  [
    'a bit of a value flips in one answer',
    'I11 a corrupt value is served',
    (events, random) => {
      const read = random.pick(withValues('local', events));
      const [first, ...others] = read.values;
      return replace(events, read, { values: [`${first.slice(0, 3)}#${first.slice(4)}`, ...others] });
    },
  ],
  [
    'a value comes without its end',
    'I11 a corrupt value is served',
    (events, random) => {
      const read = random.pick(withValues('final', events));
      return replace(events, read, { values: [...read.values.slice(0, -1), read.values.at(-1)!.slice(0, -1)] });
    },
  ],
  [
    'a node was not read at the end',
    'the logs of the nodes do not end alike',
    (events) => events.filter((event) => !(isFinal(event) && event.node === 'n3')),
  ],
];

describe('the checker of torture', () => {
  it.each(seeds)('finds nothing in a history without violations, of seed %i', (seed) => {
    const events = syntheticHistory(seed);
    expect(events.filter(isAcknowledged).length).toBeGreaterThan(100);
    expect(check(events, nodes)).toEqual([]);
    expect(syntheticHistory(seed)).toEqual(events);
  });

  it.each(tampered)('finds it when %s', (_, rule, tamper) => {
    for (const seed of seeds) {
      const rules = check(tamper(syntheticHistory(seed), new Random(seed)), nodes).map((violation) => violation.rule);
      expect([`seed ${seed}`, ...rules]).toContain(rule);
    }
  });
});
