export { SerfGossip, type SerfGossipOptions } from './serf-gossip.js';
