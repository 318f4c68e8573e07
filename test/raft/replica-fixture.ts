import { crc32c } from '../../src/adapters/checksum/crc32c.js';
import { MemoryDirectory } from '../../src/adapters/memory/memory-directory.js';
import { seededRandom } from '../../src/adapters/memory/seeded-random.js';
import type { CommitLog } from '../../src/application/ports/commit-log.js';
import { ConfigurationFile } from '../../src/application/configuration/configuration-file.js';
import { OutcomeUnknownError, UnavailableError } from '../../src/application/errors.js';
import { startReplica as startFollowing } from '../../src/application/node/start-replica.js';
import type {
  Contact,
  FollowFrom,
  ReplicaUplink,
  SourceNews,
  SourceStatus,
} from '../../src/application/ports/replica-uplink.js';
import type { Retention } from '../../src/domain/log/retention.js';
import type { ReplicaCluster } from '../../src/application/replica/replica-cluster.js';
import type { Replica } from '../../src/application/replica/replica.js';
import { unlessAborted } from '../../src/application/waiting/unless-aborted.js';
import type { Directory } from '../../src/domain/log/directory.js';
import type { Log } from '../../src/domain/log/log.js';
import { toOffset } from '../../src/domain/log/offsets.js';
import { storedBytes } from '../../src/domain/log/record-batch.js';
import { decodeRecord } from '../../src/domain/log/record.js';
import { forEachRecord } from '../../src/domain/log/records.js';
import { RecordingLogger } from '../logging/recording-logger.js';
import { dataDirectoryOf, Group, type GroupMember, memberOf, records, uuidOf } from './group.js';

/** The members of a group as replicas reach them: those that run and are neither cut off nor hanging. */
export class MemoryUplink implements ReplicaUplink {
  readonly cutOff = new Set<string>();
  /** Names of members that accept calls and never answer. */
  readonly hanging = new Set<string>();
  /** The members that `follow` was called on, in order. */
  readonly followed: string[] = [];
  /** Bytes that sources have sent. */
  givenBytes = 0;
  /** Changes a source's status, for a source that lies. */
  disguise: (status: SourceStatus) => SourceStatus = (status) => status;

  /** Changes the updates of a source, for a source that misbehaves. */
  garble: (batches: SourceNews['batches']) => SourceNews['batches'] = (batches) => batches;

  constructor(private readonly group: Group) {}

  async *follow(source: Contact, from: FollowFrom, signal: AbortSignal): AsyncGenerator<SourceNews, void, void> {
    const { member, replicas } = this.#member(source);
    this.followed.push(member.name);
    const ended = new AbortController();
    signal.addEventListener('abort', () => ended.abort(signal.reason), { once: true });
    const news = replicas.follow(from, ended.signal)[Symbol.asyncIterator]();
    try {
      for (;;) {
        if (this.hanging.has(member.name)) await unlessAborted(signal, new Promise(() => undefined));
        const result = await unlessAborted(signal, news.next());
        this.#member(source);
        if (result.done === true) return;
        const { status, highWatermark } = result.value;
        const batches = this.garble(result.value.batches);
        for (const batch of batches) this.givenBytes += storedBytes(batch);
        yield { batches, highWatermark, ...(status && { status: this.disguise(status) }) };
      }
    } catch (error) {
      signal.throwIfAborted();
      throw new UnavailableError(error instanceof Error ? error.message : 'failed');
    } finally {
      ended.abort();
    }
  }

  async readBarrier(source: Contact, signal: AbortSignal): ReturnType<ReplicaUplink['readBarrier']> {
    return this.#member(source).node.readBarrier(signal);
  }

  async append(
    ...[leader, records, options]: Parameters<ReplicaUplink['append']>
  ): ReturnType<ReplicaUplink['append']> {
    const member = this.#member(leader);
    const receipt = await member.node.appendForwarded(records, options);
    if (this.cutOff.has(member.member.name)) throw new OutcomeUnknownError('the link broke during an append');
    return receipt;
  }

  producersOf(leader: Contact): ReturnType<ReplicaUplink['producersOf']> {
    return this.#member(leader).node.producersForwarded;
  }

  clusterOf(contact: Contact): ReturnType<ReplicaUplink['clusterOf']> {
    return this.#member(contact).cluster;
  }

  async close(): Promise<void> {}

  #member({ rpcAddr }: Contact): GroupMember {
    const found = [...this.group.running.values()].find(({ member }) => member.rpcAddr === rpcAddr);
    if (found === undefined || this.cutOff.has(found.member.name))
      throw new UnavailableError(`nobody answers at ${rpcAddr}`);
    return found;
  }
}

export interface ReplicaDisk {
  readonly raft: Directory;
  readonly log: Directory;
}

export interface RunningReplica {
  readonly replica: Replica;
  readonly cluster: ReplicaCluster;
  readonly service: CommitLog;
  readonly log: Log;
  readonly uplink: MemoryUplink;
  readonly logger: RecordingLogger;
  readonly fatal: unknown[];
  /** Stops the replica as its node does: everything is durable and closed. */
  stop(): Promise<void>;
}

export interface ReplicaSettings {
  readonly disk?: ReplicaDisk;
  /** The members that it reaches; a new replica knows no others. */
  readonly sources?: readonly string[];
  readonly retention?: Retention;
  readonly segmentBytesMax?: number;
  readonly scrubBytesPerSecond?: number;
  readonly reserveBytes?: number;
  readonly seed?: number;
  /** The feature level at which producers are accepted. */
  readonly exactlyOnceLevel?: number;
  /** Called before it follows anybody. */
  readonly prepare?: (uplink: MemoryUplink) => void;
}

export const newDisk = (): { raft: MemoryDirectory; log: MemoryDirectory } => ({
  raft: new MemoryDirectory(),
  log: new MemoryDirectory(),
});

export async function startReplica(group: Group, settings: ReplicaSettings = {}): Promise<RunningReplica> {
  const {
    disk = newDisk(),
    retention = {},
    segmentBytesMax,
    scrubBytesPerSecond,
    reserveBytes = 0,
    seed = 3,
    exactlyOnceLevel,
  } = settings;
  const { clock } = group;
  const uplink = new MemoryUplink(group);
  const logger = new RecordingLogger();
  const random = seededRandom(seed);
  const fatal: unknown[] = [];
  const answering: { service?: CommitLog } = {};
  const { sources } = settings;
  const configuration = await ConfigurationFile.open(disk.raft, crc32c);
  if (configuration.stored === undefined) {
    const contacts = (sources ?? []).map((name, i) => memberOf(name, i + 1));
    await configuration.write({ id: 0, contacts, history: [], replica: true });
  }
  if (sources !== undefined) for (const name of names) if (!sources.includes(name)) uplink.cutOff.add(name);
  settings.prepare?.(uplink);
  const started = await startFollowing({
    settings: {
      name: 'r1',
      rpcAddr: 'r1:8400',
      httpAddr: '',
      version: '',
      startJoinAddrs: [],
      diskReserveBytes: reserveBytes,
      retention,
      ...(segmentBytesMax !== undefined && { segmentBytesMax }),
      ...(scrubBytesPerSecond !== undefined && { scrubBytesPerSecond }),
    },
    directory: dataDirectoryOf(uuidOf('r1'), disk),
    gossip: group.gossip.node({ name: 'r1', tags: new Map() }),
    gates: {
      commitLog: { open: (service) => (answering.service = service), close: () => undefined },
      cluster: { open: () => undefined, close: () => undefined },
    },
    peerService: {
      setJoinHandler: () => undefined,
      setEntries: () => undefined,
      setReplicas: () => undefined,
      setVouchHandler: () => undefined,
    },
    crc32c,
    clock,
    logger,
    signal: forever,
    random: (n) => Math.floor(random() * n),
    onFatal: (error) => fatal.push(error),
    uplink: () => uplink,
    ...(exactlyOnceLevel !== undefined && { exactlyOnceLevel }),
  });
  const { consensus: replica, cluster } = started.work;
  const { service } = answering;
  if (service === undefined) throw new Error('the replica serves nothing');
  const stop = (): Promise<void> => group.settled(started.close());
  return { replica, cluster, service, log: started.log, uplink, logger, fatal, stop };
}

export const names = ['n1', 'n2', 'n3'];
export const forever = new AbortController().signal;

export async function groupWith(
  count: number,
  options: ConstructorParameters<typeof Group>[0] = {},
): Promise<{ group: Group; leader: GroupMember }> {
  const group = await Group.of(names, options);
  const leader = await group.leader();
  await produce(group, leader, count);
  return { group, leader };
}

export async function produce(group: Group, { node }: GroupMember, count: number, from = 0): Promise<void> {
  for (let i = from; i < from + count; i++) await group.settled(node.propose(records(`value ${i}`)));
}

export const caughtUp =
  ({ replica, log }: RunningReplica, { node }: GroupMember): (() => boolean) =>
  () =>
    replica.highWatermark === node.highWatermark && log.lastIndex === node.leadership.lastIndex;

export async function storesOf(directory: Directory): Promise<Map<string, string>> {
  const stores = new Map<string, string>();
  for (const name of (await directory.list()).filter((each) => each.endsWith('.store'))) {
    const file = await directory.open(name);
    stores.set(name, Buffer.from(await file.read(0, await file.size())).toString('base64'));
  }
  return stores;
}

export async function valuesAt({ service, log, replica }: RunningReplica): Promise<string[]> {
  const values: string[] = [];
  for (let next: number = log.startOffset; next < replica.highWatermark;) {
    const { batches } = await service.read({ offset: toOffset(next) }, { signal: forever });
    for (const { payload, recordCount, baseOffset } of batches) {
      forEachRecord(payload, (start, end) =>
        values.push(new TextDecoder().decode(decodeRecord(payload.subarray(start, end)).value)),
      );
      next = baseOffset + recordCount;
    }
  }
  return values;
}

/** Returns a replica that has everything that the leader has. */
export async function replicaOf(
  group: Group,
  leader: GroupMember,
  settings: ReplicaSettings = {},
): Promise<RunningReplica> {
  const running = await startReplica(group, { sources: names, ...settings });
  await group.until(caughtUp(running, leader));
  return running;
}
