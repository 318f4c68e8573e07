import { statSync } from 'node:fs';
import { basename, dirname, join, normalize } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { checkoutFiles, readText, root } from './checkout.js';
import { commentsOf } from './source-text.js';

const codeEnding = /\.(ts|tsx|js|cjs|mjs|sh|proto)$/;
const textEnding = /\.(ts|tsx|js|cjs|mjs|sh|proto|json|md|ya?ml|toml|csv|conf|html|css|svelte)$/;
const extensionless = new Set(['Makefile', 'run.sh', 'bin/golog', '.ci/run', '.npmrc', '.gitignore', 'Dockerfile']);

const files = checkoutFiles();
const isGenerated = (path: string): boolean => path.startsWith('src/gen/') || path === 'package-lock.json';
const written = files.filter((path) => !isGenerated(path) && (textEnding.test(path) || extensionless.has(path)));
const code = written.filter((path) => codeEnding.test(path) || extensionless.has(path));

/** Every line of `paths` that matches, as `path:line: text`: an empty list is what a rule wants. */
function linesMatching(paths: readonly string[], pattern: RegExp): string[] {
  return paths.flatMap((path) =>
    readText(path)
      .split('\n')
      .flatMap((line, at) => (pattern.test(line) ? [`${path}:${at + 1}: ${line.trim()}`] : [])),
  );
}

describe('tidy', () => {
  it('leaves no notes for later in code: open an issue, or admit the debt in a sentence', () => {
    expect(linesMatching(code, new RegExp(`\\b(${['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX'].join('|')})\\b`))).toEqual([]);
  });

  it('has no remains of a merge', () => {
    expect(linesMatching(written, /^(<{7}|>{7}|(> ){6})/)).toEqual([]);
  });

  it('focuses no test', () => {
    const tests = code.filter((path) => path.endsWith('.test.ts'));
    expect(linesMatching(tests, /\b(it|test|describe)(\.\w+)*\.only\b|\bf(it|describe)\(/)).toEqual([]);
  });

  it('keeps files of code under 500 lines', () => {
    const long = code.map((path) => [path, readText(path).split('\n').length - 1] as const);
    expect(long.filter(([, lines]) => lines > 500)).toEqual([]);
  });

  it('gives a reason for each rule it switches off', () => {
    const bare = /\/[/*]\s*(eslint-disable(?!.* -- \S)|prettier-ignore(?!.* -- \S)|@ts-(ignore|nocheck))/;
    expect(linesMatching(code, bare)).toEqual([]);
  });

  it('names nothing a drawer', () => {
    const drawer = /(^|\/)(utils?|helpers?|common|misc|types|constants)(\/|\.[a-z]+$)/;
    expect(files.filter((path) => drawer.test(path))).toEqual([]);
  });

  it('asks the container for nothing but where the node is composed', () => {
    const asking = linesMatching(
      code.filter((path) => path.startsWith('src/') && !path.endsWith('.test.ts')),
      /\bcontainer\.get(Async)?\b/,
    );
    const composing = /^src\/infrastructure\/(container|serve)\.ts:/;
    expect(asking.filter((line) => !composing.test(line))).toEqual([]);
    expect(asking).not.toEqual([]);
  });

  it('cites in comments only files that are there, and documents by their path', () => {
    const sources = code.filter((path) => /^(src|test|bench)\/.*\.tsx?$/.test(path));
    const names = new Set(files.map((path) => basename(path)));
    const isThere = (cited: string, path: string): boolean =>
      files.includes(cited) ||
      files.includes(normalize(join(dirname(path), cited))) ||
      (!cited.includes('/') && !cited.endsWith('.md') && names.has(cited));
    const missing = sources.flatMap((path) =>
      commentsOf(path).flatMap(({ line, text }) =>
        [...text.matchAll(/(?<![\w./:-])[\w./-]+\.(md|ts|cjs|mjs|csv|hex)\b/g)]
          .map(([cited]) => cited)
          .filter((cited) => !isThere(cited, path))
          .map((cited) => `${path}:${line}: ${cited}`),
      ),
    );
    expect(missing).toEqual([]);
  });

  it('names files in kebab-case', () => {
    const sources = files.filter((path) => /^(src|test|bench)\/.*\.tsx?$/.test(path) && !isGenerated(path));
    expect(sources.filter((path) => !/^[a-z0-9/.-]+$/.test(path))).toEqual([]);
  });

  it('names no package registry and no home directory, so that it builds behind any mirror and on any machine', () => {
    const hosts = /registry\.[a-z0-9-]+\.(org|com|dev|io)|unpkg\.com|jsdelivr\.net|proxy\.golang\.org/;
    expect(linesMatching([...written, 'package-lock.json'], hosts)).toEqual([]);
    expect(linesMatching(written, /(^|[\s'"`(=])\/(home|Users)\/\w+/)).toEqual([]);
  });

  it('ends lines with LF and files with a newline', () => {
    expect(written.filter((path) => readText(path).includes('\r'))).toEqual([]);
    expect(written.filter((path) => readText(path) !== '' && !readText(path).endsWith('\n'))).toEqual([]);
  });

  it('sets the run bit on what has a #! line, and on nothing else', () => {
    const isRunnable = (path: string): boolean => (statSync(join(root, path)).mode & 0o111) !== 0;
    const startsWithShebang = (path: string): boolean => readText(path).startsWith('#!');
    expect(written.filter((path) => startsWithShebang(path) !== isRunnable(path))).toEqual([]);
    expect(written.filter(startsWithShebang)).toEqual(expect.arrayContaining(['.ci/run', 'bin/golog', 'run.sh']));
  });
});
