import { describe, expect, it } from '@jest/globals';
import { parseScenario } from './grammar.js';
import { playDirectives } from './play.js';

/** Elects node 1 of three nodes, then enables all output. */
const elected = `
log-level none
----
ok

add-nodes 3 voters=(1,2,3) index=10 content=abc
----
ok

campaign 1
----
ok

stabilize
----
ok

log-level debug
----
ok
`;

const play = (text: string): string => playDirectives('interaction', parseScenario(`${elected}\n${text}`));

describe('commands of an interaction', () => {
  it.each([
    ['frobnicate', 'unknown command'],
    ['log-level loud', 'log levels must be either of [DEBUG INFO WARN ERROR FATAL NONE]'],
    ['deliver-msgs 1 2 type=MsgApp', 'no messages'],
    ['process-append-thread 1', 'no append work to perform'],
    [
      'process-apply-thread 1 2',
      '> 1 processing apply thread\n  no apply work to perform\n> 2 processing apply thread\n  no apply work to perform',
    ],
    ['process-ready 1', '<empty Ready>'],
    ['status 2', 'ok'],
    ['raft-log 2', '1/11 EntryNormal ""'],
    ['compact 1 11', 'log is empty: first index=12, last index=11'],
    ['compact 1 9', 'requested index is unavailable due to compaction'],
    ['add-nodes 1 voters=(1) index=1', 'index must be specified as > 1 due to bootstrap'],
    ['add-nodes 1 read-only=never', 'invalid read-only option "never"'],
    ['propose-conf-change 1\nv4 x5', 'unknown input: x5'],
    ['propose-conf-change 1\nv', 'unknown token v'],
    ['propose-conf-change 1 transition=later\nv4', 'unknown transition later'],
    [
      'propose-conf-change 1 v1=true transition=implicit\nv4',
      'v1 conf change can only have one operation and no transition',
    ],
    ['report-unreachable 1', 'must specify exactly two node indexes: node on which to report, and reported node'],
    [
      'report-unreachable 1 2',
      'DEBUG 1 failed to send message to 2 because it is unreachable [StateProbe match=11 next=12]',
    ],
    [
      'send-snapshot 1 3',
      '1->3 MsgSnap Term:1 Log:0/0\n  Snapshot: Index:11 Term:1 ConfState:Voters:[1 2 3] VotersOutgoing:[] Learners:[] LearnersNext:[] AutoLeave:false',
    ],
  ])('%s', (command, output) => {
    expect(play(`${command}\n----\n${output}\n`)).toBe('');
  });

  it('prints errors even at log level none', () => {
    expect(
      play('log-level none\n----\nok\n\nforget-leader 2\n----\nok\n\npropose 2 x\n----\nraft proposal dropped\n'),
    ).toBe('');
  });

  it('drops by type and recipient, but not local messages of a node', () => {
    const text = `
propose 1 x
----
ok

tick-heartbeat 1
----
ok

process-ready 1
----
Ready MustSync=true:
Entries:
1/12 EntryNormal "x"
Messages:
1->2 MsgApp Term:1 Log:1/11 Commit:11 Entries:[1/12 EntryNormal "x"]
1->3 MsgApp Term:1 Log:1/11 Commit:11 Entries:[1/12 EntryNormal "x"]
1->2 MsgHeartbeat Term:1 Log:0/0 Commit:11
1->3 MsgHeartbeat Term:1 Log:0/0 Commit:11

deliver-msgs type=MsgHeartbeat 2 drop=(1,3)
----
1->2 MsgHeartbeat Term:1 Log:0/0 Commit:11
dropped: 1->3 MsgHeartbeat Term:1 Log:0/0 Commit:11

stabilize 3 log-level=none
----
ok

deliver-msgs 3
----
no messages
`;
    expect(play(text)).toBe('');
  });
});
