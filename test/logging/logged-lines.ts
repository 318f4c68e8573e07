import type { LogEvent } from '../../src/application/ports/log-events.js';

/** The lines of a process's log that have that event; `stderr` may end within a line. */
export function loggedLines(stderr: string, event: LogEvent): Readonly<Record<string, unknown>>[] {
  return stderr
    .split('\n')
    .slice(0, -1)
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>)
    .filter((line) => line['event'] === event);
}

export function hasLogged(stderr: string, ...events: readonly LogEvent[]): boolean {
  return events.some((event) => loggedLines(stderr, event).length > 0);
}
