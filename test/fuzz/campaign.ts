import { getHeapStatistics } from 'node:v8';
import { Chance } from '../simulation/chance.js';
import { inputFor } from './mutation.js';
import { Refusal, type Target } from './target.js';

/** A decoder that takes longer for 256 KiB has a worse than linear cost; on a busy machine, it gets more tries. */
const millisecondsMax = 1_000;
const triesMax = 3;

export type Outcome = 'value' | 'refused';

/** The failure that one input caused. */
export class Finding extends Error {
  override readonly name = 'Finding';
}

/** Decodes the input of a seed. Rejects with a `Finding`. */
export async function tryOnce(target: Target, seed: number): Promise<Outcome> {
  const input = inputFor(target, new Chance(seed).fork(target.name));
  const heldMax = (target.heldBytesMax ?? 4 << 20) + (target.heldBytesForEach ?? 64) * input.length;
  const attempts: Attempt[] = [];
  while (attempts.length < triesMax) {
    const attempt = await attemptOnce(target, input.slice());
    if (attempt.milliseconds <= millisecondsMax && attempt.heldBytes <= heldMax) return attempt.outcome;
    attempts.push(attempt);
  }
  const [milliseconds, held] = [attempts.map((each) => each.milliseconds), attempts.map((each) => each.heldBytes)];
  throw new Finding(
    `${input.length} bytes take ${Math.round(Math.min(...milliseconds))} ms (limit ${millisecondsMax}) ` +
      `and hold ${Math.min(...held)} bytes (limit ${heldMax})`,
  );
}

interface Attempt {
  readonly outcome: Outcome;
  readonly milliseconds: number;
  readonly heldBytes: number;
}

const refused = Symbol('refused');

async function attemptOnce(target: Target, input: Uint8Array): Promise<Attempt> {
  const before = bytesInUse();
  const began = performance.now();
  const value = await decodeOnce(target, input);
  const milliseconds = performance.now() - began;
  const heldBytes = bytesInUse() - before;
  return { outcome: value === refused ? 'refused' : 'value', milliseconds, heldBytes };
}

async function decodeOnce(target: Target, input: Uint8Array): Promise<unknown> {
  try {
    return await target.decode(input);
  } catch (error) {
    if ([Refusal, ...target.refusals].some((type) => error instanceof type)) return refused;
    throw new Finding(error instanceof Error ? (error.stack ?? error.message) : String(error), { cause: error });
  }
}

function bytesInUse(): number {
  const { used_heap_size: heap, external_memory: external } = getHeapStatistics();
  return heap + external;
}
