import type { AppendEvent, HistoryEvent, ReadEvent } from './history.js';
import { Random } from './random.js';
import { makeValue } from './value.js';

/** The nodes of a synthetic history. */
export const nodes = ['n1', 'n2', 'n3'];

const appendsInAll = 300;
/** So many values a final read returns. */
export const valuesPerRead = 40;

/**
 * A history as a log without faults gives it, the same for the same seed: three producers whose appends overlap, some of
 * them refused or of unknown outcome, with reads of every kind.
 */
export function syntheticHistory(seed: number): HistoryEvent[] {
  const random = new Random(seed);
  const events: HistoryEvent[] = nodes.map((node, i) => ({ kind: 'leader', node, term: i + 1 }));
  const log: string[] = [];
  const tailed = new Map(nodes.map((node) => [node, 0]));
  let nowMs = 0;
  const read = (how: ReadEvent['how'], node: string, offset: number, values: readonly string[]): ReadEvent => {
    const [invokedMs, endedMs] = [nowMs + 0.1, nowMs + 0.2];
    return {
      kind: 'read',
      how,
      stream: `${how} at ${node}`,
      node,
      invokedMs,
      endedMs,
      offset,
      values,
      highWatermark: log.length,
    };
  };
  for (let i = 0; i < appendsInAll; i += 1) {
    nowMs += 1;
    const node = random.pick(nodes);
    events.push(synthesizeAppend(random, i, node, nowMs, log));
    if (random.percent(10)) events.push(read('linearizable', node, log.length, []));
    if (random.percent(10)) events.push(readSome(random, (offset, values) => read('local', node, offset, values), log));
    if (random.percent(20)) {
      const from = tailed.get(node) ?? 0;
      events.push(read('tail', node, from, log.slice(from)));
      tailed.set(node, log.length);
    }
  }
  nowMs += 10;
  for (const node of nodes)
    for (let offset = 0; offset < log.length; offset += valuesPerRead)
      events.push(read('final', node, offset, log.slice(offset, offset + valuesPerRead)));
  return events;
}

/** Appends overlap: each begins before the two before it have ended. */
function synthesizeAppend(random: Random, i: number, node: string, nowMs: number, log: string[]): AppendEvent {
  const value = makeValue(`p${i % 3}-${i}`);
  const times = { invokedMs: nowMs - 2.5, endedMs: nowMs };
  const offset = log.length;
  const fate = random.below(10);
  if (fate > 1) log.push(value);
  if (fate > 2) {
    const condition = fate === 3 ? { expectedOffset: offset } : {};
    return { kind: 'append', node, value, ...times, outcome: 'acknowledged', offset, ...condition };
  }
  const outcome = fate === 0 ? 'refused' : 'unknown';
  return { kind: 'append', node, value, ...times, outcome };
}

function readSome(
  random: Random,
  read: (offset: number, values: readonly string[]) => ReadEvent,
  log: readonly string[],
): ReadEvent {
  const offset = random.below(log.length + 1);
  return read(offset, log.slice(offset, offset + valuesPerRead));
}
