import { describe, expect, it } from '@jest/globals';
import { isForNode, matchesExpression } from './query-filter.js';

describe('the expression of a tag filter', () => {
  it.each([
    ['', 'anything', true],
    ['log', 'log', true],
    ['og', 'a log node', true],
    ['^log', 'a log', false],
    ['log$', 'a log', true],
    ['^log$', 'log', true],
    ['^log$', 'logs', false],
    ['^$', '', true],
    ['^$', 'x', false],
    ['^dc.*east$', 'dc-1-east', true],
    ['^dc.*east$', 'dc-1-east-2', false],
    ['^a.*b.*c$', 'a b c b c', true],
    ['^ab.*ba$', 'aba', false],
    ['.*', '', true],
    ['1.2', '102', true],
    ['1\\.2', '102', false],
    ['1\\.2', '1.2', true],
    ['a.b', 'a\nb', false],
  ])('%j on %j: %p', (expression, text, expected) => {
    expect(matchesExpression(expression, text)).toBe(expected);
  });

  it.each([
    '(a|b)',
    '[ab]',
    'a+',
    'a*',
    'a?',
    'a|b',
    '.*?',
    'a{2}',
    '\\d',
    '\\',
    'a^b',
    'a$b',
    '(?i)a',
    'x'.repeat(2000),
  ])('%j is not supported and matches nothing', (expression) => {
    expect(matchesExpression(expression, 'ab a b aab x'.repeat(300))).toBe(false);
  });

  it('takes time at most proportional to the product of the lengths', () => {
    const before = process.cpuUsage();
    matchesExpression('.*a'.repeat(300) + 'b$', 'a'.repeat(512));
    matchesExpression('a'.repeat(500) + 'b', 'a'.repeat(1024));
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1_000).toBeLessThan(500);
  });
});

describe('the filters of a query', () => {
  const tags = new Map([['role', 'log']]);

  it('must all match', () => {
    const here = { type: 'nodes', names: ['a', 'me'] } as const;
    const elsewhere = { type: 'nodes', names: ['a'] } as const;
    const role = { type: 'tag', tag: 'role', expression: '^log$' } as const;
    const noTag = { type: 'tag', tag: 'dc', expression: 'east' } as const;
    const verdicts = [[], [here], [elsewhere], [role], [here, role], [here, noTag]].map((filters) =>
      isForNode(filters, 'me', tags),
    );
    expect(verdicts).toEqual([true, true, false, true, true, false]);
  });
});
