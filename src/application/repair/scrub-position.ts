import type { Crc32c } from '../../domain/log/checksum.js';
import type { Directory } from '../../domain/log/directory.js';
import { ifSpace, readWhole, writeDurably } from '../../domain/log/durable-file.js';
import { decodeJsonFile, encodeJsonFile, type JsonFileFormat } from '../../domain/log/json-file.js';
import { fieldsOf, isNatural, parsedObject } from '../vouching/parsed-json.js';

const fileName = 'scrub';
const format: JsonFileFormat = { magic: 0x474c5343 /* 'GLSC' */, version: 1 };

/** How far a scrubber is. */
export interface ScrubPosition {
  /** The first entry that the current pass has not read; 0: the next pass has not begun. */
  readonly nextIndex: number;
  /** When the last whole pass ended: milliseconds since 1970; undefined: there was none. */
  readonly completedAtMs?: number;
}

/**
 * The file `raft/scrub`, with which a scrubber goes on after a restart. Only a note: a missing or damaged one begins a
 * pass again, and on a full disk it is not written.
 */
export class ScrubPositionFile {
  private constructor(
    private readonly directory: Directory,
    private readonly crc32c: Crc32c,
    private position: ScrubPosition,
  ) {}

  static async open(directory: Directory, crc32c: Crc32c): Promise<ScrubPositionFile> {
    const bytes = await readWhole(directory, fileName);
    return new ScrubPositionFile(directory, crc32c, (bytes && decode(bytes, crc32c)) ?? { nextIndex: 0 });
  }

  get current(): ScrubPosition {
    return this.position;
  }

  async write(position: ScrubPosition): Promise<void> {
    this.position = position;
    await ifSpace(() => writeDurably(this.directory, fileName, encodeJsonFile(format, position, this.crc32c)));
  }
}

function decode(bytes: Uint8Array, crc32c: Crc32c): ScrubPosition | undefined {
  const decoded = decodeJsonFile(format, bytes, crc32c);
  const fields = 'fault' in decoded ? undefined : fieldsOf(parsedObject(decoded.json));
  if (!isNatural(fields?.nextIndex)) return undefined;
  const { nextIndex, completedAtMs } = fields;
  return { nextIndex, ...(isNatural(completedAtMs) && { completedAtMs }) };
}
