/** Container tokens for parts that have no port. */

/** Certificates and access control. */
export const Security = Symbol('NodeSecurity');
/** The name of the node in its cluster. */
export const NodeName = Symbol('NodeName');
/** The server side of the links to peers. */
export const NodePeers = Symbol('PeerEndpoint');
/** Limits and deadlines of the two listeners that differ from the defaults. */
export const ListenerLimits = Symbol('ListenerLimits');
/** The limit on calls in flight, shared by both listeners. */
export const NodeQuota = Symbol('CallQuota');
/** What these calls hold in memory. */
export const NodeMemory = Symbol('MemoryBudget');
