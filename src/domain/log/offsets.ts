declare const brand: unique symbol;
type Branded<Name extends string> = number & { readonly [brand]: Name };

/** Numbers records from 0 without gaps: control entries have no offset. */
export type Offset = Branded<'Offset'>;
/** Numbers Raft entries from 1, as in the Raft paper. */
export type Index = Branded<'Index'>;
/** A byte position in a file. */
export type Position = Branded<'Position'>;
/** A Raft term. */
export type Term = Branded<'Term'>;
/** Milliseconds since the Unix epoch. */
export type EpochMs = Branded<'EpochMs'>;

function safe(value: number, what: string): number {
  if (!Number.isSafeInteger(value) || value < 0)
    throw new RangeError(`${what} must be a safe integer >= 0, not ${value}`);
  return value;
}

export const toOffset = (value: number): Offset => safe(value, 'offset') as Offset;
export const toIndex = (value: number): Index => safe(value, 'index') as Index;
export const toPosition = (value: number): Position => safe(value, 'position') as Position;
export const toTerm = (value: number): Term => safe(value, 'term') as Term;
export const toEpochMs = (value: number): EpochMs => safe(value, 'time') as EpochMs;
