import type { Clock, MonotonicMs } from '../ports/clock.js';
import type { JoinAnswer, Joiner, JoinOrigin } from '../ports/join-transport.js';
import type { Logger } from '../ports/logger.js';

/** The same request with the same answer is logged once in this time: a waiting node asks four times a second. */
const everyMs = 60_000;
const kindsMax = 1_000;

interface LoggedDecision {
  readonly at: MonotonicMs;
  repeated: number;
}

/** Audits joins: which node asked, with which certificate, from which address, and what the leader decided. */
export class JoinAudit {
  readonly #logged = new Map<string, LoggedDecision>();

  constructor(
    private readonly clock: Clock,
    private readonly logger: Logger,
  ) {}

  /** @param changed whether the answer changed the configuration; such a line is always logged */
  record(joiner: Joiner, origin: JoinOrigin | undefined, answer: JoinAnswer, changed: boolean): void {
    const { name, uuid, rpcAddr } = joiner;
    const subject = origin?.subject ?? 'anonymous';
    const decision = decisionOf(answer);
    const reason = 'reason' in answer ? answer.reason : undefined;
    const repeated = this.#repeatedOf(JSON.stringify([subject, name, uuid, rpcAddr, decision, reason]), changed);
    if (repeated === undefined) return;
    const fields = {
      audit: 'join',
      subject,
      action: 'node',
      name,
      uuid,
      rpcAddr,
      decision,
      changed,
      ...(origin?.address !== undefined && { address: origin.address }),
      ...(answer.kind === 'joined' && { memberId: answer.id }),
      ...(reason !== undefined && { reason }),
      ...(repeated > 0 && { repeated }),
    };
    if (decision === 'admitted') this.logger.info('member_joined', fields, 'admitted a node to the cluster');
    else if (decision === 'refused') this.logger.warn('join_refused', fields, 'refused to admit a node to the cluster');
    else this.logger.warn('join_deferred', fields, 'could not admit a node to the cluster yet');
    if (answer.kind === 'retry' && answer.aliveAt !== undefined)
      this.logger.warn(
        'data_directory_copied',
        { member: name, uuid, aliveAt: answer.aliveAt, rpcAddr },
        'a node has the UUID of a member that is alive; one of the two data directories is a copy',
      );
  }

  /** Returns how many equal lines were dropped since the last logged one; undefined if this line is to be dropped. */
  #repeatedOf(kind: string, always: boolean): number | undefined {
    const at = this.clock.now();
    const logged = this.#logged.get(kind);
    if (!always && logged !== undefined && at - logged.at < everyMs) {
      logged.repeated += 1;
      return undefined;
    }
    if (this.#logged.size >= kindsMax) this.#forget(at);
    if (this.#logged.size < kindsMax || logged !== undefined) this.#logged.set(kind, { at, repeated: 0 });
    return logged?.repeated ?? 0;
  }

  #forget(now: MonotonicMs): void {
    for (const [kind, { at }] of this.#logged) if (now - at >= everyMs) this.#logged.delete(kind);
  }
}

function decisionOf({ kind }: JoinAnswer): 'admitted' | 'refused' | 'deferred' {
  if (kind === 'joined') return 'admitted';
  return kind === 'refused' ? 'refused' : 'deferred';
}
