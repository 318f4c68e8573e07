const durationUnits: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

const sizeUnits: Readonly<Record<string, number>> = {
  b: 1,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
};

/** What {@link parseDurationMs} expects, for error messages. */
export const expectedDuration = 'expected a duration with a unit, such as 500ms, 30s, 15m or 7d';

/** What {@link parseBytes} expects, for error messages. */
export const expectedSize = 'expected a size in bytes or with a unit, such as 4096, 64MiB or 10GB';

/** Parses `500ms`, `30s`, `15m`, `1.5h` or `7d`. Returns undefined for anything else; even 0 needs a unit. */
export function parseDurationMs(text: string): number | undefined {
  return parseQuantity(text, (unit) => durationUnits[unit]);
}

/**
 * Parses `4096`, `64MiB` or `10GB`, with units in any case. Returns undefined for anything else. A bare whole number
 * counts bytes, since every size option has "bytes" in its name.
 */
export function parseBytes(text: string): number | undefined {
  return parseWholeNumber(text) ?? parseQuantity(text, (unit) => sizeUnits[unit.toLowerCase()]);
}

/** Parses a text of decimal digits only; undefined unless it is a safe integer. */
export function parseWholeNumber(text: string): number | undefined {
  return safeInteger(/^\d+$/.test(text) ? Number(text) : NaN);
}

function parseQuantity(text: string, factorOf: (unit: string) => number | undefined): number | undefined {
  const [, number, unit] = /^(\d+(?:\.\d+)?) ?([A-Za-z]+)$/.exec(text) ?? [];
  const factor = unit === undefined ? undefined : factorOf(unit);
  if (factor === undefined) return undefined;
  const value = Math.round(Number(number) * factor);
  // A value below the smallest unit must not round to 0, which switches a limit off.
  return value === 0 && Number(number) !== 0 ? undefined : safeInteger(value);
}

function safeInteger(value: number): number | undefined {
  return Number.isSafeInteger(value) ? value : undefined;
}
