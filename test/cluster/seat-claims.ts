import { GrpcJoinTransport, tlsCredentials } from '../../src/adapters/peer/index.js';
import { certifiedCaller, OutgoingTls } from '../../src/adapters/tls/index.js';
import type { JoinAnswer } from '../../src/application/ports/join-transport.js';
import type { ClientTls, ClusterStatus } from '../../src/client/index.js';
import { RecordingLogger } from '../logging/recording-logger.js';

/** Calls `Join` by hand. */
export function joins(tls?: ClientTls): GrpcJoinTransport {
  if (tls === undefined) return new GrpcJoinTransport();
  const { cert = '', key = '', ca = '' } = tls;
  const outgoing = new OutgoingTls({ certificate: cert, key, authority: ca }, new RecordingLogger());
  return new GrpcJoinTransport(tlsCredentials({ outgoing, identify: certifiedCaller, requireNodeIdentity: false }));
}

export const seatsOf = ({ members }: ClusterStatus): unknown =>
  members.map(({ id, name, uuid, rpcAddr, role }) => ({ id, name, uuid, rpcAddr, votes: role !== 'learner' }));

/** Asks every node for the seat of every member, at another address, under each of these names or the member's own. */
export async function claimAll(
  addresses: readonly string[],
  { members, clusterId }: ClusterStatus,
  transport: GrpcJoinTransport,
  names: readonly (string | undefined)[],
): Promise<JoinAnswer[]> {
  const log = Buffer.from(clusterId.replaceAll('-', ''), 'hex');
  const answers: JoinAnswer[] = [];
  for (const member of members)
    for (const name of names)
      for (const address of addresses) {
        const joiner = {
          name: name ?? member.name,
          uuid: member.uuid,
          rpcAddr: '127.0.0.1:9',
          bootstrapExpect: 0,
          featureLevel: 1,
        };
        for (const each of [joiner, { ...joiner, clusterId: log }])
          answers.push(await transport.ask(address, each, AbortSignal.timeout(10_000)));
      }
  return answers;
}
