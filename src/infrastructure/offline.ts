import { stat } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { crc32c } from '../adapters/checksum/crc32c.js';
import { openDataDirectory, type FileDataDirectory } from '../adapters/file-system/data-directory.js';
import { errorCode } from '../adapters/file-system/errors.js';
import { NodeDirectory } from '../adapters/file-system/node-directory.js';
import { type DumpedBatch, dumpSegment, type SegmentDump } from '../domain/log/inspect/dump-segment.js';
import { compareLogs, type LogComparison } from '../domain/log/inspect/compare-logs.js';
import { CorruptHardStateError, HardStateFile } from '../domain/log/hard-state-file.js';
import { toIndex } from '../domain/log/offsets.js';
import { hex } from '../domain/log/store-header.js';
import { type SegmentReport, verifyLog } from '../domain/log/inspect/verify.js';

export type { LogComparison } from '../domain/log/inspect/compare-logs.js';

/** The result of checking a data directory. */
export interface VerifyReport {
  readonly path: string;
  readonly nodeId: string;
  /** In hexadecimal; the same on all nodes of a cluster. */
  readonly logId: string;
  /** Entries up to this index are committed, according to the hard state that the node saved last. */
  readonly committedIndex: number;
  /** Whether a node has the directory open: the end of the log may have moved since. */
  readonly inUse: boolean;
  readonly segments: readonly SegmentReport[];
  readonly bytes: number;
  readonly batches: number;
  readonly records: number;
  readonly logStartOffset: number | undefined;
  readonly logEndOffset: number | undefined;
  /** Descriptions of lost or damaged data. Empty when every checksum is good. */
  readonly problems: readonly string[];
  /** Descriptions of what opening the log repairs automatically. */
  readonly remarks: readonly string[];
}

/**
 * Checks every checksum of a data directory without changing it. A node may have the directory open.
 *
 * @throws DataDirectoryError when there is no log to check, `UnsupportedFormatError` when it has another version
 */
export async function verify(
  path: string,
  onProgress?: (bytesDone: number, bytesTotal: number) => void,
): Promise<VerifyReport> {
  const data = await openDataDirectory(path, { create: false, readOnly: true });
  try {
    const problems: string[] = [];
    // Read before the log, which may grow in the meantime: whatever was durable by now must be found.
    const durableIndex = await readDurableIndex(data.raft, problems);
    const segments: SegmentReport[] = [];
    const options = { crc32c, logId: data.logId, ...(onProgress !== undefined && { onProgress }) };
    for await (const segment of verifyLog(data.log, options)) segments.push(segment);

    for (const { fileName, problems: found } of segments) problems.push(...found.map((text) => `${fileName}: ${text}`));
    const end = segments.at(-1)?.end;
    if (end !== undefined && end.index <= durableIndex) {
      problems.push(
        `the log ends before index ${end.index}, but entries up to index ${durableIndex} had been made durable`,
      );
    }
    if (segments.length === 0 && durableIndex > 0)
      problems.push(`the log is missing: entries up to index ${durableIndex} had been made durable`);
    return {
      path: data.path,
      nodeId: data.nodeId,
      logId: hex(data.logId),
      committedIndex: durableIndex,
      inUse: data.holder !== undefined,
      segments,
      bytes: sum(segments, ({ bytes }) => bytes),
      batches: sum(segments, ({ batches }) => batches),
      records: sum(segments, ({ records }) => records),
      logStartOffset: segments[0]?.base?.offset,
      logEndOffset: end?.offset,
      problems,
      remarks: segments.flatMap(({ fileName, remarks }) => remarks.map((text) => `${fileName}: ${text}`)),
    };
  } finally {
    await data.close();
  }
}

/** The result of comparing the data directories of the nodes of a cluster. */
export interface CompareReport {
  /** The report of `verify` on each directory. */
  readonly directories: readonly VerifyReport[];
  /** Undefined when the directories hold different logs. */
  readonly comparison: LogComparison | undefined;
  /** Descriptions of where the logs differ although they must not. Empty when they agree. */
  readonly differences: readonly string[];
}

/**
 * Checks each directory as `verify` does, then compares their logs entry by entry (see `compareLogs`), without changing
 * anything. A directory in use is compared up to what it had committed when it was checked.
 */
export async function compare(
  paths: readonly string[],
  onProgress?: (bytesDone: number, bytesTotal: number) => void,
): Promise<CompareReport> {
  const directories: VerifyReport[] = [];
  for (const path of paths) directories.push(await verify(path, onProgress));
  const [{ logId, path: firstPath }] = directories;
  const foreign = directories.filter((report) => report.logId !== logId);
  if (foreign.length > 0) {
    const differences = foreign.map(
      (report) => `${report.path} holds log ${report.logId}, but ${firstPath} holds log ${logId}`,
    );
    return { directories, comparison: undefined, differences };
  }
  const comparison = await compareDirectories(directories, onProgress);
  return { directories, comparison, differences: differencesOf(comparison, directories) };
}

async function compareDirectories(
  directories: readonly VerifyReport[],
  onProgress?: (bytesDone: number, bytesTotal: number) => void,
): Promise<LogComparison> {
  const opened: FileDataDirectory[] = [];
  try {
    for (const { path } of directories) opened.push(await openDataDirectory(path, { create: false, readOnly: true }));
    const logs = opened.map(({ log }, i) => ({
      directory: log,
      committedIndex: toIndex(directories[i].committedIndex),
    }));
    const bytesTotal = sum(directories, ({ bytes }) => bytes);
    return await compareLogs(logs, {
      checksum: { crc32c, logId: opened[0].logId },
      sameBytes: (a, b) => Buffer.compare(a, b) === 0,
      ...(onProgress && { onProgress: (bytesDone: number) => onProgress(bytesDone, bytesTotal) }),
    });
  } finally {
    for (const data of opened) await data.close();
  }
}

function differencesOf({ common, difference }: LogComparison, directories: readonly VerifyReport[]): string[] {
  if (difference) {
    const found = difference.found.map(
      ({ log, offset, term, recordCount, bytes, crc32c: crc }) =>
        `${directories[log].path} has offset ${offset}, term ${term}, ${recordCount} records, ${bytes} bytes, CRC ${hexOfCrc(crc)}`,
    );
    return [`the committed entries at index ${difference.index} differ: ${found.join('; ')}`];
  }
  const committed = directories.some(({ committedIndex }) => committedIndex > 0);
  return committed && !common ? ['nothing was compared: no entry is committed in all directories'] : [];
}

/** Yields the header of a store file, then its batches in order, including the corrupt ones. */
export async function* dump(path: string): AsyncGenerator<SegmentDump | DumpedBatch, void, void> {
  const file = resolve(path);
  const found = await stat(file).catch((cause: unknown) => {
    if (errorCode(cause) !== 'ENOENT') throw cause;
    throw new Error(`there is no file ${path}: expected a segment's .store file`, { cause });
  });
  if (!found.isFile()) throw new Error(`${path} is not a file: expected a segment's .store file`);
  const directory = await NodeDirectory.open(dirname(file), { readOnly: true });
  yield* dumpSegment(directory, basename(file), { crc32c });
}

async function readDurableIndex(directory: NodeDirectory, problems: string[]): Promise<number> {
  try {
    const hardState = await HardStateFile.read(directory, crc32c);
    if (hardState === undefined) problems.push('the hard state is missing');
    return hardState?.commit ?? 0;
  } catch (error) {
    if (!(error instanceof CorruptHardStateError)) throw error;
    problems.push(error.message);
    return 0;
  }
}

/** Formats a CRC as eight hexadecimal digits, as the documentation of the storage format does. */
export function hexOfCrc(crc: number): string {
  return crc.toString(16).padStart(8, '0');
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}
