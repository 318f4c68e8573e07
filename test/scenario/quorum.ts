import type { AckedIndex, VoteResult, Voters } from '../../src/domain/raft/quorum.js';
import {
  committedIndex,
  majorityCommittedIndex,
  majorityVoteResult,
  unboundedIndex,
  voteResult,
} from '../../src/domain/raft/quorum.js';
import type { Directive } from './grammar.js';
import { parseNumber, ScenarioError } from './grammar.js';

interface Question {
  readonly joint: boolean;
  /** The voters of each half in the given order, without duplicates. */
  readonly voters: readonly number[];
  readonly votersOutgoing: readonly number[];
  readonly idx: readonly number[];
  readonly votes: readonly number[];
}

/** A vote or index that is unknown for a voter. */
const unknown = 0;
const voteNumbers = new Map([
  ['_', unknown],
  ['n', 1],
  ['y', 2],
]);
const voteResultNames: Record<VoteResult, string> = { pending: 'VotePending', lost: 'VoteLost', won: 'VoteWon' };

/** Plays scenarios of kind `quorum`: `committed` and `vote` of one majority (`cfg`) or two (`cfgj`). */
export function playQuorum(directive: Directive): string {
  const question = readQuestion(directive);
  const all = allVoters(question);
  const given = directive.command === 'vote' ? question.votes : question.idx;
  if (all.length !== given.length) {
    const voters = all.map((id) => `${id}:{}`).join(' ');
    const input = given.map(describeIndex).join(' ');
    return `error: mismatched input (explicit or _) for voters map[${voters}]: [${input}]`;
  }
  switch (directive.command) {
    case 'committed':
      return question.joint ? jointCommitted(question) : majorityCommitted(question);
    case 'vote':
      return vote(question);
    default:
      throw new ScenarioError(`unknown command: ${directive.command}`);
  }
}

function readQuestion(directive: Directive): Question {
  let joint = false;
  const voters: number[] = [];
  const votersOutgoing: number[] = [];
  const idx: number[] = [];
  const votes: number[] = [];
  for (const { key, values } of directive.args) {
    switch (key) {
      case 'cfg':
        voters.push(...values.map(parseNumber));
        break;
      case 'cfgj':
        joint = true;
        if (values.includes('zero') && values.length !== 1) {
          throw new ScenarioError("cannot mix 'zero' into configuration");
        }
        votersOutgoing.push(...values.filter((value) => value !== 'zero').map(parseNumber));
        break;
      case 'idx':
        idx.push(...values.map(parseIndex));
        break;
      case 'votes':
        votes.push(...values.map(parseVote));
        break;
      default:
        throw new ScenarioError(`unknown arg ${key}`);
    }
  }
  return { joint, voters: unique(voters), votersOutgoing: unique(votersOutgoing), idx, votes };
}

function parseIndex(text: string): number {
  if (text === '_') return unknown;
  const index = text === '18446744073709551615' ? unboundedIndex : parseNumber(text);
  if (index === unknown) throw new ScenarioError('cannot use 0 as idx');
  return index;
}

function parseVote(text: string): number {
  const value = voteNumbers.get(text);
  if (value === undefined) throw new ScenarioError(`unknown vote: ${text}`);
  return value;
}

/** Assigns the given values to the voters in order, without duplicates, those of `cfg` first. */
function assign(question: Question, given: readonly number[]): Map<number, number> {
  const assigned = new Map<number, number>();
  for (const [i, id] of unique([...question.voters, ...question.votersOutgoing]).entries()) {
    const value = given[i];
    if (value !== undefined && value !== unknown) assigned.set(id, value);
  }
  return assigned;
}

function majorityCommitted(question: Question): string {
  const { voters } = question;
  const indexes = assign(question, question.idx);
  const acked: AckedIndex = (id) => indexes.get(id);
  const index = majorityCommittedIndex(voters, acked);

  let out = describeMajority(voters, indexes);
  const check = (other: number, how: string, end = '\n'): void => {
    if (other !== index) out += `${describeIndex(other)} <-- ${how}${end}`;
  };
  check(bruteForceCommitted(voters, acked), 'via alternative computation');
  check(committedIndex({ voters, votersOutgoing: [] }, acked), 'via zero-joint quorum');
  check(committedIndex({ voters, votersOutgoing: voters }, acked), 'via self-joint quorum');
  for (const id of voters) {
    const own = indexes.get(id) ?? 0;
    // Below the committed index, the exact index of a voter has no effect.
    if (own === 0 || own >= index) continue;
    const lowered = (to: number) => majorityCommittedIndex(voters, (each) => (each === id ? to : acked(each)));
    check(lowered(own - 1), `overlaying ${id}->${own}`, '');
    check(lowered(0), `overlaying ${id}->0`, '');
  }
  return `${out}${describeIndex(index)}\n`;
}

function jointCommitted(question: Question): string {
  const indexes = assign(question, question.idx);
  const acked: AckedIndex = (id) => indexes.get(id);
  const index = committedIndex(question, acked);
  let out = describeMajority(allVoters(question), indexes);
  const swapped = committedIndex(swap(question), acked);
  if (swapped !== index) out += `${describeIndex(swapped)} <-- via symmetry\n`;
  return `${out}${describeIndex(index)}\n`;
}

function vote(question: Question): string {
  const votes = new Map([...assign(question, question.votes)].map(([id, value]) => [id, value === 2]));
  if (!question.joint) return `${voteResultNames[majorityVoteResult(question.voters, votes)]}\n`;
  const result = voteResult(question, votes);
  const swapped = voteResult(swap(question), votes);
  const symmetry = swapped === result ? '' : `${voteResultNames[swapped]} <-- via symmetry\n`;
  return `${symmetry}${voteResultNames[result]}\n`;
}

/** Computes the committed index by definition: the highest acknowledged index that more than half have reached. */
function bruteForceCommitted(voters: readonly number[], acked: AckedIndex): number {
  if (voters.length === 0) return unboundedIndex;
  const known = voters.map(acked).filter((index) => index !== undefined);
  const held = known.filter((index) => known.filter((other) => other >= index).length > voters.length / 2);
  return Math.max(0, ...held);
}

/** Formats a table of the voters, each with a bar whose length is its rank. */
function describeMajority(voters: readonly number[], indexes: ReadonlyMap<number, number>): string {
  if (voters.length === 0) return '<empty majority quorum>';
  const count = voters.length;
  const rows = voters.map((id) => ({ id, index: indexes.get(id) ?? 0, known: indexes.has(id) }));
  const lines = rows
    .toSorted((a, b) => a.id - b.id)
    .map(({ id, index, known }) => {
      const rank = rows.filter((row) => row.index < index).length;
      const bar = known ? `${'x'.repeat(rank)}>`.padEnd(count + 1) : '?'.padEnd(count + 1);
      return `${bar} ${String(index).padStart(5)}    (id=${id})\n`;
    });
  return `${' '.repeat(count)}    idx\n${lines.join('')}`;
}

/** Formats an index; an unbounded one is shown as infinity. */
function describeIndex(index: number): string {
  return index === unboundedIndex ? '∞' : String(index);
}

function allVoters({ voters, votersOutgoing }: Voters): readonly number[] {
  return unique([...voters, ...votersOutgoing]).toSorted((a, b) => a - b);
}

function swap({ voters, votersOutgoing }: Voters): Voters {
  return { voters: votersOutgoing, votersOutgoing: voters };
}

function unique(ids: readonly number[]): readonly number[] {
  return [...new Set(ids)];
}
