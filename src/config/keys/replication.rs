//! Replication and leadership.

use super::rows::broker_keys;
use crate::config::key::{ANY, Key, REPORTED, at_least};

pub(super) const KEYS: &[Key] = broker_keys! {
    Int "replica.fetch.backoff.ms" = "1000", at_least(0), ReadOnly, REPORTED;
        "How long a follower waits after a failed fetch."
    Int "replica.fetch.max.bytes" = "1048576", at_least(0), ReadOnly, REPORTED;
        "How many bytes of one partition a follower asks for at a time."
    Int "replica.fetch.min.bytes" = "1", ANY, ReadOnly, REPORTED;
        "How few bytes a leader may answer a follower with before it waits for more."
    Int "replica.fetch.response.max.bytes" = "10485760", at_least(0), ReadOnly, REPORTED;
        "How many bytes a follower asks for in one request."
    Int "replica.fetch.wait.max.ms" = "500", ANY, ReadOnly, REPORTED;
        "How long a leader holds a follower's fetch that has nothing to read."
    Long "replica.high.watermark.checkpoint.interval.ms" = "5000", ANY, ReadOnly, REPORTED;
        "How often high watermarks are written down."
    Long "replica.lag.time.max.ms" = "30000", ANY, ReadOnly, REPORTED;
        "How long a follower may be behind before it leaves the in-sync set."
    String "replica.selector.class" = null, ANY, ReadOnly, REPORTED;
        "A Java class that picks the replica a consumer should read from."
    Int "replica.socket.receive.buffer.bytes" = "65536", ANY, ReadOnly, REPORTED;
        "The receive buffer of a follower's connection."
    Int "replica.socket.timeout.ms" = "30000", ANY, ReadOnly, REPORTED;
        "How long a follower waits for its leader's answer."
    Int "num.replica.fetchers" = "1", at_least(1), ClusterWide, REPORTED;
        "How many fetchers a follower runs for each leader."
    Boolean "auto.leader.rebalance.enable" = "true", ANY, ReadOnly, REPORTED;
        "Whether leadership returns to preferred replicas by itself."
    Long "leader.imbalance.check.interval.seconds" = "300", at_least(1), ReadOnly, REPORTED;
        "How often leaderships are compared with the preferred ones."
    Long "unclean.leader.election.interval.ms" = "300000", at_least(1), ReadOnly, REPORTED, internal;
        "How often leaderless partitions are looked at for an unclean election."
    Boolean "follower.fetch.last.tiered.offset.enable" = "false", ANY, ClusterWide, REPORTED;
        "Whether an empty follower begins after the last tiered offset."
};
