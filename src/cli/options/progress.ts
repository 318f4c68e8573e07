import { SingleBar } from 'cli-progress';

/** Shows the progress of a command. */
export interface Progress {
  update(bytes: number, records?: number): void;
  /** Prints a line above the bar. */
  note(text: string): void;
  stop(): void;
}

/** Returns a progress bar on stderr if that is a terminal; in a pipe, only the notes are printed. */
export function progressOnTerminal(bytesTotal: number | undefined, quiet: boolean): Progress {
  const note = (text: string): void => {
    process.stderr.write(`${text}\n`);
  };
  if (quiet || !process.stderr.isTTY) return { update: () => undefined, note, stop: () => undefined };

  const known = bytesTotal !== undefined && bytesTotal > 0;
  const bar = new SingleBar({
    stream: process.stderr,
    hideCursor: true,
    clearOnComplete: true,
    stopOnComplete: false,
    fps: 8,
    format: `${known ? '{bar} {percentage}% ' : ''}{records}{speed} MB/s`,
  });
  const startMs = performance.now();
  bar.start(known ? bytesTotal : 1, 0, { records: '', speed: '0.0' });
  return {
    update: (bytes, records) => {
      const speed = (bytes / 1_000 / Math.max(1, performance.now() - startMs)).toFixed(1);
      bar.update(known ? bytes : 0, {
        records: records === undefined ? '' : `${records.toLocaleString('en')} records  `,
        speed,
      });
    },
    note: (text) => {
      process.stderr.write('\r\u001b[K');
      note(text);
    },
    stop: () => {
      bar.stop();
    },
  };
}
