import { readFileSync } from 'node:fs';
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Document } from 'yaml';
import { ConfigError } from './config-error.js';
import { utf8Text } from './utf8-text.js';

/** The text of an option as written in the file: `1e3` stays `1e3`, as in a flag or a variable. */
export type ConfigText = string | readonly string[];

const configCharsMax = 64 * 1024;

/**
 * Reads the `name: value` lines of a configuration file. YAML types are ignored: `30`, `"30"` and a flag with the value
 * 30 are the same text.
 *
 * @returns the values by name; undefined for a value that is missing, or neither text nor a list of texts
 * @throws ConfigError naming the file, when it is not YAML or not a mapping
 */
export function readConfigFile(path: string): ReadonlyMap<string, ConfigText | undefined> {
  let document: Document;
  try {
    document = parseStrictYaml(utf8Text(readFileSync(path), 'the file'));
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

/** The text of a scalar; undefined for null, which YAML also reads from an empty value and from `~`. */
function scalarText(node: unknown): string | undefined {
  return isScalar(node) && node.value !== null ? node.source : undefined;
}

/** Parses YAML and treats warnings, such as an unknown tag, as errors: the value would not be what was written. */
function parseStrictYaml(text: string): Document {
  // The check for duplicate keys takes time that grows with the square of their number.
  if (text.length > configCharsMax) throw new ConfigError(`it has more than ${configCharsMax} characters`);
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter, prettyErrors: false, logLevel: 'error' });
  const [problem] = [...document.errors, ...document.warnings];
  if (problem === undefined) return document;
  const { line, col } = lineCounter.linePos(problem.pos[0]);
  throw new ConfigError(`${problem.message} at line ${line}, column ${col}`);
}
