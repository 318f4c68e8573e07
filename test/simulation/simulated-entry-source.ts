import { UnavailableError } from '../../src/application/errors.js';
import type { EntrySource, LogEnd } from '../../src/application/ports/entry-source.js';
import type { Peer } from '../../src/application/ports/peer-transport.js';
import { unlessAborted } from '../../src/application/waiting/unless-aborted.js';
import type { RecordBatch, BatchChecksum } from '../../src/domain/log/record-batch.js';
import type { Chance } from './chance.js';
import { copyBatch } from './message-copy.js';
import type { Listener } from './network.js';
import type { SimulatedTransport } from './simulated-transport.js';
import { InvariantError } from './world.js';

/** How long to wait for the end of a log, as in the adapter. */
const answerMs = 3_000;
/** Most entries in one response: few, so that much can happen during a repair. */
const entriesMax = 8;

/** Reads the logs of the other members over the simulated network: one call per few entries. */
export class SimulatedEntrySource implements EntrySource {
  constructor(
    private readonly transport: SimulatedTransport,
    private readonly own: Listener,
    /** This node's Raft id. */
    private readonly id: number,
    private readonly checksum: BatchChecksum,
    private readonly chance: Chance,
  ) {}

  async logEnd(peer: Peer, term: number, signal: AbortSignal): Promise<LogEnd> {
    const late = new AbortController();
    const cancel = this.own.process.schedule(answerMs, 'no log end', () =>
      late.abort(new UnavailableError('no answer in time')),
    );
    const asked = this.#ask(peer, 'log end', async ({ entries }) => entries?.logEnd(this.id, term));
    try {
      return await unlessAborted(AbortSignal.any([signal, late.signal]), asked);
    } finally {
      cancel();
    }
  }

  async *read(
    peer: Peer,
    from: number,
    until: number,
    signal: AbortSignal,
  ): AsyncGenerator<readonly RecordBatch[], void, void> {
    for (let next = from; next < until;) {
      signal.throwIfAborted();
      const upTo = Math.min(until, next + this.chance.between(1, entriesMax));
      const asked = this.#ask(peer, `entries ${next} to ${upTo}`, async ({ entries }) => {
        if (entries === undefined) return undefined;
        for await (const batches of entries.read(next, upTo))
          return batches.map((each) => copyBatch(each, this.checksum));
        return [];
      });
      const batches = await unlessAborted(signal, asked);
      next += batches.length;
      yield batches;
    }
  }

  /** Treats any failure as a missing answer. */
  async #ask<T>(peer: Peer, what: string, act: (to: Listener) => Promise<T | undefined>): Promise<T> {
    try {
      const answer = await this.transport.call(this.transport.addressOf(peer), what, (to) =>
        to.self === peer.id ? act(to) : Promise.resolve(undefined),
      );
      if (answer === undefined) throw new UnavailableError(`no member serves entries at ${peer.rpcAddr}`);
      return answer;
    } catch (error) {
      if (error instanceof InvariantError) throw error;
      throw new UnavailableError(error instanceof Error ? error.message : String(error));
    }
  }
}
