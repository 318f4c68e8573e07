import { afterEach, describe, expect, it } from '@jest/globals';
import type { Container } from 'inversify';
import { memoryDataDirectory } from '../../src/adapters/memory/memory-data-directory.js';
import { Cluster } from '../../src/application/ports/cluster.js';
import { CommitLog } from '../../src/application/ports/commit-log.js';
import { DataDirectory } from '../../src/application/ports/data-directory.js';
import { Logger } from '../../src/application/ports/logger.js';
import { WrongRoleError } from '../../src/application/replica/replica-role.js';
import type { Directory } from '../../src/domain/log/directory.js';
import { toOffset } from '../../src/domain/log/offsets.js';
import { ConfigError, resolveConfig } from '../../src/infrastructure/config.js';
import { createContainer } from '../../src/infrastructure/container.js';
import { Node, OnFatal } from '../../src/infrastructure/node.js';
import { records } from './group.js';
import { RecordingLogger } from '../logging/recording-logger.js';

const forever = new AbortController().signal;

interface Running {
  readonly container: Container;
  readonly node: Node;
  readonly rpcAddr: string;
  readonly gossipAddr: string;
  readonly logger: RecordingLogger;
  readonly directory: DataDirectory;
  readonly log: CommitLog;
  readonly cluster: Cluster;
}

const running = new Set<Node>();
afterEach(async () => {
  for (const node of running) await node.stop();
  running.clear();
});

async function prepare(
  name: string,
  flags: Readonly<Record<string, unknown>>,
  directory: DataDirectory,
): Promise<Omit<Running, 'rpcAddr' | 'gossipAddr'>> {
  const own = {
    'rpc-port': '0',
    'http-port': '0',
    'bind-addr': '127.0.0.1:0',
    'node-name': name,
    'tick-interval': '20ms',
  };
  const container = createContainer(resolveConfig(new Map(Object.entries({ ...own, ...flags })), {}, undefined));
  const logger = new RecordingLogger();
  container.rebind<DataDirectory>(DataDirectory).toConstantValue(directory);
  container.rebind<Logger>(Logger).toConstantValue(logger);
  container.rebind<OnFatal>(OnFatal).toConstantValue((error) => {
    throw error;
  });
  const node = await container.getAsync<Node>(Node);
  running.add(node);
  const [log, cluster] = [container.get<CommitLog>(CommitLog), container.get<Cluster>(Cluster)];
  return { container, node, logger, directory, log, cluster };
}

async function start(
  name: string,
  flags: Readonly<Record<string, unknown>> = {},
  directory = memoryDataDirectory(),
): Promise<Running> {
  const prepared = await prepare(name, flags, directory);
  const { rpcAddr, gossipAddr } = await prepared.node.start();
  return { ...prepared, rpcAddr, gossipAddr };
}

async function stop({ node }: Running): Promise<void> {
  running.delete(node);
  await node.stop();
}

async function storesOf(directory: Directory): Promise<string[]> {
  const names = (await directory.list()).filter((each) => each.endsWith('.store'));
  return Promise.all(
    names.map(async (name) => {
      const file = await directory.open(name);
      return `${name} ${Buffer.from(await file.read(0, await file.size())).toString('base64')}`;
    }),
  );
}

const reaches = ({ log }: Running, offset: number): Promise<unknown> =>
  log.read({ offset: toOffset(offset) }, { signal: AbortSignal.timeout(10_000), notBeforeOffset: toOffset(offset) });

describe('golog serve --replica', () => {
  it('follows the log of its cluster, serves it, and forwards the rest', async () => {
    const member = await start('n1');
    for (let i = 0; i < 20; i++) await member.log.append(records(`value ${i}`));
    const replica = await start('r1', { replica: true, 'start-join-addrs': member.gossipAddr });
    await reaches(replica, 19);
    expect(await replica.log.append(records('by the replica'))).toMatchObject({ baseOffset: 20, syncedOn: ['n1'] });
    const { batches } = await replica.log.read(
      { offset: toOffset(20) },
      { signal: AbortSignal.timeout(10_000), linearizable: true },
    );
    expect(batches).toHaveLength(1);
    expect(await storesOf(replica.directory.log)).toEqual(await storesOf(member.directory.log));
    expect(replica.directory.logId).toEqual(member.directory.logId);
    const { answeredBy, members } = await replica.cluster.status({ signal: forever });
    expect({ answeredBy, members: members.map(({ name }) => name) }).toEqual({ answeredBy: 'n1', members: ['n1'] });
    expect(replica.log.servers()).toEqual([{ id: 'n1', rpcAddr: member.rpcAddr, isLeader: true }]);
  });

  it('serves what it has while no member runs, and continues when one does, at the address that it stored', async () => {
    const member = await start('n1');
    await member.log.append(records('a', 'b'));
    const first = await start('r1', { replica: true, 'start-join-addrs': member.gossipAddr });
    await reaches(first, 1);
    await stop(first);
    await stop(member);
    const replica = await start('r1', { replica: true }, first.directory);
    expect((await replica.log.info(forever)).highWatermark).toBe(2);
    await expect(replica.log.append(records('c'))).rejects.toThrow('the cluster has no leader');
    const again = await start('n1', { 'rpc-port': member.rpcAddr.split(':').at(-1) }, member.directory);
    await again.log.append(records('c'));
    await reaches(replica, 2);
    expect(await storesOf(replica.directory.log)).toEqual(await storesOf(again.directory.log));
  });

  it('waits for a member to follow, and stops if told to in the meantime', async () => {
    const prepared = await prepare('r1', { replica: true, 'start-join-addrs': '127.0.0.1:1' }, memoryDataDirectory());
    const starting = prepared.node.start();
    const ended = expect(starting).rejects.toMatchObject({ name: 'AbortError' });
    while (!prepared.logger.events('info').includes('waiting_for_replica_source'))
      await new Promise((resolve) => setTimeout(resolve, 10));
    await prepared.node.stop();
    await ended;
  });

  it('does not start from a member’s data, and a member does not start from a replica’s', async () => {
    const member = await start('n1');
    const replica = await start('r1', { replica: true, 'start-join-addrs': member.gossipAddr });
    await stop(replica);
    await stop(member);
    await expect(start('n1', { replica: true }, member.directory)).rejects.toBeInstanceOf(WrongRoleError);
    await expect(start('r1', {}, replica.directory)).rejects.toThrow(/start it with --replica/);
  });

  it('bootstraps no cluster', () => {
    for (const [option, value] of [['bootstrap', true] as const, ['bootstrap-expect', 3] as const]) {
      const flags = new Map<string, unknown>([
        ['replica', true],
        [option, value],
        ['start-join-addrs', 'n1:8400'],
      ]);
      expect(() => resolveConfig(flags, {}, undefined)).toThrow(ConfigError);
    }
  });
});
