import type { Caller } from './access.js';
import { OverloadedError } from '../errors.js';

export interface CallQuotaOptions {
  /** Calls under way, of everybody. */
  readonly callsMax: number;
  /** Of one identity; of one address, where callers have no certificate. */
  readonly callsPerClientMax: number;
}

/** Who shares limits: all calls of one certificate's subject; of one address, where callers have no certificate. */
export function clientOf({ certified, subject }: Caller, address: string | undefined): string {
  return certified ? `identity ${subject}` : `address ${address}`;
}

/**
 * How many calls, streams among them, may be under way: whatever a call costs in memory, this bounds it. One for all
 * transports of a node.
 */
export class CallQuota {
  readonly #underWay = new Map<string, number>();
  #calls = 0;

  constructor(private readonly options: CallQuotaOptions) {}

  get callsPerClientMax(): number {
    return this.options.callsPerClientMax;
  }

  /**
   * Counts a call until the returned function is called, which may be more than once.
   *
   * @throws OverloadedError when there are too many; it is not counted
   */
  begin(caller: Caller, address: string | undefined): () => void {
    const { callsMax, callsPerClientMax } = this.options;
    const client = clientOf(caller, address);
    const ofClient = this.#underWay.get(client) ?? 0;
    if (ofClient >= callsPerClientMax) throw new OverloadedError('calls under way of one client', callsPerClientMax);
    if (this.#calls >= callsMax) throw new OverloadedError('calls under way', callsMax);
    this.#underWay.set(client, ofClient + 1);
    this.#calls += 1;
    let over = false;
    return () => {
      if (over) return;
      over = true;
      this.#calls -= 1;
      const left = (this.#underWay.get(client) ?? 1) - 1;
      if (left === 0) this.#underWay.delete(client);
      else this.#underWay.set(client, left);
    };
  }
}
