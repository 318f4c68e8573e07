import { describe, expect, it } from '@jest/globals';
import { parseScenario } from './grammar.js';
import { playDirectives } from './play.js';

const play = (kind: 'interaction' | 'quorum' | 'confchange', text: string): string =>
  playDirectives(kind, parseScenario(text));

describe('playDirectives', () => {
  it('returns an empty text when all output is as expected', () => {
    expect(play('confchange', 'simple\nv1\n----\nvoters=(1)\n1: StateProbe match=0 next=1\n')).toBe('');
  });

  it('shows the line of the command and the lines that differ', () => {
    const difference = play('confchange', '\nsimple\nv1\n----\nvoters=(2)\n1: StateProbe match=0 next=1\n');
    expect(difference).toBe('line 2: simple\n- voters=(2)\n+ voters=(1)\n  1: StateProbe match=0 next=1');
  });

  it('counts a blank at the end of a line as a difference', () => {
    expect(play('quorum', 'vote cfg=(1) votes=(y)\n----\nVoteWon \n')).toContain('+ VoteWon');
  });

  it('stops at a command that throws, and reports its line', () => {
    const difference = play('quorum', 'vote cfg=(x)\n----\nVoteWon\n\nvote\n----\nVoteLost\n');
    expect(difference).toContain('line 1: vote');
    expect(difference).not.toContain('line 5');
  });
});
