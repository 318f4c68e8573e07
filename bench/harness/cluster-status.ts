import { setTimeout as delay } from 'node:timers/promises';
import { GrpcSession } from './grpc-session.js';
import { FieldReader, grpcFrame, varint } from './wire.js';

const clusterPaths = {
  status: '/golog.v1.ClusterService/GetCluster',
  removeMember: '/golog.v1.ClusterService/RemoveMember',
} as const;

const roles = ['unspecified', 'leader', 'voter', 'learner'] as const;
const states = ['unspecified', 'self', 'probing', 'replicating', 'catching-up', 'unreachable', 'unknown'] as const;

export interface Member {
  readonly name: string;
  readonly rpcAddr: string;
  readonly role: (typeof roles)[number];
  readonly state: (typeof states)[number];
  readonly matchIndex: number;
}

export interface ClusterStatus {
  /** Name of the leader; empty while there is none. */
  readonly leader: string;
  readonly lastIndex: number;
  readonly members: readonly Member[];
}

const textOf = (bytes: Buffer, { start, end }: FieldReader): string => bytes.toString('utf8', start, end);

function memberOf(bytes: Buffer, start: number, end: number): Member {
  const member = { name: '', rpcAddr: '', role: 0, state: 0, matchIndex: 0 };
  const fields = new FieldReader(bytes, start, end);
  while (fields.next()) {
    if (fields.field === 2) member.name = textOf(bytes, fields);
    else if (fields.field === 4) member.rpcAddr = textOf(bytes, fields);
    else if (fields.field === 5) member.role = fields.value;
    else if (fields.field === 6) member.state = fields.value;
    else if (fields.field === 7) member.matchIndex = fields.value;
  }
  return { ...member, role: roles[member.role] ?? 'unspecified', state: states[member.state] ?? 'unspecified' };
}

/** The cluster as the leader sees it, or as the node asked does where there is none. */
export async function clusterStatus(session: GrpcSession): Promise<ClusterStatus> {
  const answer = await session.unary(clusterPaths.status, grpcFrame(Buffer.alloc(0)));
  const outer = new FieldReader(answer);
  if (!outer.next()) throw new Error('an answer without the status of the cluster');
  let leader = '';
  let lastIndex = 0;
  const members: Member[] = [];
  const fields = new FieldReader(answer, outer.start, outer.end);
  while (fields.next()) {
    if (fields.field === 4) leader = textOf(answer, fields);
    else if (fields.field === 6) lastIndex = fields.value;
    else if (fields.field === 8) members.push(memberOf(answer, fields.start, fields.end));
  }
  return { leader, lastIndex, members };
}

/** Asks again and again, a node that does not answer as well, until the status is as wanted. */
export async function untilCluster(
  address: string,
  what: string,
  wanted: (status: ClusterStatus) => boolean,
  limits: { readonly everyMs: number; readonly withinMs: number } = { everyMs: 20, withinMs: 30_000 },
): Promise<ClusterStatus> {
  const endsAt = performance.now() + limits.withinMs;
  let last: unknown;
  while (performance.now() < endsAt) {
    try {
      const session = await GrpcSession.connect(address);
      try {
        while (performance.now() < endsAt) {
          const status = await clusterStatus(session);
          if (wanted(status)) return status;
          last = status;
          await delay(limits.everyMs);
        }
      } finally {
        session.close();
      }
    } catch (error) {
      last = error;
      await delay(limits.everyMs);
    }
  }
  throw new Error(`${address}: not ${what} within ${limits.withinMs} ms; last: ${JSON.stringify(last)}`, {
    cause: last,
  });
}

/** All of them vote, and get the log as it grows. */
export const isInStep =
  (count: number) =>
  ({ leader, members }: ClusterStatus): boolean =>
    leader !== '' &&
    members.length === count &&
    members.every(({ role, state }) => role !== 'learner' && (state === 'self' || state === 'replicating'));

export async function removeMember(address: string, name: string): Promise<void> {
  const session = await GrpcSession.connect(address);
  try {
    const bytes = Buffer.from(name);
    await session.unary(clusterPaths.removeMember, grpcFrame(Buffer.concat([varint(10), varint(bytes.length), bytes])));
  } finally {
    session.close();
  }
}
