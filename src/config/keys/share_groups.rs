//! Share groups (KIP-932).

use super::rows::broker_keys;
use crate::config::key::{ANY, HONOURED, Key, REPORTED, at_least, between};

pub(super) const KEYS: &[Key] = broker_keys! {
    Int "group.share.assignment.interval.ms" = "1000", at_least(0), ClusterWide, HONOURED;
        "The shortest time between two assignments of a share group."
    List "group.share.assignors" = "simple", ANY, ReadOnly, REPORTED;
        "The assignor of share groups; there is one."
    Int "group.share.delivery.count.limit" = "5", between(2, 10), ReadOnly, HONOURED;
        "How often a record is delivered to a share group before it is given up."
    Int "group.share.heartbeat.interval.ms" = "5000", at_least(1), ReadOnly, HONOURED;
        "How often members of a share group send a heartbeat."
    Int "group.share.initialize.retry.interval.ms" = "30000", at_least(1), ReadOnly, HONOURED, internal;
        "How long before a share partition's initialisation is tried again."
    Int "group.share.max.assignment.interval.ms" = "15000", at_least(0), ReadOnly, HONOURED;
        "The largest share.assignment.interval.ms a group may set."
    Int "group.share.max.delivery.count.limit" = "10", between(5, 25), ReadOnly, HONOURED;
        "The largest share.delivery.count.limit a group may set."
    Int "group.share.max.heartbeat.interval.ms" = "15000", at_least(1), ReadOnly, HONOURED;
        "The largest share.heartbeat.interval.ms a group may set."
    Int "group.share.max.partition.max.record.locks" = "4000", between(2_000, 10_000), ReadOnly, HONOURED;
        "The largest share.partition.max.record.locks a group may set."
    Int "group.share.max.record.lock.duration.ms" = "60000", between(30_000, 3_600_000), ReadOnly, HONOURED;
        "The largest share.record.lock.duration.ms a group may set."
    Int "group.share.max.session.timeout.ms" = "60000", at_least(1), ReadOnly, HONOURED;
        "The largest share.session.timeout.ms a group may set."
    Int "group.share.max.share.sessions" = "2000", at_least(1), ReadOnly, HONOURED;
        "How many share sessions a broker holds."
    Int "group.share.max.size" = "200", between(1, 1_000), ReadOnly, HONOURED;
        "How many members a share group may have."
    Int "group.share.min.assignment.interval.ms" = "0", at_least(0), ReadOnly, HONOURED;
        "The smallest share.assignment.interval.ms a group may set."
    Int "group.share.min.delivery.count.limit" = "2", between(2, 5), ReadOnly, HONOURED;
        "The smallest share.delivery.count.limit a group may set."
    Int "group.share.min.heartbeat.interval.ms" = "5000", at_least(1), ReadOnly, HONOURED;
        "The smallest share.heartbeat.interval.ms a group may set."
    Int "group.share.min.partition.max.record.locks" = "100", between(100, 2_000), ReadOnly, HONOURED;
        "The smallest share.partition.max.record.locks a group may set."
    Int "group.share.min.record.lock.duration.ms" = "15000", between(1_000, 30_000), ReadOnly, HONOURED;
        "The smallest share.record.lock.duration.ms a group may set."
    Int "group.share.min.session.timeout.ms" = "45000", at_least(1), ReadOnly, HONOURED;
        "The smallest share.session.timeout.ms a group may set."
    Int "group.share.partition.max.record.locks" = "2000", between(100, 10_000), ReadOnly, HONOURED;
        "How many records of a partition a share group may hold at once."
    String "group.share.persister.class.name" =
        "org.apache.kafka.server.share.persister.DefaultStatePersister",
        ANY, ReadOnly, REPORTED, internal;
        "The Java class that keeps a share group's state; Ottla has its own."
    Int "group.share.record.lock.duration.ms" = "30000", between(1_000, 3_600_000), ReadOnly, HONOURED;
        "How long a record handed to a share consumer stays its own."
    Int "group.share.session.timeout.ms" = "45000", at_least(1), ReadOnly, HONOURED;
        "How long a silent member stays in a share group."
    Int "share.coordinator.append.linger.ms" = "-1", at_least(-1), ReadOnly, REPORTED;
        "How long the share coordinator gathers writes; -1 adapts to the load."
    Int "share.coordinator.cached.buffer.max.bytes" = "1048588", at_least(524_288), ClusterWide, REPORTED;
        "How large a write buffer of the share coordinator may be kept for reuse."
    Int "share.coordinator.cold.partition.snapshot.interval.ms" = "300000", at_least(1), ReadOnly, HONOURED, internal;
        "How often idle share partitions are written as a snapshot."
    Int "share.coordinator.load.buffer.size" = "5242880", at_least(1), ReadOnly, HONOURED;
        "How many bytes are read at a time when share state is loaded."
    Int "share.coordinator.snapshot.update.records.per.snapshot" = "500", between(0, 500), ReadOnly, HONOURED;
        "How many updates of a share partition lie between two snapshots."
    Int "share.coordinator.state.topic.compression.codec" = "0", between(0, 4), ReadOnly, HONOURED;
        "The codec of the share state topic: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd."
    Short "share.coordinator.state.topic.min.isr" = "2", at_least(1), ReadOnly, HONOURED;
        "How many in-sync replicas a write to the share state topic needs."
    Int "share.coordinator.state.topic.num.partitions" = "50", at_least(1), ReadOnly, HONOURED;
        "How many partitions the share state topic is created with."
    Int "share.coordinator.state.topic.prune.interval.ms" = "300000", at_least(1), ReadOnly, HONOURED, internal;
        "How often the share state topic is trimmed."
    Short "share.coordinator.state.topic.replication.factor" = "3", at_least(1), ReadOnly, HONOURED;
        "How many replicas the share state topic is created with."
    Int "share.coordinator.state.topic.segment.bytes" = "104857600", at_least(1), ReadOnly, HONOURED;
        "The segment size of the share state topic."
    Int "share.coordinator.threads" = "1", at_least(1), ReadOnly, REPORTED;
        "Threads of the share coordinator; Ottla sizes its own pools."
    Int "share.coordinator.write.timeout.ms" = "5000", at_least(1), ReadOnly, HONOURED;
        "How long a write to the share state topic waits for its replicas."
};
