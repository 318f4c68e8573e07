import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, sep } from 'node:path';
import { ConfChangeScenario } from './confchange.js';
import { diffLines } from './diff.js';
import type { Directive } from './grammar.js';
import { parseScenario } from './grammar.js';
import { InteractionScenario } from './interaction.js';
import { playQuorum } from './quorum.js';

type Kind = 'interaction' | 'quorum' | 'confchange';

/** The maximum number of differences printed per file; later ones mostly follow from the first. */
const differencesShown = 3;

/** Returns the scenario files below a directory, sorted; undefined when the directory does not exist. */
export function scenarioFiles(directory: string): readonly string[] | undefined {
  if (statSync(directory, { throwIfNoEntry: false })?.isDirectory() !== true) return undefined;
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.txt'))
    .sort()
    .map((path) => join(directory, path));
}

/** Plays one file and returns the differences of its output; empty without differences. */
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
  if (hidden > 0) differences.splice(differencesShown, hidden, `and ${hidden} more differences`);
  return differences.join('\n');
}

/** Returns the kind that the nearest folder names; defaults to `interaction`. */
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
