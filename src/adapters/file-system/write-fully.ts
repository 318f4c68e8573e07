/** One `pwritev`: writes some of the chunks at the position and resolves with the number of bytes written. */
export type WriteSome = (chunks: readonly Uint8Array[], position: number) => Promise<number>;

/** The most chunks that Linux accepts per call; longer lists are split. */
const chunksPerWriteMax = 1024;

/**
 * Writes all chunks back to back from `position`, continuing after short writes. Rejects with the first error; the
 * bytes of earlier calls have been written.
 */
export async function writeFully(writeSome: WriteSome, position: number, chunks: readonly Uint8Array[]): Promise<void> {
  let at = position;
  let next = 0;
  let rest: Uint8Array | undefined;
  while (next < chunks.length) {
    const run = chunks.slice(next, next + chunksPerWriteMax);
    if (rest) run[0] = rest;
    const wanted = run.reduce((sum, chunk) => sum + chunk.length, 0);
    const written = wanted === 0 ? 0 : await writeSome(run, at);
    if (written < 0 || written > wanted || (written === 0 && wanted > 0))
      throw new RangeError(`a write of ${wanted} bytes reported ${written} written`);
    at += written;
    [next, rest] = skip(chunks, next, rest, written);
  }
}

/** Skips `written` bytes: returns the next chunk and, if it was partly written, its remainder. */
function skip(
  chunks: readonly Uint8Array[],
  from: number,
  cut: Uint8Array | undefined,
  written: number,
): [next: number, rest: Uint8Array | undefined] {
  let left = written;
  let chunk = cut ?? chunks[from];
  let next = from;
  while (chunk && chunk.length <= left) {
    left -= chunk.length;
    chunk = chunks[++next];
  }
  return chunk && left > 0 ? [next, chunk.subarray(left)] : [next, undefined];
}
