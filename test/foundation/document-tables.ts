import { readText } from './checkout.js';

/** What stands in backticks in the text. */
export const codeIn = (text: string): string[] => [...text.matchAll(/`([^`\n]+)`/g)].map((match) => match[1] ?? '');

/** The cells of the rows of the table under a heading of the document, without its head. */
export function tableUnder(document: string, heading: string): string[][] {
  const [, section = ''] = readText(document).split(`\n## ${heading}\n`);
  const [own = ''] = section.split('\n## ');
  const rows = own.split('\n').filter((line) => line.startsWith('|'));
  return rows.slice(2).map((row) =>
    row
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim()),
  );
}
