//! Quotas.

use super::rows::broker_keys;
use crate::config::key::{ANY, HONOURED, Key, REPORTED, at_least, refused};
use crate::config::reasons::QUOTA_CALLBACK;

pub(super) const KEYS: &[Key] = broker_keys! {
    Class "client.quota.callback.class" = null, ANY, ReadOnly, refused(QUOTA_CALLBACK);
        "A Java class that decides which quota applies to a client."
    Int "quota.window.num" = "11", at_least(1), ReadOnly, HONOURED;
        "How many windows a client quota is measured over."
    Int "quota.window.size.seconds" = "1", at_least(1), ReadOnly, HONOURED;
        "How long one window of a client quota lasts."
    Int "replication.quota.window.num" = "11", at_least(1), ReadOnly, REPORTED;
        "How many windows a replication quota is measured over."
    Int "replication.quota.window.size.seconds" = "1", at_least(1), ReadOnly, REPORTED;
        "How long one window of a replication quota lasts."
    Int "alter.log.dirs.replication.quota.window.num" = "11", at_least(1), ReadOnly, REPORTED;
        "How many windows the quota on moves between directories is measured over."
    Int "alter.log.dirs.replication.quota.window.size.seconds" = "1", at_least(1), ReadOnly, REPORTED;
        "How long one window of the quota on moves between directories lasts."
    Int "controller.quota.window.num" = "11", at_least(1), ReadOnly, HONOURED;
        "How many windows the quota on topic changes is measured over."
    Int "controller.quota.window.size.seconds" = "1", at_least(1), ReadOnly, HONOURED;
        "How long one window of the quota on topic changes lasts."
    Long "leader.replication.throttled.rate" = "9223372036854775807", at_least(0), ClusterWide, REPORTED, internal;
        "The rate, in bytes a second, at which throttled replicas are read from this leader."
    Long "follower.replication.throttled.rate" = "9223372036854775807", at_least(0), ClusterWide, REPORTED, internal;
        "The rate, in bytes a second, at which throttled replicas are fetched by this follower."
    Long "replica.alter.log.dirs.io.max.bytes.per.second" = "9223372036854775807", at_least(0), ClusterWide, HONOURED,
        internal;
        "The rate, in bytes a second, at which replicas move between the directories of this broker."
};
