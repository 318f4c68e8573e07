import { constants, fstatSync, openSync, writeSync } from 'node:fs';
import { isatty } from 'node:tty';

/** What is held while nothing can be written; lines above it are lost. */
const heldBytesMax = 1 << 20;
const writtenBytesMax = 64 << 10;
/** How soon to try again where the reader is slow, and where writing fails. */
const retryMs = { slow: 20, failing: 1_000 };
/** How long a process that exits waits for a slow reader. */
const exitWaitMs = 500;
const exitStepMs = 5;

/** Writes some of the bytes and returns how many, or throws the system's error; EAGAIN: the reader is slow. */
export type WriteSome = (bytes: Uint8Array) => number;

/**
 * Writes log lines, and neither throws nor waits: lines that cannot be written are held, up to a limit; more are lost,
 * and counted.
 */
export class LogOutput {
  /** Whole lines, but for the first, of which a part may have been written. */
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  #lost = 0;
  #retry: NodeJS.Timeout | undefined;

  /** `onLost` is called once lines can be written again, and may log. */
  constructor(
    private readonly writeSome: WriteSome,
    private readonly onLost: (lines: number) => void,
  ) {}

  write(line: string): void {
    const bytes = Buffer.from(line);
    if (this.#heldBytes + bytes.length > heldBytesMax) {
      this.#lost += 1;
      return;
    }
    this.#held.push(bytes);
    this.#heldBytes += bytes.length;
    if (this.#retry === undefined) this.#writeHeld();
  }

  /** Writes what is held before the process exits. Waits for a slow reader, but not long. */
  flush(): void {
    for (let waitedMs = 0; this.#heldBytes > 0 && waitedMs < exitWaitMs; waitedMs += exitStepMs) {
      if (this.#tryHeld() === 'failing') return;
      if (this.#heldBytes > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, exitStepMs);
    }
  }

  #writeHeld(): void {
    const outcome = this.#tryHeld();
    if (outcome === 'written') {
      this.#reportLost();
      return;
    }
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#writeHeld();
    }, retryMs[outcome]).unref();
  }

  #tryHeld(): 'written' | 'slow' | 'failing' {
    try {
      while (this.#heldBytes > 0) this.#drop(this.writeSome(this.#next()));
      return 'written';
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'EAGAIN' ? 'slow' : 'failing';
    }
  }

  /** The bytes to write next: several lines at once where they are short. */
  #next(): Uint8Array {
    if (this.#held.length === 1) return this.#held[0];
    let bytes = 0;
    const lines = this.#held.findIndex((line) => (bytes += line.length) > writtenBytesMax);
    return Buffer.concat(this.#held.slice(0, lines === -1 ? undefined : Math.max(lines, 1)));
  }

  #drop(written: number): void {
    this.#heldBytes -= written;
    let left = written;
    while (left > 0 && left >= this.#held[0].length) left -= this.#held.shift()!.length;
    if (left > 0) this.#held[0] = this.#held[0].subarray(left);
  }

  #reportLost(): void {
    const lost = this.#lost;
    this.#lost = 0;
    if (lost > 0) this.onLost(lost);
  }
}

/**
 * Returns a way to write to the standard error that does not wait for its reader. A file is written as it is: only a
 * disk that hangs makes that wait.
 */
export function standardErrorWriter(): WriteSome {
  const descriptor = descriptorThatDoesNotWait();
  return (bytes) => writeSync(descriptor, bytes);
}

/** The reader of a pipe, socket or terminal may stop to read, such as by Ctrl-S. */
function descriptorThatDoesNotWait(): number {
  const stats = fstatSync(2);
  const isTerminal = isatty(2);
  if (!stats.isFIFO() && !stats.isSocket() && !isTerminal) return 2;
  try {
    // Opened again, so that other processes that write to the same pipe or terminal still wait for its reader.
    return openSync('/dev/fd/2', constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    // A socket, or a pipe of another user. Node makes its descriptor one that does not wait when it makes this stream.
    return isTerminal ? 2 : process.stderr.fd;
  }
}
