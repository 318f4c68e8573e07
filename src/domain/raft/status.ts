import type { ConfState } from './conf-state.js';
import type { HardState } from './hard-state.js';
import type { Progress } from './progress.js';
import type { Raft } from './raft.js';
import type { SoftState } from './ready.js';

export interface BasicStatus {
  readonly id: number;
  readonly hardState: HardState;
  readonly softState: SoftState;
  readonly applied: number;
  /** 0 means none. */
  readonly leadTransferee: number;
}

export interface Status extends BasicStatus {
  readonly config: ConfState;
  /** By ascending ID; empty unless this node is the leader. */
  readonly progress: ReadonlyMap<number, Progress>;
}

export function basicStatusOf(raft: Raft): BasicStatus {
  return {
    id: raft.id,
    hardState: raft.hardState,
    softState: raft.softState,
    applied: raft.log.applied,
    leadTransferee: raft.leadTransferee,
  };
}

export function statusOf(raft: Raft): Status {
  const progress = new Map<number, Progress>();
  if (raft.state === 'StateLeader') raft.tracker.visit((id, each) => progress.set(id, each.clone()));
  return { ...basicStatusOf(raft), config: raft.tracker.config, progress };
}
