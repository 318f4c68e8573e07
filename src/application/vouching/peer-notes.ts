import type { Crc32c } from '../../domain/log/checksum.js';
import { type Directory, isNoSpaceError } from '../../domain/log/directory.js';
import { readWhole, writeDurably } from '../../domain/log/durable-file.js';
import { decodeJsonFile, encodeJsonFile, type JsonFileFormat } from '../../domain/log/json-file.js';
import { compareEntryIds, type EntryId } from '../../domain/raft/entry-id.js';
import type { MemberNote } from '../ports/vouching.js';
import { fieldsOf, isNatural, parsedObject } from './parsed-json.js';

const fileName = 'peer-notes';
const format: JsonFileFormat = { magic: 0x474c504e /* 'GLPN' */, version: 1 };
/** Members that were removed long ago leave first. */
const notesMax = 256;

const noEntry: EntryId = { term: 0, index: 0 };
const nothing: MemberNote = { incarnation: 0, term: 0, durable: noEntry };

/**
 * What this node has seen of its peers, by the UUID of their data directory and their Raft id: a member that was admitted
 * again under a new id has promised nothing under it. Nothing ever goes back. It holds for this node itself too, so that
 * a leader can forward what it knows of every voter.
 *
 * The file holds JSON, with the magic `GLPN` in its header. It is written every few seconds: the seconds before a crash
 * may be missing.
 */
export class PeerNotes {
  #isWritten = true;

  private constructor(
    private readonly directory: Directory,
    private readonly crc32c: Crc32c,
    private readonly notes: Map<string, MemberNote>,
    /** Whether the file was there and could not be read. */
    readonly isDamaged: boolean,
  ) {}

  static async open(directory: Directory, crc32c: Crc32c): Promise<PeerNotes> {
    const bytes = await readWhole(directory, fileName);
    const notes = bytes && decodeNotes(bytes, crc32c);
    return new PeerNotes(
      directory,
      crc32c,
      notes ?? new Map<string, MemberNote>(),
      bytes !== undefined && notes === undefined,
    );
  }

  of(uuid: string, id: number): MemberNote | undefined {
    return this.notes.get(keyOf(uuid, id));
  }

  /** Notes what a member has shown of itself, where that is more than what is known. */
  add(uuid: string, id: number, shown: Partial<MemberNote>): void {
    const key = keyOf(uuid, id);
    const known = this.notes.get(key) ?? nothing;
    const incarnation = Math.max(known.incarnation, shown.incarnation ?? 0);
    const term = Math.max(known.term, shown.term ?? 0);
    const { durable = noEntry } = shown;
    const isFurther = compareEntryIds(durable, known.durable) > 0;
    if (incarnation === known.incarnation && term === known.term && !isFurther) return;
    this.notes.delete(key);
    this.notes.set(key, { incarnation, term, durable: isFurther ? durable : known.durable });
    this.#isWritten = false;
    const [oldest] = this.notes.keys();
    if (this.notes.size > notesMax && oldest !== undefined) this.notes.delete(oldest);
  }

  /** Writes the notes if they have changed. Durable when it resolves; on a full disk they wait for the next time. */
  async write(): Promise<void> {
    if (this.#isWritten) return;
    this.#isWritten = true;
    const file = encodeJsonFile(format, Object.fromEntries(this.notes), this.crc32c);
    try {
      await writeDurably(this.directory, fileName, file);
    } catch (error) {
      this.#isWritten = false;
      if (!isNoSpaceError(error)) throw error;
    }
  }
}

function keyOf(uuid: string, id: number): string {
  return `${uuid} ${id}`;
}

/** Returns undefined for a file that is damaged, or of another version. */
export function decodeNotes(bytes: Uint8Array, crc32c: Crc32c): Map<string, MemberNote> | undefined {
  const decoded = decodeJsonFile(format, bytes, crc32c);
  const stored = 'fault' in decoded ? undefined : parsedObject(decoded.json);
  if (stored === undefined) return undefined;
  const notes = new Map<string, MemberNote>();
  for (const [key, value] of Object.entries(stored)) {
    const note = noteOf(fieldsOf(value) ?? {});
    if (note === undefined) return undefined;
    notes.set(key, note);
  }
  return notes;
}

function noteOf({ incarnation, term, durable }: Readonly<Record<string, unknown>>): MemberNote | undefined {
  const last = fieldsOf(durable);
  if (!isNatural(incarnation) || !isNatural(term) || !isNatural(last?.term) || !isNatural(last.index)) return undefined;
  return { incarnation, term, durable: { term: last.term, index: last.index } };
}
