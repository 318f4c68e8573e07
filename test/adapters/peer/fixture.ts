import { systemClock } from '../../../src/adapters/clock/system-clock.js';
import { crc32c } from '../../../src/adapters/checksum/crc32c.js';
import { GrpcServer, type GrpcServerOptions } from '../../../src/adapters/grpc/index.js';
import { seededRandom } from '../../../src/adapters/memory/seeded-random.js';
import { GrpcPeerTransport, type PeerCredentials, PeerEndpoint } from '../../../src/adapters/peer/index.js';
import type { ClusterSettings } from '../../../src/application/configuration/cluster-settings.js';
import type { AppendReceipt } from '../../../src/application/ports/consensus.js';
import type { Records, BatchChecksum } from '../../../src/domain/log/record-batch.js';
import type { Message } from '../../../src/domain/raft/message.js';
import { FakeCommitLog } from '../grpc/fake-commit-log.js';
import { RecordingLogger } from '../../logging/recording-logger.js';

export const checksum: BatchChecksum = { crc32c, logId: new Uint8Array(16).fill(7) };

export interface TestNode {
  readonly transport: GrpcPeerTransport;
  readonly server: GrpcServer;
  readonly port: number;
  readonly logger: RecordingLogger;
  readonly received: Message[];
  readonly lost: number[];
  readonly appends: Records[];
}

/** A node that takes everything in, appends nothing unless it is said how, and has no peers yet. */
export async function startNode(
  id: number,
  options: Partial<GrpcServerOptions> = {},
  by = checksum,
  {
    credentials,
    append = () => new Promise(() => undefined),
    settings = {},
    superseded = () => undefined,
  }: {
    readonly credentials?: PeerCredentials;
    readonly append?: () => Promise<AppendReceipt>;
    readonly settings?: ClusterSettings;
    readonly superseded?: (generation: number) => void;
  } = {},
): Promise<TestNode> {
  const logger = new RecordingLogger();
  const endpoint = new PeerEndpoint(logger);
  const server = new GrpcServer({ host: '127.0.0.1', port: 0, ...options }, new FakeCommitLog(), logger, undefined, [
    endpoint,
  ]);
  const { port } = await server.listen();
  const transport = new GrpcPeerTransport({
    checksum: by,
    endpoint,
    clock: systemClock,
    random: seededRandom(id),
    logger,
    ...(credentials && { credentials }),
  });
  const received: Message[] = [];
  const lost: number[] = [];
  const appends: Records[] = [];
  transport.start(
    { id, rpcAddr: `127.0.0.1:${port}` },
    {
      settings,
      superseded,
      receive: (message) => received.push(message),
      unreachable: (peer) => lost.push(peer),
      appendForwarded: (records) => {
        appends.push(records);
        return append();
      },
      producersForwarded: new FakeCommitLog(),
    },
  );
  return { transport, server, port, logger, received, lost, appends };
}

export async function stopNode({ transport, server }: TestNode): Promise<void> {
  await transport.close();
  await server.close(0);
}

export const addressOf = ({ port }: TestNode): string => `127.0.0.1:${port}`;
