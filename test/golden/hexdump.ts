/** Formats sixteen bytes per line, after their position. */
export function hexdump(bytes: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const line = Array.from(bytes.subarray(at, at + 16), (byte) => byte.toString(16).padStart(2, '0'));
    lines.push(`${at.toString(16).padStart(4, '0')}  ${line.join(' ')}\n`);
  }
  return lines.join('');
}

export function parseHexdump(text: string): Uint8Array {
  const bytes = text.split('\n').flatMap((line) => line.slice(6).split(' ').filter(Boolean));
  return Uint8Array.from(bytes, (byte) => Number.parseInt(byte, 16));
}
