import type { HardStateFile } from '../../domain/log/hard-state-file.js';
import type { Log } from '../../domain/log/log.js';
import type { ConfigurationFile } from '../configuration/configuration-file.js';
import { describeClusterId } from '../configuration/member-names.js';
import type { Vouch, VouchHandler, VouchRequest } from '../ports/vouching.js';
import type { PeerNotes } from './peer-notes.js';

/** More callers are not asked back. */
const callersMax = 16;

export interface VoucherOptions {
  readonly clusterId: Uint8Array;
  /** The UUID of this node's data directory, and HOST:PORT where its peers reach it. */
  readonly self: { readonly uuid: string; readonly rpcAddr: string };
  readonly configuration: Pick<ConfigurationFile, 'current' | 'stored' | 'generation'>;
  readonly hardState: Pick<HardStateFile, 'current'>;
  readonly log: Pick<Log, 'lastTerm' | 'lastIndex'>;
  readonly notes: PeerNotes;
}

/** Answers members that start from this node's notes, from its first moment on: before its own identity is proved. */
export class Voucher implements VouchHandler {
  readonly #callers = new Set<string>();
  #aliveAt: (request: VouchRequest) => string | undefined = () => undefined;

  constructor(private readonly options: VoucherOptions) {}

  /** HOST:PORTs of the nodes of this cluster that have asked since the start. */
  get callers(): readonly string[] {
    return [...this.#callers];
  }

  /** From now on, `find` tells where another process runs as the member that asks. */
  watch(find: (request: VouchRequest) => string | undefined): void {
    this.#aliveAt = find;
  }

  vouch(request: VouchRequest): Vouch | undefined {
    const { clusterId, self, configuration, hardState, log, notes } = this.options;
    const { uuid, rpcAddr } = self;
    const { stored } = configuration;
    if (stored === undefined || request.generation !== configuration.generation) return undefined;
    if (describeClusterId(request.clusterId) !== describeClusterId(clusterId)) return undefined;
    if (request.uuid !== uuid && this.#callers.size < callersMax) this.#callers.add(request.rpcAddr);
    const note = notes.of(request.uuid, request.id);
    const seat = configuration.current.members.findLast((member) => member.uuid === request.uuid);
    const isTwin = request.uuid === uuid && request.rpcAddr !== rpcAddr;
    const aliveAt = isTwin ? rpcAddr : request.uuid === uuid ? undefined : this.#aliveAt(request);
    return {
      uuid,
      id: stored.id,
      term: hardState.current.term,
      last: { term: log.lastTerm, index: log.lastIndex },
      ...(note && { note }),
      ...(aliveAt !== undefined && { aliveAt }),
      ...(seat !== undefined && seat.id > request.id && { laterId: seat.id }),
      ...(configuration.current.index > (request.configurationIndex ?? Infinity) && {
        configuration: configuration.current,
      }),
    };
  }
}
