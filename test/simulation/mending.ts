import { CorruptRangeError, IndexOutOfRangeError, LogClosedError } from '../../src/domain/log/errors.js';
import { toIndex } from '../../src/domain/log/offsets.js';
import type { Machine } from './machine.js';
import { InvariantError, type World } from './world.js';

/** A repair of sealed segments waits this long for help, and the node must start and rejoin. */
const patienceMs = 25_000;
/** Damage that a reader finds is noted within this time. */
const notedMs = 2_000;
const triesMax = 3;
/** Scrubbers that take longer for a pass are not waited for. */
const scrubPassMsMax = 30_000;
/** A scrubber rests between two passes; the repair that follows takes a moment. */
const scrubRestMs = 5_000;

/**
 * Waits for the scrubbers to find the damage that nobody has read. Then does what an operator does about damage
 * (docs/storage-format.md): has the whole log read, restarts a node where damage was found, and empties its directory if
 * no member still stores what it lacks. Ends when every member's stores are intact. Throws `InvariantError` if they do
 * not become so.
 */
export async function mend(world: World, members: () => readonly Machine[]): Promise<void> {
  const rotten = async (): Promise<Machine[]> => {
    const found: Machine[] = [];
    for (const machine of members()) if (!(await machine.rot.look())) found.push(machine);
    return found;
  };
  const serve = (machine: Machine) => (): boolean => machine.node !== undefined || hopeless(machine);
  for (const machine of await rotten()) await scrubThrough(world, machine);
  for (const machine of await rotten()) {
    world.note(`${machine.name} is mended`);
    // A scheduled crash may hit in the middle of it.
    for (let tries = 0; tries < triesMax && !(await machine.rot.look()); tries++) {
      await world.run(world.nowMs + patienceMs, serve(machine));
      await readThrough(world, machine);
      await world.run(world.nowMs + notedMs);
      await world.run(world.nowMs + patienceMs, () => !knowsDamage(machine));
      if (await machine.rot.look()) continue;
      if (machine.repair === undefined) machine.kill('all');
      await world.run(world.nowMs + 2_000, () => machine.process !== undefined);
      await world.run(world.nowMs + patienceMs, serve(machine));
    }
    if (await machine.rot.look()) continue;
    const lacking = machine.repair === undefined || machine.log === undefined ? Infinity : machine.log.lastIndex + 1;
    const from = Math.min(machine.rot.from, lacking);
    const keeper = members().find(
      (other) => other !== machine && other.node !== undefined && (other.log?.startIndex ?? Infinity) <= from,
    );
    if (keeper !== undefined)
      throw new InvariantError(
        'I11',
        `${machine.name} is damaged from entry ${from} on and not repaired, though ${keeper.name} keeps that ` +
          `(${machine.repair ?? 'it serves'})`,
      );
    world.mark('emptied, since no member stores what is damaged');
    machine.wipe();
    await world.run(world.nowMs + patienceMs, () => machine.node !== undefined);
  }
}

/** Whether the node knows of damage in its sealed segments, which it repairs while it runs. */
const knowsDamage = ({ log, node }: Machine): boolean =>
  node !== undefined && log?.damagedStretch(toIndex(log.lastIndex + 1)) !== undefined;

const hopeless = (machine: Machine): boolean => machine.repair?.startsWith('no member still stores') === true;

/** Checks that a node finds the damage in its sealed segments without a reader. */
async function scrubThrough(world: World, machine: Machine): Promise<void> {
  const { log, node, rot, scrubPassMs } = machine;
  if (log === undefined || node === undefined || scrubPassMs > scrubPassMsMax) return;
  // The pass that goes on now may be past the damage.
  const untilMs = world.nowMs + 2 * scrubPassMs + scrubRestMs;
  while (world.nowMs < untilMs && machine.log === log && !(await rot.sealedAreIntact()))
    await world.run(world.nowMs + 1_000);
  if (machine.log !== log || (await rot.sealedAreIntact())) return;
  if (!knowsDamage(machine))
    throw new InvariantError('I11', `the scrubber of ${machine.name} has not found the damage in its sealed segments`);
}

/** Reads every entry, so that damage is found. */
async function readThrough(world: World, machine: Machine): Promise<void> {
  const { log, node } = machine;
  if (log === undefined || node === undefined) return;
  let done = false;
  const read = async (): Promise<void> => {
    for (let index = log.startIndex; index <= log.lastIndex && machine.log === log; index = toIndex(index + 1)) {
      try {
        await log.readEntries(index, { until: toIndex(index + 1), bytesMax: 1 });
      } catch (error) {
        if (error instanceof LogClosedError) break;
        if (!(error instanceof CorruptRangeError || error instanceof IndexOutOfRangeError)) throw error;
      }
    }
    done = true;
  };
  machine.process?.enter('is read through', () => void read().catch((error: unknown) => world.fail(error)));
  await world.run(world.nowMs + patienceMs, () => done || machine.log !== log);
}
