import { gossipTargets } from './gossip-targets.js';
import { logTargets } from './log-targets.js';
import { peerTargets } from './peer-targets.js';
import type { Target } from './target.js';
import { textTargets } from './text-targets.js';

/** All decoders of input from outside or from disk. */
export const targets: readonly Target[] = [...logTargets, ...gossipTargets, ...peerTargets, ...textTargets];
