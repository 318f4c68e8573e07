import { existsSync } from 'node:fs';
import { basename, dirname, join, normalize } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { checkoutFiles, readText, root } from './checkout.js';
import { codeIn, tableUnder } from './document-tables.js';

const files = checkoutFiles();
const documents = files.filter((path) => path.endsWith('.md'));
const names = new Set(files.map((path) => basename(path)));

const withoutBlocks = (document: string): string => readText(document).replace(/^```[\s\S]*?^```/gm, '');

const headingAnchor = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[`*]/g, '')
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replace(/ /g, '-');

function anchorsOf(path: string): string[] {
  return [...withoutBlocks(path).matchAll(/^#+ (.+)$/gm)].map((match) => headingAnchor(match[1] ?? ''));
}

describe('documents', () => {
  it('link only to what is there', () => {
    const broken = documents.flatMap((document) =>
      [...withoutBlocks(document).matchAll(/\]\(([^)\s]+)\)/g)]
        .map((match) => match[1] ?? '')
        .filter((target) => !/^[a-z]+:/.test(target))
        .filter((target) => {
          const [path = '', anchor] = target.split('#');
          const file = path === '' ? document : normalize(join(dirname(document), path));
          if (file.startsWith('..') || !existsSync(join(root, file))) return true;
          return anchor !== undefined && file.endsWith('.md') && !anchorsOf(file).includes(anchor);
        })
        .map((target) => `${document}: ${target}`),
    );
    expect(broken).toEqual([]);
  });

  const prose = documents.filter((path) => path !== 'CHANGELOG.md');

  it('mention in backticks only folders and files that are there', () => {
    const inRepository = /^(?:src|test|bench|proto|docs|scripts|bin|cfg|examples|\.ci)\/[\w./-]+$/;
    const missing = prose.flatMap((document) =>
      codeIn(withoutBlocks(document))
        .filter((path) => inRepository.test(path) && !path.startsWith('bench/results'))
        .filter((path) => !existsSync(join(root, path)))
        .map((path) => `${document}: ${path}`),
    );
    expect(missing).toEqual([]);
  });

  it('name source files without their folder only where there is one of that name', () => {
    const missing = prose.flatMap((document) =>
      codeIn(withoutBlocks(document))
        .filter((name) => /^[\w.-]*\w\.(ts|cjs|mjs|proto)$/.test(name) && !names.has(name))
        .map((name) => `${document}: ${name}`),
    );
    expect(missing).toEqual([]);
  });

  it('name only npm scripts and make targets that are there', () => {
    const { scripts } = JSON.parse(readText('package.json')) as { scripts: Record<string, string> };
    const targets = [...readText('Makefile').matchAll(/^([a-z-]+):/gm)].map((match) => match[1] ?? '');
    const missing = prose.flatMap((document) =>
      [...readText(document).matchAll(/npm run (?:-s )?([\w:-]+)|`make ([a-z-]+)/g)]
        .filter(([, script, target = '']) => (script === undefined ? !targets.includes(target) : !(script in scripts)))
        .map(([found]) => `${document}: ${found}`),
    );
    expect(missing).toEqual([]);
  });
});

describe('the architecture page', () => {
  const page = 'docs/architecture.md';

  it('lists every folder below src, test and bench, and no other', () => {
    const folders = new Set<string>();
    for (const file of files.filter((path) => /^(src|test|bench)\//.test(path))) {
      for (let folder = dirname(file); folder.includes('/'); folder = dirname(folder)) folders.add(folder);
    }
    const listed = tableUnder(page, 'Folders').flatMap(([cell = '']) => codeIn(cell));
    expect(listed.filter((folder, place) => listed.indexOf(folder) !== place)).toEqual([]);
    expect([...folders].filter((folder) => !listed.includes(folder))).toEqual([]);
    expect(listed.filter((folder) => !folders.has(folder))).toEqual([]);
  });

  it('answers where things are with files that have what it names', () => {
    const rows = tableUnder(page, 'Where is …').filter(([, paths]) => paths !== '');
    expect(rows.length).toBeGreaterThanOrEqual(30);
    const wrong = rows.flatMap(([question = '', cell = '', symbols = '']) => {
      const paths = codeIn(cell);
      const missing = paths.filter((path) => !files.includes(path));
      const text = paths.filter((path) => files.includes(path)).map(readText);
      const absent = codeIn(symbols).filter((symbol) => !text.some((each) => hasName(each, symbol)));
      return [...missing, ...absent].map((what) => `${question} ${what}`);
    });
    expect(wrong).toEqual([]);
    expect(rows.filter(([, paths = '', symbols = '']) => !paths.includes('`') || !symbols.includes('`'))).toEqual([]);
  });

  it('has the levels of src/application that the lint enforces', () => {
    const levels = tableUnder(page, 'Import rules').filter(([level = '']) => /^\d+$/.test(level));
    const rules = readText('.dependency-cruiser.cjs').match(/const applicationLevels = (\[[\s\S]*?\n\]);/)?.[1] ?? '';
    const enforced = [...rules.matchAll(/^ {2}\[(.*)\],$/gm)].map(([, names = '']) =>
      [...names.matchAll(/'(\w+)'/g)].map(([, name = '']) => name).filter((name) => !/^(services|errors)$/.test(name)),
    );
    expect(enforced.length).toBeGreaterThan(5);
    expect(levels.map(([, cell = '']) => codeIn(cell).filter((name) => !name.endsWith('.ts')))).toEqual(enforced);
  });
});

/** Whether the text has the name as a whole word. */
function hasName(text: string, name: string): boolean {
  return new RegExp(`(?<![\\w#])${name.replace(/[.$]/g, '\\$&')}(?!\\w)`).test(text);
}
