import { UnavailableError } from '../errors.js';
import type { Clock } from '../ports/clock.js';
import type { JoinAnswer, Joiner, JoinTransport } from '../ports/join-transport.js';

/**
 * The answer of the node at an address, or of the leader that it named; `unanswered`: no node has answered there, or has
 * not yet (`isPending`).
 */
export type NodeAnswer = (
  JoinAnswer | { readonly kind: 'unanswered'; readonly reason: string; readonly isPending?: true }
) & {
  readonly address: string;
};

export interface AskingOptions {
  readonly transport: Pick<JoinTransport, 'ask'>;
  /** HOST:PORT of the gRPC of nodes that may know the cluster, as currently known. */
  readonly addresses: () => readonly string[];
  readonly joiner: Joiner;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * Asks nodes again and again to admit this node, each on its own, so that one that does not answer delays no other.
 */
export class AskedNodes {
  readonly #answers = new Map<string, NodeAnswer>();
  readonly #inFlight = new Map<string, Promise<void>>();
  #admission: NodeAnswer | undefined;
  #failure: { readonly error: unknown } | undefined;
  #notify = (): void => undefined;

  constructor(private readonly options: AskingOptions) {}

  /**
   * Asks each node that is not being asked already. Resolves with the latest answers when each has answered, when one
   * has admitted this node, or after `msMax`. An answer counts until its node is asked again.
   */
  async ask(msMax: number): Promise<readonly NodeAnswer[]> {
    const { clock, addresses } = this.options;
    const asked = addresses();
    for (const address of asked) if (!this.#inFlight.has(address)) this.#start(address);
    let isLate = false;
    const cancel = clock.after(msMax, () => {
      isLate = true;
      this.#notify();
    });
    while (!isLate && this.#failure === undefined && !this.#admission && asked.some((each) => this.#inFlight.has(each)))
      await new Promise<void>((resolve) => (this.#notify = resolve));
    cancel();
    if (this.#failure !== undefined) throw this.#failure.error;
    if (this.#admission !== undefined) return [this.#admission];
    return asked.map(
      (address) =>
        this.#answers.get(address) ?? { kind: 'unanswered', address, reason: 'no answer yet', isPending: true },
    );
  }

  #start(address: string): void {
    this.#answers.delete(address);
    const asking = askFollowing(this.options, address)
      .then((answer) => {
        this.#answers.set(address, answer);
        if (answer.kind === 'joined') this.#admission ??= answer;
      })
      .catch((error: unknown) => (this.#failure ??= { error }))
      .then(() => {
        this.#inFlight.delete(address);
        this.#notify();
      });
    this.#inFlight.set(address, asking);
  }
}

/** Asks the node at an address, and the leader that it names. Rejects with the signal's reason. */
export async function askFollowing(
  { transport, joiner, signal }: Pick<AskingOptions, 'transport' | 'joiner' | 'signal'>,
  address: string,
): Promise<NodeAnswer> {
  let named: (NodeAnswer & { kind: 'retry' }) | undefined;
  try {
    const answer = { ...(await transport.ask(address, joiner, signal)), address };
    if (answer.kind !== 'retry' || answer.leaderAddr === undefined || answer.leaderAddr === address) return answer;
    named = answer;
    return { ...(await transport.ask(answer.leaderAddr, joiner, signal)), address };
  } catch (error) {
    if (!(error instanceof UnavailableError)) throw error;
    return named === undefined
      ? { kind: 'unanswered', reason: error.message, address }
      : { ...named, reason: error.message };
  }
}

export function describeAnswer(answer: NodeAnswer): string {
  switch (answer.kind) {
    case 'joined':
      return 'joined';
    case 'waiting':
      return `${answer.joiner.name} is waiting too`;
    case 'retry':
    case 'refused':
    case 'unanswered':
      return answer.reason;
  }
}
