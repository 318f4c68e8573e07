import { isReadFailure, UnreadableError } from '../../domain/log/directory.js';
import type { CachedDirectory } from './cached-directory.js';
import type { Random } from './seeded-random.js';

/** The operations that change something: each is counted, and a crash can be set at each. */
const changes = ['create', 'write', 'sync', 'truncate', 'rename', 'remove', 'directory-sync'] as const;
export type DiskOperation = (typeof changes)[number] | 'open' | 'read' | 'close';

/** A planned error, counted over operations of its kind from the time it is set. */
export interface Fault {
  readonly operation: DiskOperation;
  /** The operation that fails, from 1 (default: the next). */
  readonly nth?: number;
  /** How many operations fail from that one on (default 1; `Infinity` for a dead disk). */
  readonly times?: number;
  /** Default `EIO`. */
  readonly code?: string;
  /** If set, only operations on the file of this name count and fail. */
  readonly fileName?: string;
}

export interface FaultPlan {
  /** The number, from 1, of the operation during which power is lost: see `FaultyDirectory.operations`. */
  readonly crashAtOperation?: number;
  readonly faults?: readonly Fault[];
  /** Space for file contents; a write that exceeds it writes what fits and fails with `ENOSPC`. Default: unlimited. */
  readonly freeBytes?: number;
}

/** The machine is off and nothing works any more. Continue with `afterCrash`. */
export class CrashedError extends Error {
  override readonly name = 'CrashedError';
  constructor(readonly atOperation: number) {
    super(`the simulated machine lost power at operation ${atOperation}`);
  }
}

/** A fault injected by a test. `code` is a system error code. */
export class InjectedFaultError extends Error {
  override readonly name = 'InjectedFaultError';
  constructor(
    readonly code: string,
    readonly operation: DiskOperation,
    readonly fileName: string,
  ) {
    super(`${code}: injected into ${operation} of ${JSON.stringify(fileName)}`);
  }
}

interface PendingFault {
  readonly fault: Fault;
  seen: number;
}

/**
 * One simulated disk under all directories and handles of a `FaultyDirectory`: counts, crashes and fails operations.
 */
export class FaultyDisk {
  operations = 0;
  /** A description of the last counted operation; after a crash, of the interrupted one. */
  lastOperation = 'none';
  #crashed = false;
  #faults: PendingFault[] = [];
  #capacityBytes = Infinity;

  constructor(
    readonly root: CachedDirectory,
    private readonly plan: FaultPlan,
    readonly random: Random,
  ) {
    for (const fault of plan.faults ?? []) this.inject(fault);
    if (plan.freeBytes !== undefined) this.freeBytes = plan.freeBytes;
  }

  get freeBytes(): number {
    if (this.#capacityBytes === Infinity) return Number.MAX_SAFE_INTEGER;
    return Math.max(0, this.#capacityBytes - this.root.bytes);
  }

  set freeBytes(bytes: number) {
    this.#capacityBytes = this.root.bytes + bytes;
  }

  inject(fault: Fault): void {
    this.#faults.push({ fault, seen: 0 });
  }

  /** Forgets the faults that have not happened yet. */
  heal(): void {
    this.#faults = [];
  }

  crash(): void {
    this.#crashed = true;
  }

  assertPowered(): void {
    if (this.#crashed) throw new CrashedError(this.operations);
  }

  /**
   * Performs `act`, unless this operation must fail or crash. A crash happens in the middle: changes to the cache (all
   * but syncs) are made and then lost or kept with the rest.
   */
  perform<T>(operation: DiskOperation, fileName: string, act: () => T, onFault: () => void = () => {}): T {
    this.assertPowered();
    if (isChange(operation)) {
      this.operations++;
      this.lastOperation = `${this.operations}: ${operation} ${fileName}`;
      if (this.operations === this.plan.crashAtOperation) {
        this.crash();
        this.#doHalf(operation, act);
        this.assertPowered();
      }
    }
    const code = this.#dueFault(operation, fileName);
    if (code === undefined) return act();
    onFault();
    throw failureOf(new InjectedFaultError(code, operation, fileName));
  }

  #doHalf(operation: DiskOperation, act: () => unknown): void {
    if (operation === 'sync' || operation === 'directory-sync') return;
    try {
      act();
    } catch {
      // The result is lost with the machine.
    }
  }

  #dueFault(operation: DiskOperation, fileName: string): string | undefined {
    let code: string | undefined;
    for (const pending of this.#faults) {
      const { fault } = pending;
      if (fault.operation !== operation || (fault.fileName ?? fileName) !== fileName) continue;
      const nth = fault.nth ?? 1;
      pending.seen++;
      if (pending.seen >= nth && pending.seen < nth + (fault.times ?? 1)) code ??= fault.code ?? 'EIO';
    }
    return code;
  }
}

/** Returns the error as a `Directory` reports it. */
export function failureOf(fault: InjectedFaultError): Error {
  const reads = fault.operation === 'read' || fault.operation === 'open';
  return reads && isReadFailure(fault) ? new UnreadableError(fault.fileName, { cause: fault }) : fault;
}

function isChange(operation: DiskOperation): boolean {
  return changes.some((change) => change === operation);
}
