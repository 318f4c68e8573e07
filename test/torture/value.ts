import { createHash } from 'node:crypto';

const checksumLength = 16;

function checksumOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, checksumLength);
}

/** A record value that carries its own checksum. No two have the same name. */
export function makeValue(name: string, paddingLength = 0): string {
  const content = `${name} ${'.'.repeat(paddingLength)}`;
  return `${content} ${checksumOf(content)}`;
}

/** Whether a value is as `makeValue` made it. */
export function isWhole(value: string): boolean {
  const content = value.slice(0, -checksumLength - 1);
  return value === `${content} ${checksumOf(content)}`;
}

/** What a value is called in a report. */
export function nameOf(value: string): string {
  return JSON.stringify(value.split(' ', 1)[0].slice(0, 40));
}
