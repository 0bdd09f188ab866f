//! The table from which ApiVersions and dispatch follow: one row per API that this build serves.

use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;

use super::context::ConnectionContext;
use super::throttle::ThrottleTime::{self, BehindError, ByHandler, First, Untold};
use super::{
    Outcome, Refusal, alter_client_quotas, alter_configs, alter_partition_reassignments, alter_replica_log_dirs,
    alter_share_group_offsets, api_versions, consumer_group_describe, consumer_group_heartbeat, create_partitions,
    create_topics, decode, delete_groups, delete_records, delete_share_group_offsets, delete_topics,
    describe_client_quotas, describe_cluster, describe_configs, describe_groups, describe_log_dirs,
    describe_producers, describe_quorum, describe_share_group_offsets, describe_topic_partitions,
    describe_user_scram_credentials, elect_leaders, fetch, find_coordinator, get_telemetry_subscriptions, heartbeat,
    incremental_alter_configs, init_producer_id, join_group, leave_group, list_config_resources, list_groups,
    list_offsets, list_partition_reassignments, metadata, offset_commit, offset_delete, offset_fetch,
    offset_for_leader_epoch, produce, push_telemetry, share_acknowledge, share_fetch, share_group_describe,
    share_group_heartbeat, sync_group, unregister_broker, update_features,
};
use crate::protocol::header::RequestPrefix;

/// Decodes a request and calls its handler.
type Start = fn(&'static ApiRow, &Arc<ConnectionContext>, RequestPrefix, Bytes) -> Result<Outcome, Refusal>;

/// One API.
#[derive(Debug)]
pub struct ApiRow {
    pub key: i16,
    pub name: &'static str,
    /// The versions that are served.
    pub versions: RangeInclusive<i16>,
    /// The least version that ApiVersions tells of; less than what is served only where clients need the lie.
    pub advertised_min: i16,
    /// Where its responses tell how long the client is throttled.
    pub(super) throttle_time: ThrottleTime,
    pub(super) start: Start,
}

macro_rules! row {
    ($key:literal, $name:literal, $versions:expr, $throttle_time:expr, $handler:path) => {
        ApiRow {
            key: $key,
            name: $name,
            versions: $versions,
            advertised_min: *$versions.start(),
            throttle_time: $throttle_time,
            start: |row, connection, prefix, frame| decode(row, connection, prefix, frame, $handler),
        }
    };
}

/// By API key.
pub static TABLE: &[ApiRow] = &[
    // librdkafka takes a least version above 0 for a broker too old for compression, and silently sends
    // uncompressed (its issue 4956, KAFKA-18659): Kafka advertises 0 and refuses 0-2, so we do.
    ApiRow { advertised_min: 0, ..row!(0, "Produce", 3..=13, ByHandler, produce::handle) },
    row!(1, "Fetch", 4..=18, First(1), fetch::handle),
    row!(2, "ListOffsets", 1..=11, First(2), list_offsets::handle),
    row!(3, "Metadata", 0..=13, First(3), metadata::handle),
    row!(8, "OffsetCommit", 2..=10, First(3), offset_commit::handle),
    row!(9, "OffsetFetch", 1..=10, First(3), offset_fetch::handle),
    row!(10, "FindCoordinator", 0..=6, First(1), find_coordinator::handle),
    row!(11, "JoinGroup", 0..=9, First(2), join_group::handle),
    row!(12, "Heartbeat", 0..=4, First(1), heartbeat::handle),
    row!(13, "LeaveGroup", 0..=5, First(1), leave_group::handle),
    row!(14, "SyncGroup", 0..=5, First(1), sync_group::handle),
    row!(15, "DescribeGroups", 0..=6, First(1), describe_groups::handle),
    row!(16, "ListGroups", 0..=5, First(1), list_groups::handle),
    row!(18, "ApiVersions", 0..=5, ByHandler, api_versions::handle),
    row!(19, "CreateTopics", 2..=7, First(2), create_topics::handle),
    row!(20, "DeleteTopics", 1..=6, First(1), delete_topics::handle),
    row!(21, "DeleteRecords", 0..=2, First(0), delete_records::handle),
    row!(22, "InitProducerId", 0..=5, First(0), init_producer_id::handle),
    row!(23, "OffsetForLeaderEpoch", 2..=4, First(2), offset_for_leader_epoch::handle),
    row!(32, "DescribeConfigs", 1..=4, First(0), describe_configs::handle),
    row!(33, "AlterConfigs", 0..=2, First(0), alter_configs::handle),
    row!(34, "AlterReplicaLogDirs", 1..=2, First(0), alter_replica_log_dirs::handle),
    row!(35, "DescribeLogDirs", 1..=5, First(0), describe_log_dirs::handle),
    row!(37, "CreatePartitions", 0..=3, First(0), create_partitions::handle),
    row!(42, "DeleteGroups", 0..=3, First(0), delete_groups::handle),
    row!(43, "ElectLeaders", 0..=2, First(0), elect_leaders::handle),
    row!(44, "IncrementalAlterConfigs", 0..=1, First(0), incremental_alter_configs::handle),
    row!(45, "AlterPartitionReassignments", 0..=1, First(0), alter_partition_reassignments::handle),
    row!(46, "ListPartitionReassignments", 0..=0, First(0), list_partition_reassignments::handle),
    row!(47, "OffsetDelete", 0..=0, BehindError, offset_delete::handle),
    row!(48, "DescribeClientQuotas", 0..=1, First(0), describe_client_quotas::handle),
    row!(49, "AlterClientQuotas", 0..=1, First(0), alter_client_quotas::handle),
    row!(50, "DescribeUserScramCredentials", 0..=0, First(0), describe_user_scram_credentials::handle),
    row!(55, "DescribeQuorum", 0..=2, Untold, describe_quorum::handle),
    row!(57, "UpdateFeatures", 0..=2, First(0), update_features::handle),
    row!(60, "DescribeCluster", 0..=2, First(0), describe_cluster::handle),
    row!(61, "DescribeProducers", 0..=0, First(0), describe_producers::handle),
    row!(64, "UnregisterBroker", 0..=0, First(0), unregister_broker::handle),
    row!(68, "ConsumerGroupHeartbeat", 0..=1, First(0), consumer_group_heartbeat::handle),
    row!(69, "ConsumerGroupDescribe", 0..=1, First(0), consumer_group_describe::handle),
    row!(71, "GetTelemetrySubscriptions", 0..=0, First(0), get_telemetry_subscriptions::handle),
    row!(72, "PushTelemetry", 0..=0, First(0), push_telemetry::handle),
    row!(74, "ListConfigResources", 0..=1, First(0), list_config_resources::handle),
    row!(75, "DescribeTopicPartitions", 0..=0, First(0), describe_topic_partitions::handle),
    row!(76, "ShareGroupHeartbeat", 1..=1, First(0), share_group_heartbeat::handle),
    row!(77, "ShareGroupDescribe", 1..=1, First(0), share_group_describe::handle),
    row!(78, "ShareFetch", 1..=2, First(0), share_fetch::handle),
    row!(79, "ShareAcknowledge", 1..=2, First(0), share_acknowledge::handle),
    row!(90, "DescribeShareGroupOffsets", 0..=1, First(0), describe_share_group_offsets::handle),
    row!(91, "AlterShareGroupOffsets", 0..=0, First(0), alter_share_group_offsets::handle),
    row!(92, "DeleteShareGroupOffsets", 0..=0, First(0), delete_share_group_offsets::handle),
];

/// The row of an API key, if it is served.
pub(super) fn row(api_key: i16) -> Option<&'static ApiRow> {
    TABLE.iter().find(|row| row.key == api_key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_and_hold_real_ranges() {
        assert!(TABLE.is_sorted_by_key(|row| row.key));
        for row in TABLE {
            assert!(row.versions.start() <= row.versions.end(), "{}", row.name);
            assert!(row.advertised_min <= *row.versions.start(), "{}", row.name);
        }
    }
}
