import type { Offset } from './offsets.js';

const digits = 20;
const storePattern = /^(\d{20})\.store$/;
const tornPattern = /\.torn-(\d+)$/;

export const temporarySuffix = '.tmp';
export const logStartFileName = 'log-start';
export const logStartSpareFileName = 'log-start.spare';
export const syncedIndexFileName = 'synced-index';

function baseName(baseOffset: Offset): string {
  return String(baseOffset).padStart(digits, '0');
}

export const storeFileName = (baseOffset: Offset): string => `${baseName(baseOffset)}.store`;
export const indexFileName = (baseOffset: Offset): string => `${baseName(baseOffset)}.index`;

/** Returns the base offset in a store's file name, or `undefined` for any other name. */
export function storeBaseOffset(fileName: string): Offset | undefined {
  const match = storePattern.exec(fileName);
  if (!match) return undefined;
  const base = Number(match[1]);
  return Number.isSafeInteger(base) ? (base as Offset) : undefined;
}

/** Returns a name, not in `names`, for the file that saves the bytes cut off a store's end. */
export function tornFileName(baseOffset: Offset, names: readonly string[]): string {
  const prefix = `${baseName(baseOffset)}.torn-`;
  const taken = names.filter((name) => name.startsWith(prefix)).map((name) => Number(tornPattern.exec(name)?.[1] ?? 0));
  return `${prefix}${Math.max(0, ...taken) + 1}`;
}
