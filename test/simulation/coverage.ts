/** What a sweep must have seen: a simulator that never gets there proves nothing. */
export const requiredMarks: readonly string[] = [
  'conflicting suffix truncated',
  'crash between log and hard state',
  'crash during the log write',
  'crash during the hard state write',
  'crash at a vote',
  'torn hard state',
  'log: torn tail cut',
  'leadership transferred',
  'follower reset by snapshot',
  'a follower caught up from stored segments',
  'append refused for want of disk space',
  'append settled by its expected offset',
  'a follow fell behind the log start',
  'linearizable read',
  'fatal',
];
