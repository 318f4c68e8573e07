import { readFileSync } from 'node:fs';
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Document } from 'yaml';
import { ConfigError } from './config-error.js';

/** What an option was set to, as it is written: `1e3` stays `1e3`, as it would in a flag or a variable. */
export type ConfigText = string | readonly string[];

const configCharsMax = 64 * 1024;

/**
 * Reads the `name: value` lines of a configuration file. The types of YAML are not used: `30`, `"30"` and a flag with
 * the value 30 are the same text.
 *
 * @returns undefined as the value of a name that has none, or something other than text and lists of texts
 * @throws ConfigError naming the file, for what is not YAML or not such lines
 */
export function readConfigFile(path: string): ReadonlyMap<string, ConfigText | undefined> {
  let document: Document;
  try {
    document = parseStrictYaml(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new ConfigError(`--config-file ${path}: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
  const { contents } = document;
  if (contents === null || (isScalar(contents) && contents.value === null)) return new Map();
  if (!isMap(contents)) throw new ConfigError(`--config-file ${path}: expected "name: value" lines`);
  return new Map(
    contents.items.map(({ key, value }) => [(isScalar(key) && key.source) || '', configText(value, document)]),
  );
}

function configText(node: unknown, document: Document): ConfigText | undefined {
  const resolved = isAlias(node) ? node.resolve(document) : node;
  if (!isSeq(resolved)) return scalarText(resolved);
  const texts = resolved.items.map((item) => scalarText(isAlias(item) ? item.resolve(document) : item));
  return texts.every((text) => text !== undefined) ? texts : undefined;
}

/** Undefined for null, which YAML makes of nothing and of `~` as well. */
function scalarText(node: unknown): string | undefined {
  return isScalar(node) && node.value !== null ? node.source : undefined;
}

/** A warning of the parser, such as of a tag that it does not know, is an error here: it would read something else. */
function parseStrictYaml(text: string): Document {
  // What it takes to see that keys are unique grows with their square.
  if (text.length > configCharsMax) throw new ConfigError(`it has more than ${configCharsMax} characters`);
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter, prettyErrors: false, logLevel: 'error' });
  const [problem] = [...document.errors, ...document.warnings];
  if (problem === undefined) return document;
  const { line, col } = lineCounter.linePos(problem.pos[0]);
  throw new ConfigError(`${problem.message} at line ${line}, column ${col}`);
}
