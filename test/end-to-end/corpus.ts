import { createHash } from 'node:crypto';
import { closeSync, createReadStream, openSync, readdirSync, readFileSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../foundation/checkout.js';

/** Where there is real text on most machines; the last of them on all. */
const sources = [
  '/usr/share/doc',
  '/usr/share/perl',
  '/usr/share/common-licenses',
  '/usr/lib/python3',
  join(root, 'node_modules'),
];
const fileBytesMax = 2_000_000;
const lineBytesMax = 1_000_000;
const newline = 0x0a;

/** Lines that real text seldom has: long, of many scripts, not UTF-8, with a CR, with a NUL, empty. */
const oddLines = Buffer.concat([
  Buffer.from('\n\n\n'),
  Buffer.from(`${'x'.repeat(900_000)}\n`),
  Buffer.from(`${'Prüfung 試験 🦫 проверка '.repeat(9_000)}\n`),
  Buffer.from([0xff, 0xfe, 0xc3, 0x28, newline]),
  Buffer.from('dos line\r\n\r\n'),
  Buffer.from('nul \0 in a line\n'),
]);

function* textFiles(folder: string): Generator<Buffer, void, void> {
  let entries;
  try {
    entries = readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch {
    return;
  }
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* textFiles(path);
    else if (entry.isFile() && statSync(path).size <= fileBytesMax) {
      const text = readFileSync(path);
      if (!text.includes(0) && longestLineBytes(text) <= lineBytesMax) yield text;
    }
  }
}

function longestLineBytes(text: Buffer): number {
  let longest = 0;
  for (let start = 0; start < text.length;) {
    const end = text.indexOf(newline, start);
    longest = Math.max(longest, (end === -1 ? text.length : end) - start);
    start = end === -1 ? text.length : end + 1;
  }
  return longest;
}

function countLines(text: Buffer): number {
  let lines = 0;
  for (let at = text.indexOf(newline); at !== -1; at = text.indexOf(newline, at + 1)) lines += 1;
  return lines;
}

/** Writes real text of this machine, and odd lines, until there are `linesMin`; ends with a newline. */
export function writeCorpus(path: string, linesMin: number): { lines: number; bytes: number } {
  const file = openSync(path, 'w');
  let lines = 0;
  let bytes = 0;
  const write = (text: Buffer): void => {
    writeSync(file, text);
    lines += countLines(text);
    bytes += text.length;
  };
  try {
    write(oddLines);
    while (lines < linesMin) {
      const before = lines;
      for (const source of sources) {
        for (const text of textFiles(source)) {
          if (lines >= linesMin) break;
          write(text);
          write(Buffer.from([newline]));
        }
      }
      if (lines === before) throw new Error('this machine has no text at all');
    }
    write(oddLines);
  } finally {
    closeSync(file);
  }
  return { lines, bytes };
}

export async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
