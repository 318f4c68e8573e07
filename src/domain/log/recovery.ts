import type { Index, Offset } from './offsets.js';

/**
 * A range of offsets and indexes, `to` and `toIndex` exclusive, that are lost or damaged on this node and never served.
 */
export interface Quarantine {
  readonly from: Offset;
  /** Equal to `from` when no offset is known to be lost. */
  readonly to: Offset;
  /** The end of the log is lost, and it is unknown how many offsets: none from `from` on is readable. */
  readonly endUnknown?: true;
  readonly fromIndex: Index;
  readonly toIndex: Index;
  readonly reason: string;
}

/** The findings and repairs of opening a log; see `Log.recovery`. */
export interface RecoveryReport {
  readonly segments: number;
  /** The number of store bytes that were scanned. */
  readonly scannedBytes: number;
  /**
   * The size of the torn tail that was cut off, and the name of the file with a copy of it, if there was space for one.
   */
  readonly torn: { readonly bytes: number; readonly fileName: string | undefined } | undefined;
  readonly quarantined: readonly Quarantine[];
  readonly indexesRebuilt: number;
}

/** An event that an operator should know about. */
export type LogNotice =
  | { readonly kind: 'torn tail cut'; readonly fileName: string; readonly bytes: number; readonly keptAs?: string }
  | ({ readonly kind: 'quarantined'; readonly fileName: string } & Quarantine)
  | ({ readonly kind: 'damage found by a read'; readonly fileName: string } & Quarantine)
  | { readonly kind: 'header damaged'; readonly fileName: string }
  | { readonly kind: 'retention waits for space' }
  | { readonly kind: 'index rebuilt'; readonly fileName: string; readonly reason: string }
  | { readonly kind: 'leftover removed'; readonly fileName: string }
  | { readonly kind: 'log start unknown'; readonly reason: string };

/** The findings of one segment's scan, as the inputs of the decision table. */
export interface Findings {
  /** Only the last segment can have an unsynced end. */
  readonly segment: 'last' | 'sealed';
  readonly badBytes: boolean;
  /** True if a good batch follows bad bytes, or may follow them. */
  readonly validAfter: boolean;
  /** True if everything known to be synced was found before the first bad byte. */
  readonly durableFound: boolean;
  /** True if it is known up to which index the log was synced: see synced-index.ts. */
  readonly syncedKnown: boolean;
  /** True if the disk could not read some of the bad bytes: what a crash tears can be read. */
  readonly unreadable: boolean;
}

export type RecoveryAction = 'go on' | 'cut the torn tail' | 'quarantine';

interface RecoveryRow {
  readonly found: string;
  readonly when: Partial<Findings>;
  readonly action: RecoveryAction;
}

/**
 * The first matching row decides. Conditions that prevent opening (files of another log, missing segments) throw before
 * this. Bytes that the disk cannot read may have been acknowledged, so they never count as a torn tail. A disk may keep
 * later pages of a write and lose earlier ones, so whole batches after bad bytes prove corruption only when it is not
 * known that all of them were unsynced.
 */
export const recoveryTable: readonly RecoveryRow[] = [
  {
    found: 'a sealed segment fails its checks',
    when: { segment: 'sealed', badBytes: true },
    action: 'quarantine',
  },
  {
    found: 'a sealed segment ends where the next one begins',
    when: { segment: 'sealed', badBytes: false },
    action: 'go on',
  },
  {
    found: 'bytes that the disk cannot read',
    when: { badBytes: true, unreadable: true },
    action: 'quarantine',
  },
  {
    found: 'bad bytes at or below the durable index',
    when: { badBytes: true, durableFound: false },
    action: 'quarantine',
  },
  {
    found: 'bad bytes with a valid batch after them',
    when: { badBytes: true, validAfter: true, syncedKnown: false },
    action: 'quarantine',
  },
  {
    found: 'bad bytes after the last synced batch, with valid ones after them that were not synced either',
    when: { badBytes: true, validAfter: true, syncedKnown: true, durableFound: true },
    action: 'cut the torn tail',
  },
  {
    found: 'bad bytes after the last synced batch, nothing valid after them',
    when: { badBytes: true, validAfter: false, durableFound: true },
    action: 'cut the torn tail',
  },
  {
    found: 'a clean end below the durable index',
    when: { badBytes: false, durableFound: false },
    action: 'quarantine',
  },
  { found: 'a clean end', when: { badBytes: false, durableFound: true }, action: 'go on' },
];

export function decideRecovery(findings: Findings): RecoveryRow {
  const row = recoveryTable.find(({ when }) =>
    (Object.keys(when) as (keyof Findings)[]).every((key) => when[key] === findings[key]),
  );
  if (!row) throw new RangeError(`no row of the recovery table matches ${JSON.stringify(findings)}`);
  return row;
}
