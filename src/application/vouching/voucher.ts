import type { HardStateFile } from '../../domain/log/hard-state-file.js';
import type { Log } from '../../domain/log/log.js';
import type { Member } from '../configuration/configuration.js';
import type { ConfigurationFile } from '../configuration/configuration-file.js';
import { describeClusterId } from '../configuration/member-names.js';
import { callersMax, type Vouch, type VouchHandler, type VouchRequest } from '../ports/vouching.js';
import type { PeerNotes } from './peer-notes.js';

export interface VoucherOptions {
  readonly clusterId: Uint8Array;
  /** The UUID of this node's data directory, and HOST:PORT where its peers reach it. */
  readonly self: { readonly uuid: string; readonly rpcAddr: string };
  readonly configuration: Pick<ConfigurationFile, 'current' | 'stored' | 'generation'>;
  readonly hardState: Pick<HardStateFile, 'current'>;
  readonly log: Pick<Log, 'lastTerm' | 'lastIndex'>;
  readonly notes: PeerNotes;
  /** Called with the UUID and HOST:PORT of a member that asks, by its UUID and name. Neither is proved. */
  readonly onCaller?: (uuid: string, rpcAddr: string) => void;
}

/** Answers members that start from this node's notes, from its first moment on: before its own identity is proved. */
export class Voucher implements VouchHandler {
  /** HOST:PORT by UUID; the one that asked last is at the end. */
  readonly #callers = new Map<string, string>();
  #aliveAt: (request: VouchRequest) => string | undefined = () => undefined;

  constructor(private readonly options: VoucherOptions) {}

  /** HOST:PORTs of the nodes of this cluster that have asked since the start. */
  get callers(): readonly string[] {
    return [...this.#callers.values()];
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
    if (request.uuid !== uuid) this.#note(request);
    const note = notes.of(request.uuid, request.id);
    const seat = configuration.current.members.findLast((member) => member.uuid === request.uuid);
    const isTwin = request.uuid === uuid && request.rpcAddr !== rpcAddr;
    const others = [...this.#callers].filter(([each]) => each !== request.uuid && this.#memberWith(each) !== undefined);
    const callers = others.map(([, rpcAddr]) => rpcAddr);
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
      ...(callers.length > 0 && { callers }),
    };
  }

  /** A member keeps its name, which a certificate proves; its UUID is known to many. Strangers take no member's place. */
  #note({ uuid, name, rpcAddr }: VouchRequest): void {
    const member = this.#memberWith(uuid);
    if (member !== undefined && member.name !== name) return;
    this.#callers.delete(uuid);
    this.#callers.set(uuid, rpcAddr);
    if (this.#callers.size > callersMax) {
      const uuids = [...this.#callers.keys()];
      this.#callers.delete(uuids.find((each) => this.#memberWith(each) === undefined) ?? uuids[0]);
    }
    if (member !== undefined) this.options.onCaller?.(uuid, rpcAddr);
  }

  /** Returns the member with that UUID; of two, the one that was admitted last. */
  #memberWith(uuid: string): Member | undefined {
    const { current, stored } = this.options.configuration;
    const isIt = (member: Member): boolean => member.uuid === uuid;
    return current.members.findLast(isIt) ?? stored?.contacts.findLast(isIt);
  }
}
