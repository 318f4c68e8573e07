import { describe, expect, it } from '@jest/globals';
import { parseScenario, ScenarioError } from './grammar.js';

describe('parseScenario', () => {
  it('reads keys, values and lists with blanks in them', () => {
    const [directive] = parseScenario('add-nodes 3 voters=(1, 2,3) index=10 learners=()\n----\nok\n');
    expect(directive).toEqual({
      line: 1,
      command: 'add-nodes',
      args: [
        { key: '3', values: [] },
        { key: 'voters', values: ['1', '2', '3'] },
        { key: 'index', values: ['10'] },
        { key: 'learners', values: [] },
      ],
      input: '',
      expected: 'ok\n',
    });
  });

  it('reads input, expected output up to a blank line, comments and blank lines between', () => {
    const text = '# a comment\n\npropose-conf-change 1 v1=true\n v2 \n----\none\n  two\n\n# more\n\nstatus 1\n----\n\n';
    expect(parseScenario(text).map(({ line, input, expected }) => ({ line, input, expected }))).toEqual([
      { line: 3, input: 'v2', expected: 'one\n  two\n' },
      { line: 11, input: '', expected: '' },
    ]);
  });

  it('reads output with blank lines between doubled separators', () => {
    const text = 'a\n----\n----\none\n\n----\ntwo\n----\n----\n\nb\n----\nok';
    expect(parseScenario(text).map(({ expected }) => expected)).toEqual(['one\n\n----\ntwo\n', 'ok\n']);
  });

  it('joins a command continued on the next line, and skips subtest marks', () => {
    const [directive, ...rest] = parseScenario('subtest one\n\na 1 \\\n  b=2\n----\nok\n\nsubtest end\n');
    expect(directive?.args).toEqual([
      { key: '1', values: [] },
      { key: 'b', values: ['2'] },
    ]);
    expect(rest).toEqual([]);
  });

  it.each(['a b=(1', 'a (1)', 'a=1', 'a\n----\n----\nopen'])('rejects %j', (text) => {
    expect(() => parseScenario(text)).toThrow(ScenarioError);
  });
});
