import { create, toBinary } from '@bufbuild/protobuf';
import type { sendUnaryData, ServerDuplexStream, ServerUnaryCall, ServerWritableStream } from '@grpc/grpc-js';
import { type Metadata, status } from '@grpc/grpc-js';
import { anonymous, type Caller } from '../../application/access/access.js';
import type { EntryHandler } from '../../application/ports/entry-source.js';
import type { JoinHandler } from '../../application/ports/join-transport.js';
import { FoldedLines } from '../../application/access/folded-lines.js';
import type { Logger } from '../../application/ports/logger.js';
import type { Peer, PeerMessage, PeerReceiver } from '../../application/ports/peer-transport.js';
import type { VouchHandler } from '../../application/ports/vouching.js';
import type { ReplicaHandler } from '../../application/ports/replica-uplink.js';
import { InvalidInputError } from '../../domain/log/errors.js';
import type { BatchChecksum } from '../../domain/log/record-batch.js';
import { JoinRequestSchema, JoinResponseSchema, PeerService } from '../../gen/golog/peer/v1/peer_service_pb.js';
import { appendErrorKind } from './appends/append-errors.js';
import {
  decodeCalls,
  encodeAnswers,
  type CallAnswer,
  type CallOutcome,
  type LeaderCall,
} from './appends/append-wire.js';
import { EntryCalls } from './entries/entry-calls.js';
import { FrameQueue } from './messages/frame-queue.js';
import { answerMessage, joinerOf } from './join/join-messages.js';
import { answerMetadata, generationMetadata, identityOf, type PeerIdentity } from './identity/peer-identity.js';
import { peerMessage } from './messages/peer-message.js';
import type { PeerTrust } from './identity/peer-trust.js';
import { decodeMessages } from './messages/raft-message-wire.js';
import { decodeVouchRequest, encodeVouch } from './vouching/vouch-messages.js';
import { ReplicaCalls } from './replicas/replica-calls.js';

type Stream = ServerDuplexStream<Buffer, Buffer>;
type Lane = 'control' | 'bulk' | 'append';

/** This node as a member, once it is one. */
export interface PeerNode {
  readonly self: number;
  /** The UUID of its data directory; empty if unknown. */
  readonly uuid: string;
  readonly checksum: BatchChecksum;
  readonly receiver: PeerReceiver;
  /** Returns whether the id belonged to a removed member. */
  isRemoved(id: number): boolean;
  /** Returns the name of the member with that id; undefined if this node does not know it. */
  nameOf(id: number): string | undefined;
  /** Returns the UUID of the member with that id; undefined or empty if unknown. */
  uuidOf(id: number): string | undefined;
  /** Called when a member calls this node. */
  heardFrom(peer: Peer, featureLevel: number): void;
}

/**
 * Serves `golog.peer.v1.PeerService` from the start of the gRPC listener. Admits members while a `GrpcPeerTransport`
 * has it open.
 */
export class PeerEndpoint {
  readonly descriptor = PeerService;
  readonly implementation = {
    control: (call: Stream): void => {
      this.#messages(call, 'control');
    },
    bulk: (call: Stream): void => {
      this.#messages(call, 'bulk');
    },
    append: (call: Stream): void => {
      this.#appends(call);
    },
    join: (call: ServerUnaryCall<Buffer, Buffer>, respond: sendUnaryData<Buffer>): void => {
      void this.#join(call, respond);
    },
    vouch: (call: ServerUnaryCall<Buffer, Buffer>, respond: sendUnaryData<Buffer>): void => {
      this.#vouch(call, respond);
    },
    getLogEnd: (call: ServerUnaryCall<Buffer, Buffer>, respond: sendUnaryData<Buffer>): void => {
      const caller = this.#authenticate(call.metadata);
      if ('from' in caller) this.#entries.logEnd(caller.from, call.request, respond);
      else respond(caller);
    },
    readEntries: (call: ServerWritableStream<Buffer, Buffer>): void => {
      const caller = this.#authenticate(call.metadata);
      if ('from' in caller) this.#entries.read(call);
      else end(call, caller.code, caller.details, caller.metadata);
    },
    followEntries: (call: ServerWritableStream<Buffer, Buffer>): void => {
      const caller = this.#authenticate(call.metadata, true);
      if ('from' in caller) this.#replicas.follow(call);
      else end(call, caller.code, caller.details, caller.metadata);
    },
    getReadBarrier: (call: ServerUnaryCall<Buffer, Buffer>, respond: sendUnaryData<Buffer>): void => {
      const caller = this.#authenticate(call.metadata, true);
      if ('from' in caller) this.#replicas.readBarrier(call, respond);
      else respond(caller);
    },
  };
  /** The open streams by lane and sender: a newer stream replaces an older one. */
  readonly #streams = new Map<string, Stream>();
  #node: PeerNode | undefined;
  #joinHandler: JoinHandler | undefined;
  #vouchHandler: VouchHandler | undefined;
  readonly #entries: EntryCalls;
  readonly #replicas: ReplicaCalls;
  readonly #denials = new FoldedLines((ms, callback) => setTimeout(callback, ms).unref());

  /** The authenticated callers of calls that have not reached their handlers. */
  readonly #callers = new WeakMap<Metadata, Caller>();

  constructor(
    private readonly logger: Logger,
    /** If undefined, callers are trusted to be who they claim to be. */
    private readonly trust?: PeerTrust,
  ) {
    this.#entries = new EntryCalls(logger);
    this.#replicas = new ReplicaCalls(logger);
  }

  /** Records the authenticated caller of a call before its handler runs. */
  readonly onCaller = (metadata: Metadata, caller: Caller): void => {
    this.#callers.set(metadata, caller);
  };

  /** Sets the handler of join requests; until then, callers are asked to retry. */
  setJoinHandler(handler: JoinHandler): void {
    this.#joinHandler = handler;
  }

  /** Sets the handler that sends entries to members that repair their logs; until then, they are asked to retry. */
  setEntries(handler: EntryHandler): void {
    this.#entries.setHandler(handler);
  }

  /** Sets the handler of replicas; until then, they are asked to retry. */
  setReplicas(handler: ReplicaHandler): void {
    this.#replicas.setHandler(handler);
  }

  /** Sets the handler that answers members that start; until then, they are asked to retry. */
  setVouchHandler(handler: VouchHandler): void {
    this.#vouchHandler = handler;
  }

  /** Starts to admit this node's peers. */
  open(node: PeerNode): void {
    this.#node = node;
  }

  /** Stops admitting peers and ends their streams. */
  shut(): void {
    this.#node = undefined;
    for (const stream of this.#streams.values())
      end(stream, status.UNAVAILABLE, 'this node is closing its peer connections');
    this.#streams.clear();
    this.#entries.endAll();
    this.#replicas.endAll();
  }

  /** Ends the streams of a removed member. */
  disconnect(id: number): void {
    for (const lane of ['control', 'bulk', 'append'] as const) {
      const key = `${lane} ${id}`;
      const stream = this.#streams.get(key);
      if (stream) end(stream, status.FAILED_PRECONDITION, `member ${id} was removed`);
      this.#streams.delete(key);
    }
  }

  #messages(call: Stream, lane: Lane): void {
    const admitted = this.#admit(call, lane);
    if (admitted === undefined) return;
    const { node, from, key } = admitted;
    call.on('data', (bytes: Buffer) => {
      if (this.#streams.get(key) === call) this.#receive(bytes, node, from);
    });
  }

  #receive(bytes: Buffer, { self, checksum, receiver }: PeerNode, from: number): void {
    let messages: PeerMessage[];
    try {
      messages = decodeMessages(bytes, checksum);
    } catch (error) {
      if (!(error instanceof InvalidInputError)) throw error;
      this.logger.error(
        'peer_message_malformed',
        { error, peerId: from },
        'dropped a malformed or damaged message from a peer',
      );
      return;
    }
    for (const message of messages) {
      // A follower forwards a leadership transfer to the leader in the name of the transferee.
      if (message.to === self && (message.from === from || message.type === 'MsgTransferLeader'))
        receiver.receive(message);
      else
        this.logger.error(
          'peer_message_misaddressed',
          { peerId: from, fromId: message.from, toId: message.to },
          'dropped a message between other members',
        );
    }
  }

  #appends(call: Stream): void {
    const admitted = this.#admit(call, 'append');
    if (admitted === undefined) return;
    const { node, from, key } = admitted;
    const answers = new FrameQueue<CallAnswer>(Infinity);
    answers.open((items, sent) => {
      call.write(encodeAnswers(items), (error?: Error | null) => {
        if (!error) sent();
      });
    });
    const answer = (id: number, outcome: CallOutcome): void => {
      if (call.cancelled || call.writableEnded) return;
      if ('error' in outcome && appendErrorKind(outcome.error) === undefined)
        this.logger.error(
          'forwarded_append_failed',
          { error: outcome.error, peerId: from },
          'a forwarded append failed',
        );
      answers.push({ id, outcome }, 1);
      answers.flush();
    };
    call.on('data', (bytes: Buffer) => {
      if (this.#streams.get(key) !== call) return;
      try {
        for (const forwarded of decodeCalls(bytes)) {
          const { id } = forwarded;
          if ('error' in forwarded) answer(id, forwarded);
          else
            outcomeAt(node.receiver, forwarded).then(
              (outcome) => {
                answer(id, outcome);
              },
              (error: unknown) => {
                answer(id, { error });
              },
            );
        }
      } catch (error) {
        this.logger.error(
          'peer_message_malformed',
          { error, peerId: from },
          'malformed append from a peer; resetting the stream',
        );
        end(call, status.INVALID_ARGUMENT, 'malformed appends');
      }
    });
  }

  /** Admits the caller, or ends the call with the reason it is rejected. */
  #admit(call: Stream, lane: Lane): { node: PeerNode; from: number; key: string } | undefined {
    const caller = this.#authenticate(call.metadata, lane === 'append');
    if (!('from' in caller)) {
      end(call, caller.code, caller.details, caller.metadata);
      return undefined;
    }
    const { node, from, rpcAddr, name, featureLevel } = caller;
    const key = from === 0 ? `${lane} of replica ${name} at ${rpcAddr}` : `${lane} ${from}`;
    const older = this.#streams.get(key);
    if (older) end(older, status.ABORTED, 'the same member has opened a newer stream');
    this.#streams.set(key, call);
    call.once('cancelled', () => {
      if (this.#streams.get(key) === call) this.#streams.delete(key);
    });
    call.on('end', () => {
      call.end();
    });
    const { self: id, uuid, checksum, receiver } = node;
    const generation = receiver.settings?.generation ?? 0;
    call.sendMetadata(answerMetadata({ clusterId: checksum.logId, id, uuid, generation }));
    if (from !== 0) node.heardFrom({ id: from, rpcAddr, ...(name !== '' && { name }) }, featureLevel);
    return { node, from, key };
  }

  #authenticate(
    metadata: Metadata,
    mayBeReplica = false,
  ):
    | { node: PeerNode; from: number; rpcAddr: string; name: string; featureLevel: number }
    | { code: status; details: string; metadata?: Metadata } {
    const node = this.#node;
    if (node === undefined) return { code: status.UNAVAILABLE, details: 'this node is not a member now' };
    const identity = identityOf(metadata);
    const reason = this.#rejectionReason(node, identity, mayBeReplica);
    if (reason !== undefined || identity === undefined) {
      const own = node.receiver.settings?.generation ?? 0;
      const isLater = identity !== undefined && this.#isOfCluster(node, identity) && own > (identity.generation ?? 0);
      const refusal = { code: status.FAILED_PRECONDITION, details: reason ?? '' };
      return isLater ? { ...refusal, metadata: generationMetadata(own) } : refusal;
    }
    const distrust = this.#distrust(metadata, identity.name, node.nameOf(identity.from));
    if (distrust !== undefined) return { code: status.PERMISSION_DENIED, details: distrust };
    const { from, rpcAddr, name, featureLevel = 0 } = identity;
    return { node, from, rpcAddr, name, featureLevel };
  }

  #isOfCluster({ checksum }: PeerNode, { clusterId }: PeerIdentity): boolean {
    return Buffer.compare(clusterId, checksum.logId) === 0;
  }

  #rejectionReason(node: PeerNode, identity: ReturnType<typeof identityOf>, mayBeReplica: boolean): string | undefined {
    if (identity === undefined)
      return 'the metadata of the call must have a valid golog-cluster-id-bin, golog-from and golog-to';
    const { clusterId, from, to, uuid, toUuid, featureLevel = 0, generation = 0 } = identity;
    const { settings = {} } = node.receiver;
    if (from === 0 && !mayBeReplica) return 'a replica is not a member and cannot make this call';
    const isNewcomer = from === 0 && clusterId.length === 0;
    if (!isNewcomer && !this.#isOfCluster(node, identity))
      return `this node belongs to cluster ${hex(node.checksum.logId)}; the caller expected ${hex(clusterId)}`;
    if (featureLevel < (settings.featureLevel ?? 0))
      return `the cluster is at feature level ${settings.featureLevel}; the caller offers level ${featureLevel}`;
    const own = settings.generation ?? 0;
    if (!isNewcomer && generation !== own)
      return `this node has generation ${own} of the log; the caller has generation ${generation}`;
    if (to !== node.self && to !== 0) return `this node is member ${node.self}; the caller expected ${to}`;
    if (toUuid && node.uuid !== '' && toUuid !== node.uuid)
      return `the data directory of this node has the UUID ${node.uuid}; the caller expected ${toUuid}`;
    if (from === 0) return undefined;
    if (from === node.self) return `member ${from} is this node`;
    if (node.isRemoved(from)) return `member ${from} was removed from the cluster`;
    const known = node.uuidOf(from);
    if (uuid && known && uuid !== known)
      return `the data directory of member ${from} has the UUID ${known}; the caller has ${uuid}`;
    return undefined;
  }

  /**
   * Returns why the caller may not act as the member `name`, which this node knows as `known`; also logs the reason.
   */
  #distrust(metadata: Metadata, name: string, known: string | undefined): string | undefined {
    if (this.trust === undefined) return undefined;
    const caller = this.#callers.get(metadata);
    const isOther = known !== undefined && known !== name;
    const reason = isOther
      ? `the caller claims to be ${name}; expected ${known}`
      : this.trust.rejectionReason(caller, name);
    if (reason !== undefined) {
      const fields = { audit: 'denied', subject: caller?.subject, action: 'node', peer: name, reason };
      this.#denials.add(
        JSON.stringify(fields),
        (more) =>
          this.logger.warn('access_denied', { ...fields, ...(more !== undefined && { more }) }, 'access denied'),
        (more) => this.logger.warn('access_denied', { audit: 'denied', action: 'node', more }, 'access denied'),
      );
    }
    return reason;
  }

  async #join(call: ServerUnaryCall<Buffer, Buffer>, respond: sendUnaryData<Buffer>): Promise<void> {
    const { request, metadata } = call;
    const handler = this.#joinHandler;
    try {
      const joiner = joinerOf(peerMessage(JoinRequestSchema, request).joiner);
      const reason = this.#distrust(metadata, joiner.name, undefined);
      if (reason !== undefined) {
        const answer = handler?.distrust?.(reason) ?? ({ kind: 'refused', reason } as const);
        const response = create(JoinResponseSchema, { answer: answerMessage(answer) });
        respond(null, Buffer.from(toBinary(JoinResponseSchema, response)));
        return;
      }
      const origin = { subject: this.#callers.get(metadata)?.subject ?? anonymous.subject, address: call.getPeer() };
      const answer = handler
        ? await handler.admit(joiner, origin)
        : ({ kind: 'retry', reason: 'this node is starting' } as const);
      const response = create(JoinResponseSchema, { answer: answerMessage(answer) });
      respond(null, Buffer.from(toBinary(JoinResponseSchema, response)));
    } catch (error) {
      if (error instanceof InvalidInputError) {
        this.logger.warn('join_request_malformed', { reason: error.message }, 'malformed join request');
        respond({ code: status.INVALID_ARGUMENT, details: error.message });
        return;
      }
      this.logger.error('join_request_failed', { error }, 'join request failed');
      respond({ code: status.INTERNAL, details: 'internal error; see the log of this node' });
    }
  }

  #vouch({ request: bytes, metadata }: ServerUnaryCall<Buffer, Buffer>, respond: sendUnaryData<Buffer>): void {
    try {
      const request = decodeVouchRequest(bytes);
      const reason = this.#distrust(metadata, request.name, undefined);
      if (reason !== undefined) {
        respond({ code: status.PERMISSION_DENIED, details: reason });
        return;
      }
      const vouch = this.#vouchHandler?.vouch(request);
      if (vouch === undefined) respond({ code: status.UNAVAILABLE, details: 'this node is not in that cluster' });
      else respond(null, encodeVouch(vouch));
    } catch (error) {
      if (!(error instanceof InvalidInputError)) throw error;
      respond({ code: status.INVALID_ARGUMENT, details: error.message });
    }
  }
}

/** Makes a forwarded call at this node. */
async function outcomeAt(receiver: PeerReceiver, call: LeaderCall): Promise<CallOutcome> {
  if ('opening' in call) return { opened: await receiver.producersForwarded.openProducer(call.opening) };
  if ('closing' in call) {
    await receiver.producersForwarded.closeProducer(call.closing.id, call.closing.epoch);
    return { isClosed: true };
  }
  return { receipt: await receiver.appendForwarded(call.records, call.options) };
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

function end(
  call: Stream | ServerWritableStream<Buffer, Buffer>,
  code: status,
  details: string,
  metadata?: Metadata,
): void {
  call.emit('error', { code, details, ...(metadata && { metadata }) });
}
