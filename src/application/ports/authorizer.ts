/** What a caller wants to do: append, read, change the cluster, or look at it. */
export type Action = 'produce' | 'consume' | 'admin' | 'observe';

export const actions: readonly Action[] = ['produce', 'consume', 'admin', 'observe'];

/** The one log that there is; a policy names it `*`, as the original's does. */
export const theLog = '*';

export interface Decision {
  readonly allowed: boolean;
  /** What decided: a line of the policy, or why there is none. */
  readonly because: string;
}

/** Says who may do what. What nothing allows is denied. */
export interface Authorizer {
  /** Never throws, and is cheap when asked again. */
  decide(subject: string, object: string, action: Action): Decision;
  /** Calls the listener after each change of what is decided, until the returned function is called. */
  onChange(listener: () => void): () => void;
}

export const Authorizer = Symbol('Authorizer');
