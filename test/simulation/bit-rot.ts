import { logStartFileName } from '../../src/domain/log/file-names.js';
import { firstBatchPosition } from '../../src/domain/log/store-header.js';
import type { Chance } from './chance.js';
import type { Machine } from './machine.js';
import { sameEntry, type StoredEntry } from './stored-entries.js';
import type { Witness } from './witness.js';
import type { World } from './world.js';

const sectorBytes = 512;
/** Bytes of a hard-state slot: see docs/storage-format.md. */
const slots = { positions: [0, 4096], magic: 0x474c4853, commitAt: 32 } as const;

/**
 * Bytes of a log that change by themselves, on one machine.
 *
 * A cluster must survive this much: a machine rots only while all members have everything that they ever had, so that
 * each committed entry is intact on at least one member (a majority has it, and one disk is hit) and the others can
 * elect a leader. That machine may be hit again; another one only when the stores of the first are intact again. A lost
 * disk counts in the same way. Bytes after the commit index in the hard state on disk may look like a torn write, and
 * are cut off as one, though the node may have acknowledged them: the two cannot be told apart. A leader that counts on
 * them then ends the node with each heartbeat. So in that range, only entries that another leader's entries have
 * replaced are hit.
 */
export class BitRot {
  readonly #sectors: Chance;

  constructor(
    private readonly world: World,
    private readonly chance: Chance,
    private readonly machines: readonly Machine[],
    private readonly witness: Witness,
  ) {
    this.#sectors = chance.fork('sectors');
  }

  /** @param members all members of the cluster, each intact except for rot */
  async strike(members: readonly Machine[]): Promise<void> {
    const rotten: Machine[] = [];
    for (const machine of this.machines) if (!(await machine.rot.look())) rotten.push(machine);
    if (members.length === 0 || rotten.some((each) => !members.includes(each)) || rotten.length > 1) return;
    const target = rotten.length === 1 ? rotten[0] : this.chance.pick(members);
    const what = this.chance.below(10);
    if (what === 0) await this.#hitFile(target, logStartFileName);
    else if (what === 1) await this.#hitIndex(target);
    else if (this.#sectors.percent(15)) await this.#failOnce(target);
    else {
      // Often while no process runs there, so that opening finds the damage.
      if (this.chance.percent(30)) target.kill(this.chance.pick(['all', 'random'] as const));
      await this.#hitStore(target);
    }
  }

  /** A read of a store fails, and succeeds when it is tried again. */
  async #failOnce(machine: Machine): Promise<void> {
    const stores = await machine.rot.stores();
    if (stores.length === 0) return;
    const { name } = this.#sectors.pick(stores);
    (await machine.rawLog()).inject({ operation: 'read', fileName: name });
    this.world.mark('a read fails once');
    this.world.note(`a read of ${name} of ${machine.name} will fail`);
  }

  async #hitIndex(machine: Machine): Promise<void> {
    const names = (await (await machine.rawLog()).list()).filter((name) => name.endsWith('.index'));
    if (names.length > 0) await this.#hitFile(machine, this.chance.pick(names));
  }

  async #hitFile(machine: Machine, name: string): Promise<void> {
    const log = await machine.rawLog();
    if (!(await log.list()).includes(name)) return;
    const size = await (await log.open(name)).size();
    if (size === 0) return;
    const at = this.chance.below(size);
    log.corrupt(name, at, this.#mask());
    this.world.mark(`rot of ${name === logStartFileName ? name : 'an index'}`);
    this.world.note(`byte ${at} of ${name} of ${machine.name} rots`);
  }

  async #hitStore(machine: Machine): Promise<void> {
    const { chance } = this;
    const stores = (await machine.rot.stores()).filter(({ ranges }) => ranges.length > 0);
    if (stores.length === 0) return;
    const store = chance.percent(50) ? stores[stores.length - 1] : chance.pick(stores);
    const { name, length, ranges } = store;
    const i = chance.percent(60)
      ? chance.below(ranges.length)
      : chance.between(Math.max(0, ranges.length - 4), ranges.length - 1);
    const range = ranges[i];
    let from = chance.between(range.from, range.to - 1);
    let to = from + 1;
    const how = chance.below(20);
    if (how === 0) [from, to] = [chance.below(firstBatchPosition), 0];
    if (how === 0) to = from + 1;
    else if (how < 7) {
      from -= from % sectorBytes;
      to = Math.min(length, from + sectorBytes);
    } else if (how < 10) [from, to] = [range.from, length];
    const first = ranges.find((each) => from < each.to)?.index ?? range.index;
    if (!(await this.#mayLose(machine, first))) return;
    const zeros = how > 0 && how < 10;
    const isBad = this.#sectors.percent(30);
    if (!(await machine.rot.strike(name, from, to, isBad ? 'unreadable' : zeros ? 'zeros' : this.#mask()))) return;
    if (isBad) this.world.mark('bad sectors');
    const isLast = store === stores[stores.length - 1];
    this.world.mark(
      `rot of ${isLast ? 'the last' : 'a sealed'} segment${machine.process === undefined ? ', machine down' : ''}`,
    );
    this.world.note(`bytes ${from} to ${to} of ${name} of ${machine.name} rot, from entry ${first} on`);
  }

  #mask(): number {
    return 1 << this.chance.below(8);
  }

  /** Whether rot from this entry on can be told from a torn write, or removes nothing that counts. */
  async #mayLose(machine: Machine, first: number): Promise<boolean> {
    if (first <= (await durableCommit(machine))) return true;
    const own = await machine.rot.entries(true);
    const suffix = own.filter(({ index }) => index >= first);
    if (!suffix.every((entry) => this.#isRefuted(entry))) return false;
    this.world.mark('rot of what was never committed');
    return true;
  }

  #isRefuted(entry: StoredEntry): boolean {
    const committed = this.witness.committed[entry.index];
    return committed !== undefined && !sameEntry(committed, entry);
  }
}

/** Returns the commit index that the hard state on disk names even after a crash: that of the older slot. */
async function durableCommit(machine: Machine): Promise<number> {
  const raft = await machine.disk.root.subdirectory('raft');
  if (!(await raft.list()).includes('hard-state')) return 0;
  const file = await raft.open('hard-state');
  let commit = Infinity;
  for (const position of slots.positions) {
    const bytes = await file.read(position, 44);
    if (bytes.length < 44) return 0;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    if (view.getUint32(0) !== slots.magic) return 0;
    commit = Math.min(commit, Number(view.getBigUint64(slots.commitAt)));
  }
  return commit;
}
