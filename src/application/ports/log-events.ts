/**
 * The events of the log, by level, each with a sentence that says when it is logged. The names are a contract: alerts and
 * tests match them, and `docs/log-events.md` lists them. Messages may change at any time.
 */
export const logEvents = {
  error: {
    acknowledged_entries_lost:
      'This node lacks entries that it had acknowledged, such as after its data directory was restored from an old copy.',
    acl_load_failed: 'The ACL model or policy could not be used at the start; everything is denied.',
    acl_reload_failed: 'A changed ACL model or policy could not be used; the last one stays in force.',
    address_update_failed: 'This node could not report its new address to the cluster.',
    appends_disabled: 'The log could not be written; an embedded node accepts no appends until it is restarted.',
    call_failed: 'A call failed with an internal error.',
    catch_up_failed: 'The leader could not send stored segments to a follower.',
    certificate_expired: 'A certificate of this node has expired.',
    certificates_reload_failed: 'Changed certificates could not be used; the last ones stay in use.',
    dead_member_removal_stopped: 'The removal of dead members failed with an internal error and stopped.',
    descriptors_exhausted:
      'No descriptor was left to open a file; those kept for the log are used, then opening waits and appends are refused. Once a minute at most.',
    entry_transfer_failed: 'Reading entries for a peer failed with an internal error.',
    fatal_error: 'The process exits because of an internal error or because the log could not be written.',
    forwarded_append_failed: 'An append that a follower forwarded failed with an internal error.',
    hard_state_lost:
      'The file `raft/hard-state` was missing or damaged; a member of several asks for a new Raft id before it votes.',
    implausible_term: 'A message was dropped because its term is too far ahead of the term of this node.',
    join_request_failed: 'A request to join failed with an internal error.',
    learner_promotion_stopped: 'The promotion of learners failed with an internal error and stopped.',
    log_lines_lost: 'Log lines could not be written and were lost; `lines` counts them. Lines are written again.',
    log_missing: 'All segments of the log of a member are missing; it joins again with an empty log.',
    membership_refused: 'The cluster refuses this node as the member that it runs as; `reason` says what to do.',
    peer_message_malformed: 'Data from a peer was dropped because it is malformed or fails its checksum.',
    peer_message_misaddressed:
      'A message from a peer was dropped because it is not from that peer or not for this node.',
    raft_trace: 'The Raft core reports that it received an invalid message.',
    removed_from_cluster:
      'The cluster removed this node, which no longer serves; `removal` says why. Removed `as dead`, or `readmitted` under another Raft id, it joins again at once, otherwise when it is restarted.',
    replica_source_of_other_cluster: 'A replica reached a node of another cluster and does not follow it.',
    request_failed: 'An HTTP request failed with an internal error.',
    start_failed: 'The node could not start; the process exits.',
    stopped_without_disk: 'The node stopped and did not wait for a disk that hangs; the process kills itself.',
    stored_entries_damaged:
      'Damaged entries were found; they are repaired from the peers: at the end of the log at the next start, else at once.',
  },
  warn: {
    access_denied:
      'A call or a connection of a peer was denied; `more` counts those of the same caller and call since the last line.',
    amnesiac_member_readmitted: 'The leader gave a new Raft id to a member that lost acknowledged entries.',
    append_time_ahead:
      'An append time in the log is more than a minute ahead of the clock of retention; its segment counts as no newer than the next one.',
    bootstrap_ignored: '`--bootstrap` was given, but a cluster exists already; the node joins it.',
    bootstrap_waits:
      'A node that would begin a cluster waits, because it could be a second one; `reason` names what is missing.',
    certificate_expires_soon: 'A certificate of this node expires soon.',
    certificate_for_other_node: 'The certificate of this node names another node.',
    certificate_names_no_node: 'The certificate of this node names no node.',
    certificate_not_for_node: 'The certificate of this node is not valid for a node.',
    cluster_admits_nobody:
      'A cluster exists, so a node without one begins none, but has not been admitted; `reasons` has each answer.',
    cluster_recovered: '`golog recover` changed this data directory, and this is the first start after that.',
    configuration_outdated:
      'The file `raft/snapshot` was older than the log; the configuration entries of the log were applied.',
    connection_refused:
      'A TLS connection was refused, to this node or from it to a peer; `more` counts those since the last line.',
    connections_limited:
      'Each listener accepts fewer connections than usual, because the process may have few descriptors (`ulimit -n`).',
    damaged_entries_truncated: 'The log was truncated before the first damaged entry.',
    data_directory_changed:
      'The data directory was copied, restored or lost its incarnation since the last start; the peers are asked about it.',
    data_directory_copied: 'Another node asked to join with the UUID of a member that is alive.',
    data_directory_of_other_member: 'The data directory belongs to a member with another name; the node waits.',
    dead_member_removal_failed: 'The leader could not remove a dead member; it tries again.',
    dead_member_removal_started:
      'The leader removes a member that was silent for `--dead-member-timeout` or that left.',
    disk_full:
      'An append would leave less free disk space than `--disk-reserve-bytes`: a leader refuses it, a follower ignores it.',
    disk_space_unknown: 'The free disk space could not be read.',
    disk_stalled: 'A write to the disk has not ended within an election timeout: the disk hangs, or is very slow.',
    event_loop_delayed:
      'One delay of the event loop in a thousand exceeded 100 ms within a minute: calls and heartbeats were late.',
    gossip_isolated: 'No other node has answered through gossip; logged once a minute while it lasts.',
    gossip_key_not_in_keyring:
      'The key of `--encrypt` or `--encrypt-file` is not in the keyring file, which takes precedence.',
    gossip_rejected: 'A gossip message was rejected; logged once a minute at most.',
    gossip_snapshot_not_written: 'The snapshot of the gossip members could not be written.',
    gossip_stream_malformed: 'A TCP stream of gossip was malformed; logged once a minute at most.',
    hard_state_slot_corrupt: 'One of the two hard-state slots is corrupt; the other one is used.',
    idle_readers_ended:
      'Calls whose client accepted or sent nothing for 5 s were ended, because other calls lacked memory.',
    join_deferred: 'The leader could not admit a node yet; the node asks again.',
    join_failed: 'Admitting a node failed with an unexpected error; the node asks again.',
    join_refused: 'The leader refused to admit a node.',
    join_request_malformed: 'A request to join was malformed.',
    key_file_open_to_others: 'A file with a key can be read or changed by other users than its owner.',
    leader_disk_stalled: 'The disk of the leader hangs; it transfers leadership to another voter.',
    leave_failed: 'The node stops and could not leave the cluster first.',
    log_damage_found:
      'A read of the log, for somebody or for the scrubber, found a damaged range of entries or a damaged header.',
    log_damaged_leader: 'A sealed segment of the leader is damaged; it transfers leadership while it repairs it.',
    log_end_not_committed: 'The log of a damaged member ended with entries that were never committed.',
    log_index_rebuilt: 'An index file was missing or damaged and was rebuilt from its segment.',
    log_leftover_removed: 'A file that a crash left behind was removed.',
    log_repair_blocked: 'The log could not be repaired; logged once a minute while it is retried.',
    log_repair_started: 'The log is damaged; the node repairs it before it votes or appends.',
    log_reset: 'The log was restarted because the leader or the source no longer has the entries that follow it.',
    log_retention_stalled: 'Old segments could not be removed because the disk has no space to note the new log start.',
    log_segment_quarantined: 'A range of a segment is damaged and is not served.',
    log_set_aside:
      'The cluster was recovered without this node: its log was moved to `path`, and it joins again with an empty one.',
    log_start_damaged: 'The file `log-start` is damaged; the log start was derived from the segments.',
    log_time_ahead:
      'The last append time of the log is more than a day ahead of the clock; this leader goes on from the clock.',
    log_torn_tail_cut: 'The end of the log that a crash left incomplete was cut.',
    member_name_conflict: 'Two nodes claim the same name in the gossip; logged once a minute at most.',
    member_running_elsewhere: 'A process at another address runs as this member; this node waits for it to end.',
    no_replica_source: 'A replica knows no member that it can follow; logged once a minute while it lasts.',
    node_name_ignored:
      'The data directory is that of another member, whose name the node uses in place of `--node-name`.',
    origin_refused:
      'A request of a web page was refused, because its origin is not in `--cors-origins`; `more` counts those since the last line.',
    peer_identity_unverified: 'The certificate of a peer names no node, so it could be any node.',
    peer_notes_lost: 'The notes about the peers are damaged; this node starts them over.',
    peer_refused_connection: 'A peer refused the connection of this node.',
    previous_run_message: 'A message of an earlier run of a member was dropped; logged once a minute at most.',
    query_response_too_large: 'A response to a gossip query was too large to send.',
    raft_trace: 'The Raft core reports an unexpected state.',
    readiness_changed:
      'How ready this node is has changed: `state` and `problem` are what `/readyz` says; a warning when it was ready before.',
    replica_contacts_not_stored: 'A replica had no disk space to store the addresses of the members and the settings.',
    replica_source_lost: 'A replica lost the member that it followed.',
    replica_stalled: 'A replica stopped reading; its stream was closed.',
    response_not_sent: 'A response could not be sent.',
    retention_clock_unknown:
      'Nothing is removed by age, because the clocks of a majority of the voters were not heard in the last minute.',
    retention_differs:
      'A retention flag of this node differs from the setting of the cluster; the stricter of the two limits is used.',
    shutdown_grace_expired: 'Calls outlived the grace period of a shutdown; their connections are destroyed.',
    stream_access_withdrawn: 'A stream was ended because its caller lost the permission for it.',
    vouching_incomplete:
      'This node waits to start Raft until a majority of the voters has vouched for it; logged once a minute while it lasts.',
    wall_clock_differs:
      'The wall clock of this node has jumped, or differs by more than a minute from those of the voters.',
  },
  info: {
    acl_loaded: 'The ACL was loaded at the start.',
    acl_reloaded: 'The ACL was reloaded.',
    address_updated: 'The cluster recorded the new address of this node.',
    admin_action: 'A call that needs the `admin` permission was allowed.',
    advertise_addr_chosen:
      'The node listens on all addresses and `--advertise-addr` is not given: other nodes are told `rpcAddr`, an address of this machine.',
    catch_up_finished: 'A follower has caught up with the leader from stored segments.',
    catch_up_started: 'The leader started to send stored segments to a follower.',
    certificates_reloaded: 'Changed certificates are in use.',
    cluster_bootstrapped: 'This node bootstrapped a cluster of one node.',
    cluster_joined: 'This node joined a cluster.',
    cluster_rejoined: 'This node rejoined its cluster under a new Raft id.',
    configuration_changed: 'A configuration change was applied; `members` and `settings` are those after it.',
    damaged_segment_repaired: 'A damaged segment was written again, with what the peers have of it.',
    disk_recovered: 'The disk writes in time again, after `disk_stalled`.',
    disk_space_recovered: 'The disk has space again, after `disk_full`: a leader accepts appends, a follower entries.',
    feature_level_raised: 'The leader raised the feature level, since every member offers the new one.',
    gossip_key_changed: 'A gossip query changed the keyring, or tried to; `result` says which.',
    leader_elected: 'This node became the leader.',
    leader_stepped_down: 'This node stopped being the leader.',
    log_repair_fetching: 'The repair fetches entries from a peer.',
    log_repair_finished: 'The log is repaired.',
    log_scrub_finished:
      'All sealed segments were read through; `damaged` is the number of damaged ranges that are known.',
    member_joined: 'The leader admitted a node to the cluster; `changed` is false where the node was a member already.',
    member_promoted: 'The leader made a learner a voter; part of the audit of joins.',
    member_removed: 'The leader removed a member; `removal` says why.',
    no_node_known: 'The node waits to join a cluster and knows no other node yet.',
    readiness_changed:
      'How ready this node is has changed: `state` and `problem` are what `/readyz` says; a warning when it was ready before.',
    rejoin_requested: 'This node asks for a new Raft id; `reason` says why.',
    replica_joined: 'This node became a replica of a cluster.',
    replica_source_followed: 'A replica started to follow a member.',
    serving: 'The node serves; the fields hold its addresses and the state of its log.',
    stopped: 'The node has stopped.',
    stopping: 'The node was told to stop.',
    vouched: 'The peers of this node vouch for it, and it starts Raft; `seenTerm` is the highest term seen from it.',
    waiting_for_replica_source: 'A new replica waits for a member that answers.',
    waiting_to_join: 'The node waits to join a cluster; `reasons` has the answer of each node that it asked.',
  },
  debug: {
    gossip_exchange_failed: 'A state exchange with a gossip member failed.',
    gossip_joined: 'A node at one of the given addresses answered through gossip.',
    gossip_ping_failed: 'A ping over TCP failed.',
    learner_promotion_failed: 'A learner could not be promoted; the leader tries again.',
    no_leader_answered: 'No leader has answered this member before it started.',
    raft_trace: 'The Raft core did something; the message has the text of the core.',
    replica_source_lost: 'A replica could not follow a member.',
    tls_handshake_abandoned: 'A client ended its connection before the TLS handshake was complete.',
  },
} as const satisfies Record<string, Record<string, string>>;

export type LogLevel = keyof typeof logEvents;

/** The names of the events that are logged at a level. */
export type LogEvent<L extends LogLevel = LogLevel> = { [K in L]: keyof (typeof logEvents)[K] }[L];
