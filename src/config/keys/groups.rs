//! Group coordination: offsets, classic, consumer and Streams groups.

use super::rows::broker_keys;
use crate::config::key::{ANY, HONOURED, Key, REPORTED, at_least, between, list_of, one_of_any_case};

pub(super) const KEYS: &[Key] = broker_keys! {
    Int "offset.metadata.max.bytes" = "4096", ANY, ReadOnly, HONOURED;
        "The longest metadata text a committed offset may carry."
    Int "offsets.commit.timeout.ms" = "5000", at_least(1), ReadOnly, HONOURED;
        "How long an offset commit waits for its replicas."
    Int "offsets.load.buffer.size" = "5242880", at_least(1), ReadOnly, HONOURED;
        "How many bytes are read at a time when a group's state is loaded."
    Long "offsets.retention.check.interval.ms" = "600000", at_least(1), ReadOnly, HONOURED;
        "How often expired offsets are looked for."
    Int "offsets.retention.minutes" = "10080", at_least(1), ReadOnly, HONOURED;
        "How long the offsets of a group without members are kept."
    Int "offsets.topic.compression.codec" = "0", between(0, 4), ReadOnly, HONOURED;
        "The codec of the offsets topic: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd."
    Int "offsets.topic.num.partitions" = "50", at_least(1), ReadOnly, HONOURED;
        "How many partitions the offsets topic is created with."
    Short "offsets.topic.replication.factor" = "3", at_least(1), ReadOnly, HONOURED;
        "How many replicas the offsets topic is created with."
    Int "offsets.topic.segment.bytes" = "104857600", at_least(1), ReadOnly, HONOURED;
        "The segment size of the offsets topic."
    Int "group.coordinator.append.linger.ms" = "-1", at_least(-1), ReadOnly, REPORTED;
        "How long the group coordinator gathers writes; -1 adapts to the load."
    Int "group.coordinator.background.threads" = "2", at_least(1), ReadOnly, REPORTED;
        "Threads for the group coordinator's slower work; Ottla sizes its own pools."
    Int "group.coordinator.cached.buffer.max.bytes" = "1048588", at_least(524_288), ClusterWide, REPORTED;
        "How large a write buffer of the group coordinator may be kept for reuse."
    List "group.coordinator.rebalance.protocols" = "classic,consumer,streams",
        list_of(&["consumer", "classic", "share", "streams"]), ReadOnly, HONOURED;
        "Which group protocols are served."
    Int "group.coordinator.threads" = "4", at_least(1), ReadOnly, REPORTED;
        "Threads of the group coordinator; Ottla sizes its own pools."
    Int "group.initial.rebalance.delay.ms" = "3000", ANY, ReadOnly, HONOURED;
        "How long a new group waits for further members before its first rebalance."
    Int "group.max.session.timeout.ms" = "1800000", ANY, ReadOnly, HONOURED;
        "The longest session timeout a classic member may ask for."
    Int "group.min.session.timeout.ms" = "6000", ANY, ReadOnly, HONOURED;
        "The shortest session timeout a classic member may ask for."
    Int "group.max.size" = "2147483647", at_least(1), ReadOnly, HONOURED;
        "How many members a classic group may have."
    Int "group.consumer.assignment.interval.ms" = "1000", at_least(0), ClusterWide, HONOURED;
        "The shortest time between two assignments of a consumer group."
    List "group.consumer.assignors" = "uniform,range", ANY, ReadOnly, HONOURED;
        "The server's assignors for consumer groups; the first is the default."
    Int "group.consumer.heartbeat.interval.ms" = "5000", at_least(1), ReadOnly, HONOURED;
        "How often members of a consumer group send a heartbeat."
    Int "group.consumer.max.assignment.interval.ms" = "15000", at_least(0), ReadOnly, HONOURED;
        "The largest consumer.assignment.interval.ms a group may set."
    Int "group.consumer.max.heartbeat.interval.ms" = "15000", at_least(1), ReadOnly, HONOURED;
        "The largest consumer.heartbeat.interval.ms a group may set."
    Int "group.consumer.max.session.timeout.ms" = "60000", at_least(1), ReadOnly, HONOURED;
        "The largest consumer.session.timeout.ms a group may set."
    Int "group.consumer.max.size" = "2147483647", at_least(1), ReadOnly, HONOURED;
        "How many members a consumer group may have."
    String "group.consumer.migration.policy" = "bidirectional", one_of_any_case(&["DISABLED",
        "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"]), ReadOnly, HONOURED;
        "Which way groups may move between the classic and the consumer protocol while they have members."
    Int "group.consumer.min.assignment.interval.ms" = "0", at_least(0), ReadOnly, HONOURED;
        "The smallest consumer.assignment.interval.ms a group may set."
    Int "group.consumer.min.heartbeat.interval.ms" = "5000", at_least(1), ReadOnly, HONOURED;
        "The smallest consumer.heartbeat.interval.ms a group may set."
    Int "group.consumer.min.session.timeout.ms" = "45000", at_least(1), ReadOnly, HONOURED;
        "The smallest consumer.session.timeout.ms a group may set."
    Int "group.consumer.regex.refresh.interval.ms" = "600000", at_least(10_000), ReadOnly, HONOURED, internal;
        "How often regular expression subscriptions are resolved again."
    Int "group.consumer.session.timeout.ms" = "45000", at_least(1), ReadOnly, HONOURED;
        "How long a silent member stays in a consumer group."
    Int "group.streams.assignment.interval.ms" = "1000", at_least(0), ClusterWide, REPORTED;
        "The shortest time between two assignments of a Streams group."
    Int "group.streams.heartbeat.interval.ms" = "5000", at_least(1), ReadOnly, REPORTED;
        "How often members of a Streams group send a heartbeat."
    Int "group.streams.initial.rebalance.delay.ms" = "3000", at_least(0), ReadOnly, REPORTED;
        "How long a new Streams group waits for further members before its first assignment."
    Int "group.streams.max.assignment.interval.ms" = "15000", at_least(0), ReadOnly, HONOURED;
        "The largest streams.assignment.interval.ms a group may set."
    Int "group.streams.max.heartbeat.interval.ms" = "15000", at_least(1), ReadOnly, HONOURED;
        "The largest streams.heartbeat.interval.ms a group may set."
    Int "group.streams.max.session.timeout.ms" = "60000", at_least(1), ReadOnly, HONOURED;
        "The largest streams.session.timeout.ms a group may set."
    Int "group.streams.max.size" = "2147483647", at_least(1), ReadOnly, REPORTED;
        "How many members a Streams group may have."
    Int "group.streams.max.standby.replicas" = "2", at_least(0), ReadOnly, HONOURED;
        "The largest streams.num.standby.replicas a group may set."
    Int "group.streams.min.assignment.interval.ms" = "0", at_least(0), ReadOnly, HONOURED;
        "The smallest streams.assignment.interval.ms a group may set."
    Int "group.streams.min.heartbeat.interval.ms" = "5000", at_least(1), ReadOnly, HONOURED;
        "The smallest streams.heartbeat.interval.ms a group may set."
    Int "group.streams.min.session.timeout.ms" = "45000", at_least(1), ReadOnly, HONOURED;
        "The smallest streams.session.timeout.ms a group may set."
    Int "group.streams.num.standby.replicas" = "0", at_least(0), ReadOnly, REPORTED;
        "How many standby copies each task of a Streams group has."
    Int "group.streams.session.timeout.ms" = "45000", at_least(1), ReadOnly, REPORTED;
        "How long a silent member stays in a Streams group."
};
