/** A range of offsets from its start and the offset after its end: `0 to 9`, or `none`; `?` where one is unknown. */
export function offsetsText(start: number | undefined, end: number | undefined): string {
  if (start !== undefined && start === end) return 'none';
  return `${start ?? '?'} to ${end === undefined ? '?' : end - 1}`;
}

/** A number with its noun: `1 record`, `2 records`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : noun.endsWith('ch') ? 'es' : 's'}`;
}

/** A time in the largest unit that keeps it exact enough to act on: `30 ms`, `31 s`, `3 min`. */
export function spanText(ms: number): string {
  if (ms < 1_000) return `${ms} ms`;
  const seconds = Math.floor(ms / 1_000);
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7_200 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3_600)} h`;
}

/** A size in the largest binary unit of which there is at least one: `17 B`, `256 KiB`, `1.5 GiB`. */
export function bytesText(bytes: number): string {
  let [size, unit] = [bytes, 'B'];
  for (const larger of ['KiB', 'MiB', 'GiB', 'TiB']) {
    if (size < 1_024) break;
    [size, unit] = [size / 1_024, larger];
  }
  return `${Math.floor(size * 10) / 10} ${unit}`;
}
