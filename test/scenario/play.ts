import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, sep } from 'node:path';
import { ConfChangeScenario } from './confchange.js';
import { diffLines } from './diff.js';
import type { Directive } from './grammar.js';
import { parseScenario } from './grammar.js';
import { InteractionScenario } from './interaction.js';
import { playQuorum } from './quorum.js';

type Kind = 'interaction' | 'quorum' | 'confchange';

/** Differences of one file that are printed; later ones mostly follow from the first. */
const differencesShown = 3;

/** The scenario files below a directory, sorted; undefined when there is no such directory. */
export function scenarioFiles(directory: string): readonly string[] | undefined {
  if (statSync(directory, { throwIfNoEntry: false })?.isDirectory() !== true) return undefined;
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.txt'))
    .sort()
    .map((path) => join(directory, path));
}

/** Plays one file; the answer says how its output differs, and is empty when it does not. */
export function playFile(path: string): string {
  let directives: readonly Directive[];
  try {
    directives = parseScenario(readFileSync(path, 'utf8'));
  } catch (error) {
    return describeError(error);
  }
  return playDirectives(kindOf(path), directives);
}

/** Plays the commands in order and compares the output of each byte for byte. */
export function playDirectives(kind: Kind, directives: readonly Directive[]): string {
  const play = player(kind);
  const differences: string[] = [];
  for (const directive of directives) {
    const title = `line ${directive.line}: ${directive.command}`;
    try {
      const actual = withNewline(play(directive));
      if (actual !== directive.expected) differences.push(`${title}\n${diffLines(directive.expected, actual)}`);
    } catch (error) {
      differences.push(`${title}\n${describeError(error)}`);
      break;
    }
  }
  const hidden = differences.length - differencesShown;
  if (hidden > 0) differences.splice(differencesShown, hidden, `and ${hidden} more that differ`);
  return differences.join('\n');
}

/** The nearest folder that names a kind; scenarios of whole clusters where none does. */
function kindOf(path: string): Kind {
  const isKind = (folder: string): folder is Kind => ['interaction', 'quorum', 'confchange'].includes(folder);
  return path.split(sep).findLast(isKind) ?? 'interaction';
}

function player(kind: Kind): (directive: Directive) => string {
  switch (kind) {
    case 'quorum':
      return playQuorum;
    case 'confchange': {
      const scenario = new ConfChangeScenario();
      return (directive) => scenario.play(directive);
    }
    case 'interaction': {
      const scenario = new InteractionScenario();
      return (directive) => scenario.play(directive);
    }
  }
}

function withNewline(text: string): string {
  return text === '' || text.endsWith('\n') ? text : `${text}\n`;
}

function describeError(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
