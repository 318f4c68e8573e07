import { describe, expect, it } from '@jest/globals';
import { logEvents } from '../../src/application/ports/log-events.js';
import { checkoutFiles, readText } from './checkout.js';

const table = 'src/application/ports/log-events.ts';

/** The rows of docs/log-events.md, as `level event: sentence`. */
function documentedEvents(): string[] {
  const [, ...sections] = readText('docs/log-events.md').split(/^## /m);
  return sections.flatMap((section) => {
    const [level = ''] = section.split('\n', 1);
    return [...section.matchAll(/^\| `(\w+)` +\| (.*?) +\|$/gm)].map(([, event, when]) => `${level} ${event}: ${when}`);
  });
}

describe('the events of the log', () => {
  const declared = Object.entries(logEvents).flatMap(([level, events]) =>
    Object.entries(events).map(([event, when]) => ({ level, event, when })),
  );

  it('are those of docs/log-events.md, in its order', () => {
    expect(documentedEvents()).toEqual(declared.map(({ level, event, when }) => `${level} ${event}: ${when}`));
  });

  it('are in snake case, sorted, each with one sentence', () => {
    for (const events of Object.values(logEvents)) expect(Object.keys(events)).toEqual(Object.keys(events).sort());
    expect(declared.filter(({ event }) => !/^[a-z]+(_[a-z]+)*$/.test(event))).toEqual([]);
    expect(declared.filter(({ when }) => !/^[^a-z].*[^.]\.$/.test(when))).toEqual([]);
  });

  const isSource = (path: string): boolean => /^src\/.*\.ts$/.test(path) && !path.endsWith('.test.ts');
  const source = checkoutFiles()
    .filter((path) => isSource(path) && path !== table)
    .map(readText)
    .join('\n');

  it('are all logged somewhere in src', () => {
    expect(declared.filter(({ event }) => !source.includes(`'${event}'`))).toEqual([]);
  });

  it('have the kinds of audit lines that docs/log-events.md and SECURITY.md list', () => {
    const kinds = [...new Set([...source.matchAll(/\baudit: '(\w+)'/g)].map(([, kind = '']) => kind))].sort();
    const row = /^\| `audit` .*$/m.exec(readText('docs/log-events.md'))?.[0] ?? '';
    expect(
      [...row.matchAll(/`(\w+)`/g)]
        .map(([, kind]) => kind)
        .filter((kind) => kind !== 'audit')
        .sort(),
    ).toEqual(kinds);
    const paragraph = /^Each denial, .*$/m.exec(readText('SECURITY.md'))?.[0] ?? '';
    expect(kinds.filter((kind) => !paragraph.includes(`\`${kind}\``))).toEqual([]);
  });
});
