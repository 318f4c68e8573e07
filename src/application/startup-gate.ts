import type { ClusterSettings, SettingsChange } from './configuration/cluster-settings.js';
import type { Cluster, ClusterStatus } from './ports/cluster.js';
import type { CommitLog, LogInfo, ReadFrom, ReadOptions, ReadResult } from './ports/commit-log.js';
import { UnavailableError } from './errors.js';
import type { AppendReceipt, OpenedProducer, ProducerOpening, ProposeOptions, Server } from './ports/consensus.js';
import type { Records } from '../domain/log/record-batch.js';

/**
 * Serves a listener that opens before the node is ready: refuses calls as retryable until `open`, then forwards them,
 * until `close`.
 */
class Gate<T> {
  #target: T | undefined;
  #reason = 'this node is starting: it has not joined its cluster yet';
  readonly #calls = new Set<AbortController>();

  open(target: T): void {
    this.#target = target;
  }

  /** Refuses calls with this reason, and ends those that are open. */
  close(reason: string): void {
    this.#target = undefined;
    this.#reason = reason;
    for (const call of this.#calls) call.abort(new UnavailableError(reason));
  }

  protected get target(): T {
    if (this.#target === undefined) throw new UnavailableError(this.#reason);
    return this.#target;
  }

  /** Returns a signal that aborts with the given one, and when the startup gate closes. Call `end` when the call is over. */
  protected begin(signal: AbortSignal): { readonly signal: AbortSignal; readonly end: () => void } {
    const call = new AbortController();
    const abort = (): void => call.abort(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    this.#calls.add(call);
    const end = (): void => {
      signal.removeEventListener('abort', abort);
      this.#calls.delete(call);
    };
    return { signal: call.signal, end };
  }
}

export class CommitLogStartupGate extends Gate<CommitLog> implements CommitLog {
  async append(records: Records, options?: ProposeOptions): Promise<AppendReceipt> {
    return this.target.append(records, options);
  }

  async openProducer(opening: ProducerOpening): Promise<OpenedProducer> {
    return this.target.openProducer(opening);
  }

  async closeProducer(id: string, epoch: number): Promise<void> {
    return this.target.closeProducer(id, epoch);
  }

  async read(from: ReadFrom, options: ReadOptions): Promise<ReadResult> {
    const { target } = this;
    const { signal, end } = this.begin(options.signal);
    return target.read(from, { ...options, signal }).finally(end);
  }

  async *follow(from: ReadFrom, options: ReadOptions): AsyncGenerator<ReadResult, never, void> {
    const { target } = this;
    const { signal, end } = this.begin(options.signal);
    try {
      return yield* target.follow(from, { ...options, signal });
    } finally {
      end();
    }
  }

  async info(signal: AbortSignal): Promise<LogInfo> {
    return this.target.info(signal);
  }

  infoNow(): LogInfo {
    return this.target.infoNow();
  }

  servers(): readonly Server[] {
    return this.target.servers();
  }
}

export class ClusterStartupGate extends Gate<Cluster> implements Cluster {
  async status(options: { readonly signal: AbortSignal; readonly local?: boolean }): Promise<ClusterStatus> {
    return this.target.status(options);
  }

  async addMember(member: { readonly name: string; readonly rpcAddr: string }, signal: AbortSignal): Promise<void> {
    return this.target.addMember(member, signal);
  }

  async promoteMember(name: string, signal: AbortSignal): Promise<void> {
    return this.target.promoteMember(name, signal);
  }

  async removeMember(name: string, signal: AbortSignal): Promise<void> {
    return this.target.removeMember(name, signal);
  }

  async transferLeadership(name: string | undefined, signal: AbortSignal): Promise<string> {
    return this.target.transferLeadership(name, signal);
  }

  async changeSettings(change: SettingsChange, signal: AbortSignal): Promise<ClusterSettings> {
    return this.target.changeSettings(change, signal);
  }

  get forwarded(): Cluster {
    return this.target.forwarded ?? this.target;
  }
}
