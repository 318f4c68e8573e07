import { describe, expect, it } from '@jest/globals';
import { LatchedReadiness } from '../../src/application/node/latched-readiness.js';
import { logEvents } from '../../src/application/ports/log-events.js';
import { type NodeState, nodeStates } from '../../src/application/ports/readiness.js';
import { ExitCode } from '../../src/cli/options/exit-codes.js';
import { checkoutFiles, readText } from './checkout.js';
import { codeIn, tableUnder } from './document-tables.js';

const columns = ['state', 'problem', 'strict', 'latched', 'exit', 'event', 'advice', 'tests'] as const;
type Row = Record<(typeof columns)[number], string>;

describe('the table of states', () => {
  const rows = tableUnder('docs/states.md', 'The table').map(
    (cells) => Object.fromEntries(columns.map((column, i) => [column, cells[i] ?? ''])) as Row,
  );
  const stateOf = ({ state }: Row): NodeState => codeIn(state)[0] as NodeState;

  it('has every state, in order, and no other', () => {
    expect([...new Set(rows.map(stateOf))]).toEqual([...nodeStates]);
  });

  it('says what a node in that state answers', () => {
    const [ready, not] = ['200', '503'];
    for (const row of rows) {
      const readiness = new LatchedReadiness();
      readiness.follow(() => ({ state: 'ready' }));
      expect(readiness.strict.state).toBe('ready');
      readiness.follow(() => ({ state: stateOf(row) }));
      const strict = readiness.strict.state === 'ready' ? ready : not;
      const latched = readiness.latched.state === 'ready' ? ready : not;
      expect([row.state, row.strict, row.latched]).toEqual([
        row.state,
        strict,
        latched === strict ? latched : `${latched} once ready`,
      ]);
    }
  });

  it('names exit codes, and 0 only where there is no problem', () => {
    const codes: readonly number[] = [ExitCode.ok, ExitCode.unreachable, ExitCode.problem];
    expect(rows.filter(({ exit }) => !codes.includes(Number(exit)))).toEqual([]);
    expect(rows.filter(({ exit, problem }) => (exit === '0') !== problem.startsWith('nothing'))).toEqual([]);
  });

  it('names log events that there are', () => {
    const events = new Set(Object.values(logEvents).flatMap((level) => Object.keys(level)));
    expect(rows.filter(({ event }) => codeIn(event).length !== 1 || !events.has(codeIn(event)[0] ?? ''))).toEqual([]);
  });

  it('names tests that there are, and says what to do', () => {
    const files = checkoutFiles();
    const isThere = (test: string): boolean => {
      const [, path = '', name = ''] = /^`(\S+\.test\.ts)` "(.+)"$/.exec(test) ?? [];
      return files.includes(path) && readText(path).includes(`'${name}'`);
    };
    const missing = rows.flatMap(({ tests }) => tests.split('; ')).filter((test) => !isThere(test));
    expect(missing).toEqual([]);
    expect(rows.filter(({ advice }) => advice === '')).toEqual([]);
  });
});
