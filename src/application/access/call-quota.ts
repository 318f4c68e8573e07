import type { Caller } from './access.js';
import { OverloadedError } from '../errors.js';

export interface CallQuotaOptions {
  /** Calls in flight of all clients, but for those of clients that have few. */
  readonly callsMax: number;
  /** More of them, for clients with few calls in flight: no others keep these out. */
  readonly callsReserved: number;
  /** Calls in flight per identity, or per address for callers without a certificate. */
  readonly callsPerClientMax: number;
}

/** A client that has so many calls in flight has no right to those reserved. */
const fewCalls = 16;

/** Returns the client that a call counts for: the subject of its certificate, or its address without one. */
export function clientOf({ certified, subject }: Caller, address: string | undefined): string {
  return certified ? `identity ${subject}` : `address ${address}`;
}

/**
 * Bounds the calls in flight, streams included, and with them the memory that calls use. All transports of a node share
 * one.
 */
export class CallQuota {
  readonly #inFlight = new Map<string, number>();
  #calls = 0;

  constructor(private readonly options: CallQuotaOptions) {}

  get callsPerClientMax(): number {
    return this.options.callsPerClientMax;
  }

  /**
   * Counts a call until the returned function is called; calling that again has no effect.
   *
   * @throws OverloadedError when there are too many; the call is not counted
   */
  begin(caller: Caller, address: string | undefined): () => void {
    const { callsMax, callsReserved, callsPerClientMax } = this.options;
    const client = clientOf(caller, address);
    const ofClient = this.#inFlight.get(client) ?? 0;
    if (ofClient >= callsPerClientMax) throw new OverloadedError('calls in flight per client', callsPerClientMax);
    if (this.#calls >= callsMax + (ofClient < fewCalls ? callsReserved : 0))
      throw new OverloadedError('calls in flight', callsMax);
    this.#inFlight.set(client, ofClient + 1);
    this.#calls += 1;
    let over = false;
    return () => {
      if (over) return;
      over = true;
      this.#calls -= 1;
      const left = (this.#inFlight.get(client) ?? 1) - 1;
      if (left === 0) this.#inFlight.delete(client);
      else this.#inFlight.set(client, left);
    };
  }
}
