import type { Index, Offset } from './offsets.js';

/** Offsets and indexes, `to` and `toIndex` exclusive, that are lost or damaged on this node: never served. */
export interface Quarantine {
  readonly from: Offset;
  /** As `from` when no offset is known to be lost, or when nobody knows how many are. */
  readonly to: Offset;
  readonly fromIndex: Index;
  readonly toIndex: Index;
  readonly reason: string;
}

/** What opening found and did; `log.recovery`. */
export interface RecoveryReport {
  readonly segments: number;
  /** Bytes of stores that were read through. */
  readonly scannedBytes: number;
  /** Bytes cut off the end of the log as torn, and the name of the file that keeps them, if there was space for one. */
  readonly torn: { readonly bytes: number; readonly fileName: string | undefined } | undefined;
  readonly quarantined: readonly Quarantine[];
  readonly indexesRebuilt: number;
}

/** Something that an operator should hear of. */
export type LogNotice =
  | { readonly kind: 'torn tail cut'; readonly fileName: string; readonly bytes: number; readonly keptAs?: string }
  | ({ readonly kind: 'quarantined'; readonly fileName: string } & Quarantine)
  | ({ readonly kind: 'damage found by a read'; readonly fileName: string } & Quarantine)
  | { readonly kind: 'retention waits for space' }
  | { readonly kind: 'index rebuilt'; readonly fileName: string; readonly reason: string }
  | { readonly kind: 'leftover removed'; readonly fileName: string }
  | { readonly kind: 'log start unknown'; readonly reason: string };

/** What the scan of one segment found, in the terms of the decision table. */
export interface Findings {
  /** Only the last segment may have an unsynced end. */
  readonly segment: 'last' | 'sealed';
  readonly badBytes: boolean;
  /** Whether a good batch stands behind bad bytes, or may stand there. */
  readonly validAfter: boolean;
  /** Whether all that is known to have been synced was found before the first bad byte. */
  readonly durableFound: boolean;
  /** Whether it is known how far the log was synced, to the last moment: see synced-index.ts. */
  readonly syncedKnown: boolean;
}

export type RecoveryAction = 'go on' | 'cut the torn tail' | 'quarantine';

interface RecoveryRow {
  readonly found: string;
  readonly when: Partial<Findings>;
  readonly action: RecoveryAction;
}

/**
 * The first row that fits decides. What refuses to open at all (files of another log, segments that are gone) throws
 * before this. A disk may keep later pages of a write and lose earlier ones, so whole batches after bad bytes prove
 * corruption only when nothing says that all of it was still unsynced.
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
  if (!row) throw new RangeError(`no row of the recovery table fits ${JSON.stringify(findings)}`);
  return row;
}
