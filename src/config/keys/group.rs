//! The configuration of one group.

use super::rows::resource_keys;
use crate::config::key::{ANY, HONOURED, Key, REPORTED, SHARE_AUTO_OFFSET_RESET, at_least, one_of};

pub(super) const KEYS: &[Key] = resource_keys! { Group;
    Int "consumer.assignment.interval.ms" = "1000", at_least(0), HONOURED,
        from ["group.consumer.assignment.interval.ms"];
        "The shortest time between two assignments of the consumer group."
    Int "consumer.heartbeat.interval.ms" = "5000", at_least(1), HONOURED, from ["group.consumer.heartbeat.interval.ms"];
        "How often members of the consumer group send a heartbeat."
    Int "consumer.session.timeout.ms" = "45000", at_least(1), HONOURED, from ["group.consumer.session.timeout.ms"];
        "How long a silent member stays in the consumer group."
    Int "share.assignment.interval.ms" = "1000", at_least(0), HONOURED, from ["group.share.assignment.interval.ms"];
        "The shortest time between two assignments of the share group."
    String "share.auto.offset.reset" = "latest", SHARE_AUTO_OFFSET_RESET, HONOURED, from [];
        "Where the share group begins in a partition: earliest, latest or by_duration:<ISO 8601 duration> ago."
    Int "share.delivery.count.limit" = "5", at_least(2), HONOURED, from ["group.share.delivery.count.limit"];
        "How often a record is delivered to the share group before it is given up."
    Int "share.heartbeat.interval.ms" = "5000", at_least(1), HONOURED, from ["group.share.heartbeat.interval.ms"];
        "How often members of the share group send a heartbeat."
    String "share.isolation.level" = "read_uncommitted", one_of(&["read_committed", "read_uncommitted"]), HONOURED,
        from [];
        "Whether the share group is given records of transactions that are open or were aborted."
    Int "share.partition.max.record.locks" = "2000", at_least(100), HONOURED,
        from ["group.share.partition.max.record.locks"];
        "How many records of a partition the share group may hold at once."
    Int "share.record.lock.duration.ms" = "30000", at_least(1_000), HONOURED,
        from ["group.share.record.lock.duration.ms"];
        "How long a record handed to a share consumer stays its own."
    Boolean "share.renew.acknowledge.enable" = "true", ANY, HONOURED, from [];
        "Whether members of the share group may renew the locks of records they hold."
    Int "share.session.timeout.ms" = "45000", at_least(1), HONOURED, from ["group.share.session.timeout.ms"];
        "How long a silent member stays in the share group."
    Int "streams.assignment.interval.ms" = "1000", at_least(0), REPORTED,
        from ["group.streams.assignment.interval.ms"];
        "The shortest time between two assignments of the Streams group."
    Int "streams.heartbeat.interval.ms" = "5000", at_least(1), REPORTED, from ["group.streams.heartbeat.interval.ms"];
        "How often members of the Streams group send a heartbeat."
    Int "streams.initial.rebalance.delay.ms" = "3000", at_least(0), REPORTED,
        from ["group.streams.initial.rebalance.delay.ms"];
        "How long the new Streams group waits for further members before its first assignment."
    Int "streams.num.standby.replicas" = "0", at_least(0), REPORTED, from ["group.streams.num.standby.replicas"];
        "How many standby copies each task of the Streams group has."
    Int "streams.session.timeout.ms" = "45000", at_least(1), REPORTED, from ["group.streams.session.timeout.ms"];
        "How long a silent member stays in the Streams group."
};
