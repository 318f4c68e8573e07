import { describe, expect, it } from '@jest/globals';
import { Inflights } from './inflights.js';
import { describeProgress, Progress } from './progress.js';

function progress(match: number, next: number, inflights = new Inflights(2, 0)): Progress {
  return new Progress({ match, next, inflights, recentActive: true });
}

describe('Progress', () => {
  describe('probing', () => {
    it('pauses after an append with entries, and resumes on a decisive response', () => {
      const peer = progress(0, 11);
      peer.sentEntries(0, 0);
      expect(peer.paused).toBe(false);
      peer.sentEntries(1, 10);
      expect(peer.paused).toBe(true);
      expect(peer.next).toBe(11);
      expect(peer.maybeUpdate(11)).toBe(true);
      expect([peer.match, peer.next, peer.paused]).toEqual([11, 12, false]);
    });

    it.each([
      // match, next, rejected, hint, news, next after
      [0, 10, 9, 5, true, 6],
      [0, 10, 9, 9, true, 9],
      [0, 10, 9, 0, true, 1],
      [0, 10, 8, 5, false, 10],
      [0, 10, 10, 5, false, 10],
      [4, 10, 9, 2, true, 5],
      [0, 1, 0, 0, true, 1],
    ])('match %i next %i: rejection at %i with hint %i', (match, next, rejected, hint, news, after) => {
      const peer = progress(match, next);
      peer.appendsPaused = true;
      expect(peer.maybeDecreaseTo(rejected, hint)).toBe(news);
      expect([peer.next, peer.appendsPaused]).toEqual([after, !news]);
    });
  });

  describe('replicating', () => {
    it('pipelines up to the window, and pauses there', () => {
      const peer = progress(3, 4);
      peer.becomeReplicate();
      peer.sentEntries(2, 10);
      expect([peer.next, peer.paused]).toEqual([6, false]);
      peer.sentEntries(1, 10);
      expect([peer.next, peer.paused]).toEqual([7, true]);
      peer.inflights.freeUpTo(5);
      expect(peer.maybeUpdate(5)).toBe(true);
      expect([peer.match, peer.next, peer.paused]).toEqual([5, 7, false]);
    });

    it('pauses again after an empty append while the window is full', () => {
      const peer = progress(3, 4, new Inflights(1, 0));
      peer.becomeReplicate();
      peer.sentEntries(1, 1);
      peer.appendsPaused = false;
      peer.sentEntries(0, 0);
      expect(peer.paused).toBe(true);
    });

    it.each([
      [5, 10, 5, false, 10],
      [5, 10, 4, false, 10],
      [5, 10, 9, true, 6],
    ])('match %i next %i: rejection at %i', (match, next, rejected, news, after) => {
      const peer = progress(match, next);
      peer.state = 'replicate';
      expect(peer.maybeDecreaseTo(rejected, rejected)).toBe(news);
      expect(peer.next).toBe(after);
    });

    it('ignores a late acknowledgement', () => {
      const peer = progress(5, 10);
      expect([peer.maybeUpdate(5), peer.maybeUpdate(4), peer.match]).toEqual([false, false, 5]);
    });
  });

  describe('waiting for a snapshot', () => {
    it('sends nothing, and then probes after the snapshot', () => {
      const peer = progress(1, 5);
      peer.becomeSnapshot(20);
      expect([peer.paused, peer.pendingSnapshot, peer.next]).toEqual([true, 20, 21]);
      expect(() => peer.sentEntries(1, 1)).toThrow('sending append in unhandled state StateSnapshot');
      peer.becomeProbe();
      expect([peer.state, peer.next, peer.pendingSnapshot]).toEqual(['probe', 21, 0]);
    });

    it('probes after the match when the snapshot is older or has failed', () => {
      const newer = progress(30, 31);
      newer.becomeSnapshot(20);
      newer.becomeProbe();
      expect(newer.next).toBe(31);
      const failed = progress(1, 5);
      failed.becomeSnapshot(20);
      failed.pendingSnapshot = 0;
      failed.becomeProbe();
      expect(failed.next).toBe(2);
    });
  });

  it('sends a commit index only where it can move the member', () => {
    const peer = progress(5, 6);
    expect(peer.canBumpCommit(3)).toBe(true);
    peer.recordSentCommit(3);
    expect([peer.canBumpCommit(3), peer.canBumpCommit(4)]).toEqual([false, true]);
    // Everything the member has is committed: a higher commit index has no effect until it has more.
    peer.recordSentCommit(5);
    expect(peer.canBumpCommit(9)).toBe(false);
    // Entries in flight may be lost, together with the commit index sent with them.
    peer.becomeReplicate();
    peer.sentEntries(4, 1);
    peer.recordSentCommit(9);
    expect(peer.canBumpCommit(10)).toBe(false);
    peer.becomeProbe();
    expect([peer.sentCommit, peer.canBumpCommit(10)]).toEqual([5, false]);
    expect(peer.maybeUpdate(7)).toBe(true);
    expect(peer.canBumpCommit(7)).toBe(true);
  });

  it('keeps only its role over a restart', () => {
    const peer = new Progress({ match: 4, next: 9, inflights: new Inflights(2, 0), isLearner: true });
    peer.becomeReplicate();
    peer.sentEntries(3, 1);
    peer.recordSentCommit(4);
    peer.recentActive = true;
    peer.restart(0, 12);
    expect(describeProgress(peer)).toBe('StateProbe match=0 next=12 learner inactive');
    expect(peer.sentCommit).toBe(0);
  });

  it('is described in one line', () => {
    const peer = progress(11, 12);
    peer.becomeReplicate();
    expect(describeProgress(peer)).toBe('StateReplicate match=11 next=12');
    peer.sentEntries(2, 1);
    expect(describeProgress(peer)).toBe('StateReplicate match=11 next=14 inflight=1');
    peer.sentEntries(1, 1);
    expect(describeProgress(peer)).toBe('StateReplicate match=11 next=15 paused inflight=2[full]');
    peer.becomeSnapshot(11);
    peer.recentActive = false;
    peer.isLearner = true;
    expect(describeProgress(peer)).toBe('StateSnapshot match=11 next=12 learner paused pendingSnap=11 inactive');
  });

  it('copies independently', () => {
    const peer = progress(3, 4);
    peer.becomeReplicate();
    peer.sentEntries(1, 5);
    peer.recordSentCommit(2);
    const copy = peer.clone();
    expect(describeProgress(copy)).toBe(describeProgress(peer));
    expect(copy.sentCommit).toBe(2);
    copy.becomeProbe();
    expect(describeProgress(peer)).toBe('StateReplicate match=3 next=5 inflight=1');
  });
});
