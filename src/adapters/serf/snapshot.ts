import { constants } from 'node:fs';
import { type FileHandle, open, readFile } from 'node:fs/promises';
import type { Clock } from '../../application/ports/clock.js';
import type { LamportTimes } from '../../domain/gossip/serf.js';
import { isMissing, replaceFile } from './replace-file.js';

const { O_APPEND, O_NOFOLLOW, O_RDONLY, O_WRONLY } = constants;

/** The delay before lines are written; lines lost in a crash are learned again from the first member that answers. */
const flushMs = 500;
/** The bytes appended before the file is compacted. */
const appendedBytesMax = 128 << 10;
/** Readable by the owner only: it names the machines of the cluster. */
const fileMode = 0o600;
const maxTime = Number.MAX_SAFE_INTEGER;

/**
 * Serf's snapshot: which members were alive and which events were seen, for a restart, including one after a leave
 * (Serf's `rejoin_after_leave`).
 */
export class Snapshot {
  /**
   * Reads the file, skipping malformed lines. The file is only a help to find the others again: what cannot be read is
   * left out, and what cannot be written, on a full disk, is written when the disk has space. Both call `onFailure`.
   */
  static async open(path: string, clock: Clock, onFailure: (error: unknown) => void): Promise<Snapshot> {
    const snapshot = new Snapshot(path, clock, onFailure);
    try {
      for (const line of (await readText(path)).split('\n')) snapshot.#replay(line);
    } catch (error) {
      if (!isMissing(error)) onFailure(error);
    }
    await snapshot.#compact().catch(onFailure);
    return snapshot;
  }

  readonly #path: string;
  readonly #clock: Clock;
  readonly #onFailure: (error: unknown) => void;
  readonly #alive = new Map<string, string>();
  #times: LamportTimes = { member: 0, event: 0, query: 0 };
  #file: FileHandle | undefined;
  #appendedBytes = 0;
  #lines: string[] = [];
  #cancelFlush: (() => void) | undefined;
  #written: Promise<void> = Promise.resolve();

  private constructor(path: string, clock: Clock, onFailure: (error: unknown) => void) {
    this.#path = path;
    this.#clock = clock;
    this.#onFailure = onFailure;
  }

  /** HOST:PORT by name of the members that were alive. */
  get alive(): ReadonlyMap<string, string> {
    return this.#alive;
  }

  /** The latest times seen; 0 for none. */
  get times(): LamportTimes {
    return this.#times;
  }

  noteAlive(name: string, address: string): void {
    this.#note(`alive: ${name} ${address}`);
  }

  noteGone(name: string): void {
    if (this.#alive.has(name)) this.#note(`not-alive: ${name}`);
  }

  noteTimes({ member, event, query }: LamportTimes): void {
    if (member > this.#times.member) this.#note(`clock: ${member}`);
    if (event > this.#times.event) this.#note(`event-clock: ${event}`);
    if (query > this.#times.query) this.#note(`query-clock: ${query}`);
  }

  /** Writes all pending lines. */
  async close(): Promise<void> {
    this.#flush();
    await this.#written;
    await this.#file?.close();
    this.#file = undefined;
  }

  #note(line: string): void {
    this.#replay(line);
    this.#lines.push(line);
    this.#cancelFlush ??= this.#clock.after(flushMs, () => {
      this.#flush();
    });
  }

  #flush(): void {
    this.#cancelFlush?.();
    this.#cancelFlush = undefined;
    const lines = this.#lines;
    this.#lines = [];
    if (lines.length > 0) this.#written = this.#written.then(() => this.#append(`${lines.join('\n')}\n`));
  }

  async #append(text: string): Promise<void> {
    try {
      // After a failure the file may end in the middle of a line.
      if (this.#file === undefined || this.#appendedBytes > appendedBytesMax) await this.#compact();
      else {
        await this.#file.appendFile(text);
        this.#appendedBytes += Buffer.byteLength(text);
      }
    } catch (error) {
      this.#onFailure(error);
      await this.#file?.close().catch(() => undefined);
      this.#file = undefined;
    }
  }

  /** Rewrites the file with only the current state. */
  async #compact(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
    const { member, event, query } = this.#times;
    const text = [
      ...[...this.#alive].map(([name, address]) => `alive: ${name} ${address}\n`),
      `clock: ${member}\n`,
      `event-clock: ${event}\n`,
      `query-clock: ${query}\n`,
    ].join('');
    await replaceFile(this.#path, text, fileMode);
    this.#file = await open(this.#path, O_WRONLY | O_APPEND | O_NOFOLLOW);
    this.#appendedBytes = 0;
  }

  #replay(line: string): void {
    const [, word, rest = ''] = /^([a-z-]+)(?:: (.*))?$/.exec(line) ?? [];
    const time = /^\d{1,16}$/.test(rest) ? Math.min(Number(rest), maxTime) : 0;
    switch (word) {
      case 'alive': {
        const end = rest.lastIndexOf(' ');
        if (end > 0) this.#alive.set(rest.slice(0, end), rest.slice(end + 1));
        return;
      }
      case 'not-alive':
        this.#alive.delete(rest);
        return;
      case 'clock':
        this.#times = { ...this.#times, member: Math.max(this.#times.member, time) };
        return;
      case 'event-clock':
        this.#times = { ...this.#times, event: Math.max(this.#times.event, time) };
        return;
      case 'query-clock':
        this.#times = { ...this.#times, query: Math.max(this.#times.query, time) };
    }
  }
}

const readText = (path: string): Promise<string> => readFile(path, { encoding: 'utf8', flag: O_RDONLY | O_NOFOLLOW });
