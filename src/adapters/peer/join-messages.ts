import type { MessageInitShape } from '@bufbuild/protobuf';
import { parseTransfer } from '../../application/configuration-json.js';
import { isUuid, memberNameOrThrow, rpcAddrOrThrow } from '../../application/member-names.js';
import type { JoinAnswer, Joiner } from '../../application/ports/join-transport.js';
import { InvalidInputError } from '../../domain/log/errors.js';
import { logIdBytes } from '../../domain/log/record-batch.js';
import type {
  Joiner as JoinerMessage,
  JoinResponse,
  JoinResponseSchema,
} from '../../gen/golog/peer/v1/peer_service_pb.js';
import { safeNumber } from './safe-number.js';

/** Throws `InvalidInputError` where there is none, or it is no node that could be a member. */
export function joinerOf(message: JoinerMessage | undefined): Joiner {
  if (message === undefined) throw new InvalidInputError('there is no joiner');
  const { name, uuid, rpcAddr, bootstrapExpect, clusterId } = message;
  if (!isUuid(uuid)) throw new InvalidInputError('the UUID of a joiner is none');
  if (clusterId.length > 0) assertClusterId(clusterId);
  return {
    ...{ name: memberNameOrThrow(name), uuid, rpcAddr: rpcAddrOrThrow(rpcAddr), bootstrapExpect },
    ...(clusterId.length > 0 && { clusterId }),
  };
}

export function answerMessage(answer: JoinAnswer): NonNullable<MessageInitShape<typeof JoinResponseSchema>['answer']> {
  switch (answer.kind) {
    case 'joined': {
      const { clusterId, id, configuration } = answer;
      return { case: 'joined', value: { clusterId, id: BigInt(id), configuration } };
    }
    case 'waiting':
      return { case: 'waiting', value: { ...answer.joiner } };
    case 'retry': {
      const { kind: _, ...value } = answer;
      return { case: 'retry', value };
    }
    case 'refused':
      return {
        case: 'refused',
        value: { reason: answer.reason, ...(answer.clusterId && { clusterId: answer.clusterId }) },
      };
  }
}

/** Throws `InvalidInputError` for an answer that this release does not know, or that makes no sense. */
export function answerOf({ answer }: JoinResponse): JoinAnswer {
  switch (answer.case) {
    case 'joined': {
      const { clusterId, id, configuration } = answer.value;
      assertClusterId(clusterId);
      parseTransfer(configuration);
      return { kind: 'joined', clusterId, id: safeNumber(id), configuration };
    }
    case 'waiting':
      return { kind: 'waiting', joiner: joinerOf(answer.value) };
    case 'retry': {
      const { reason, leaderAddr, aliveAt } = answer.value;
      return {
        ...{ kind: 'retry', reason },
        ...(leaderAddr !== undefined && { leaderAddr: rpcAddrOrThrow(leaderAddr) }),
        ...(aliveAt !== undefined && { aliveAt: rpcAddrOrThrow(aliveAt) }),
      };
    }
    case 'refused': {
      const { reason, clusterId } = answer.value;
      if (clusterId.length > 0) assertClusterId(clusterId);
      return { kind: 'refused', reason, ...(clusterId.length > 0 && { clusterId }) };
    }
    case undefined:
      throw new InvalidInputError('the answer to a joiner is of no known kind');
  }
}

function assertClusterId({ length }: Uint8Array): void {
  if (length !== logIdBytes) throw new InvalidInputError('the id of a cluster has 16 bytes');
}
