import { describe, expect, it } from '@jest/globals';
import { writeFully, type WriteSome } from './write-fully.js';

/** A file that accepts at most `bytesMax(call)` bytes per write. */
function reluctantFile(bytesMax: (call: number) => number): { bytes: number[]; calls: number[]; write: WriteSome } {
  const bytes: number[] = [];
  const calls: number[] = [];
  const write: WriteSome = async (chunks, position) => {
    const accepted = chunks.flatMap((chunk) => [...chunk]).slice(0, bytesMax(calls.length));
    calls.push(chunks.length);
    bytes.splice(position, accepted.length, ...accepted);
    return accepted.length;
  };
  return { bytes, calls, write };
}

const chunks = [[1, 2, 3], [], [4], [5, 6, 7, 8], [], [9]].map((values) => Uint8Array.from(values));

describe('writeFully', () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8, 9])('continues after writes of %i bytes', async (bytesMax) => {
    const file = reluctantFile(() => bytesMax);
    await writeFully(file.write, 0, chunks);
    expect(file.bytes).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(file.calls.length).toBe(Math.ceil(9 / bytesMax));
  });

  it('continues after any two short writes', async () => {
    for (let first = 1; first < 9; first++)
      for (let second = 1; second < 9; second++) {
        const file = reluctantFile((call) => [first, second][call] ?? 100);
        await writeFully(file.write, 0, chunks);
        expect(file.bytes).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
      }
  });

  it('passes at most 1,024 chunks per call', async () => {
    const file = reluctantFile((call) => (call === 0 ? 1_000 : 10_000));
    const many = Array.from({ length: 5_000 }, (_, i) => Uint8Array.of(i & 0xff));
    await writeFully(file.write, 0, many);
    expect(file.bytes).toEqual(many.map((chunk) => chunk[0]));
    expect(Math.max(...file.calls)).toBe(1_024);
  });

  it('makes no call if there is nothing to write', async () => {
    const file = reluctantFile(() => 100);
    await writeFully(file.write, 5, []);
    await writeFully(file.write, 5, [new Uint8Array(0), new Uint8Array(0)]);
    expect(file.calls).toEqual([]);
  });

  it('does not loop forever if nothing is written', async () => {
    const file = reluctantFile((call) => (call === 0 ? 2 : 0));
    await expect(writeFully(file.write, 0, chunks)).rejects.toThrow('reported 0 written');
  });

  it('stops at the first error', async () => {
    let calls = 0;
    const failing: WriteSome = async () => {
      if (++calls === 2) throw new Error('EIO');
      return 4;
    };
    await expect(writeFully(failing, 0, chunks)).rejects.toThrow('EIO');
    expect(calls).toBe(2);
  });
});
