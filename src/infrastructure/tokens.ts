/** Tokens of what has no port. */

/** Certificates, and who may do what. */
export const Security = Symbol('NodeSecurity');
/** By which it goes in its cluster. */
export const NodeName = Symbol('NodeName');
/** The server half of the links to the peers. */
export const NodePeers = Symbol('PeerEndpoint');
/** Caps and deadlines of the two listeners that are not their defaults. */
export const ListenerLimits = Symbol('ListenerLimits');
/** Calls under way, on both listeners. */
export const NodeQuota = Symbol('CallQuota');
