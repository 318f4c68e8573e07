/** A range of offsets from its start and the offset after its end: `0 to 9`, or `none`; `?` where one is unknown. */
export function offsetsText(start: number | undefined, end: number | undefined): string {
  if (start !== undefined && start === end) return 'none';
  return `${start ?? '?'} to ${end === undefined ? '?' : end - 1}`;
}

/** A number with its noun: `1 record`, `2 records`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : noun.endsWith('ch') ? 'es' : 's'}`;
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
