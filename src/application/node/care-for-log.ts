import type { ScrubStatus } from '../ports/cluster.js';
import { ScrubPositionFile } from '../repair/scrub-position.js';
import { Scrubber } from '../repair/scrubber.js';
import { SegmentRepair, type SegmentRepairOptions } from '../repair/segment-repair.js';
import type { NodeDependencies } from './node-dependencies.js';

type Options = Omit<SegmentRepairOptions, 'clock' | 'logger' | 'onFatal'>;

/** The work against damage in a log that is in use. */
export interface LogCare {
  readonly status: () => ScrubStatus;
  stop(): Promise<void>;
}

/** Begins to look for damage in sealed segments, and to repair what is found, by whomever. */
export async function careForLog(deps: NodeDependencies, options: Options): Promise<LogCare> {
  const { settings, directory, crc32c, clock, logger, onFatal } = deps;
  const position = await ScrubPositionFile.open(directory.raft, crc32c);
  const outside = { clock, logger, onFatal };
  const repair = new SegmentRepair({ ...options, ...outside });
  const { log } = options;
  const { scrubBytesPerSecond: bytesPerSecond } = settings;
  const scrubber = new Scrubber({ log, position, bytesPerSecond, repair: () => repair.progress, ...outside });
  return {
    status: () => scrubber.status,
    stop: async () => {
      await Promise.all([scrubber.stop(), repair.stop()]);
    },
  };
}
