/** What a caller wants to do: append, read, change the cluster, or observe it. */
export type Action = 'produce' | 'consume' | 'admin' | 'observe';

export const actions: readonly Action[] = ['produce', 'consume', 'admin', 'observe'];

/** The only log; a policy names it `*`, as the original's does. */
export const theLog = '*';

export interface Decision {
  readonly allowed: boolean;
  /** The line of the policy that decided, or why there is none. */
  readonly because: string;
}

/** Decides which subject may do what. Anything that no rule allows is denied. */
export interface Authorizer {
  /** Never throws, and is cheap to repeat. */
  decide(subject: string, object: string, action: Action): Decision;
  /** Calls the listener after each change of the policy, until the returned function is called. */
  onChange(listener: () => void): () => void;
}

export const Authorizer = Symbol('Authorizer');
