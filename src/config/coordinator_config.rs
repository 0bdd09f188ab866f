//! What the coordinators of groups and of share groups' state are started with.

use super::broker_config::CheckedValues;
use super::value::split_list;

/// `offset.*`, `offsets.*` and `group.*`: what the group coordinator goes by. Values that a group may set itself are in
/// [`GroupConfig`](super::GroupConfig).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupCoordinatorConfig {
    pub offset_metadata_max_bytes: usize,
    pub offsets_commit_timeout_ms: u64,
    pub offsets_load_buffer_size: usize,
    pub offsets_retention_check_interval_ms: u64,
    /// `offsets.retention.minutes`
    pub offsets_retention_ms: i64,
    /// 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.
    pub offsets_topic_compression_codec: u8,
    pub offsets_topic_num_partitions: i32,
    pub offsets_topic_replication_factor: i16,
    pub offsets_topic_segment_bytes: i32,
    pub rebalance_protocols: RebalanceProtocols,

    pub initial_rebalance_delay_ms: u32,
    pub max_session_timeout_ms: i32,
    pub min_session_timeout_ms: i32,
    pub max_size: usize,

    /// The first is the default.
    pub consumer_assignors: Vec<String>,
    pub consumer_max_size: usize,
    pub consumer_migration_policy: ConsumerMigrationPolicy,
    pub consumer_regex_refresh_interval_ms: u64,

    pub share_initialize_retry_interval_ms: u64,
    pub share_max_sessions: usize,
    pub share_max_size: usize,
}

/// `group.coordinator.rebalance.protocols`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RebalanceProtocols {
    pub classic: bool,
    pub consumer: bool,
    pub share: bool,
}

/// `group.consumer.migration.policy`: which way groups with members may move between the two protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsumerMigrationPolicy {
    Disabled,
    /// From the consumer to the classic protocol.
    Downgrade,
    /// From the classic to the consumer protocol.
    Upgrade,
    Bidirectional,
}

impl ConsumerMigrationPolicy {
    pub fn allows_upgrade(self) -> bool {
        matches!(self, Self::Upgrade | Self::Bidirectional)
    }

    pub fn allows_downgrade(self) -> bool {
        matches!(self, Self::Downgrade | Self::Bidirectional)
    }

    /// Checked to be one of the four words, in any case.
    fn from_text(text: &str) -> Self {
        match text.trim().to_ascii_lowercase().as_str() {
            "disabled" => Self::Disabled,
            "downgrade" => Self::Downgrade,
            "upgrade" => Self::Upgrade,
            _ => Self::Bidirectional,
        }
    }
}

/// `share.coordinator.*`: what the keeper of share groups' state goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareCoordinatorConfig {
    pub cold_partition_snapshot_interval_ms: u64,
    pub load_buffer_size: usize,
    pub snapshot_update_records_per_snapshot: u32,
    /// 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.
    pub state_topic_compression_codec: u8,
    pub state_topic_min_isr: i32,
    pub state_topic_num_partitions: i32,
    pub state_topic_prune_interval_ms: u64,
    pub state_topic_replication_factor: i16,
    pub state_topic_segment_bytes: i32,
    pub write_timeout_ms: u64,
}

impl GroupCoordinatorConfig {
    pub(super) fn from_values(values: &CheckedValues<'_>) -> Self {
        let protocols = split_list(values.text("group.coordinator.rebalance.protocols"));
        Self {
            offset_metadata_max_bytes: values.size("offset.metadata.max.bytes"),
            offsets_commit_timeout_ms: values.size("offsets.commit.timeout.ms"),
            offsets_load_buffer_size: values.size("offsets.load.buffer.size"),
            offsets_retention_check_interval_ms: values.size("offsets.retention.check.interval.ms"),
            offsets_retention_ms: values.number("offsets.retention.minutes") * 60 * 1000,
            offsets_topic_compression_codec: values.size("offsets.topic.compression.codec"),
            offsets_topic_num_partitions: values.size("offsets.topic.num.partitions"),
            offsets_topic_replication_factor: values.size("offsets.topic.replication.factor"),
            offsets_topic_segment_bytes: values.size("offsets.topic.segment.bytes"),
            rebalance_protocols: RebalanceProtocols {
                classic: protocols.contains(&"classic"),
                consumer: protocols.contains(&"consumer"),
                share: protocols.contains(&"share"),
            },

            initial_rebalance_delay_ms: values.size("group.initial.rebalance.delay.ms"),
            max_session_timeout_ms: values.number("group.max.session.timeout.ms") as i32,
            min_session_timeout_ms: values.number("group.min.session.timeout.ms") as i32,
            max_size: values.size("group.max.size"),

            consumer_assignors: words(values, "group.consumer.assignors"),
            consumer_max_size: values.size("group.consumer.max.size"),
            consumer_migration_policy: ConsumerMigrationPolicy::from_text(
                values.text("group.consumer.migration.policy"),
            ),
            consumer_regex_refresh_interval_ms: values.size("group.consumer.regex.refresh.interval.ms"),

            share_initialize_retry_interval_ms: values.size("group.share.initialize.retry.interval.ms"),
            share_max_sessions: values.size("group.share.max.share.sessions"),
            share_max_size: values.size("group.share.max.size"),
        }
    }
}

impl ShareCoordinatorConfig {
    pub(super) fn from_values(values: &CheckedValues<'_>) -> Self {
        Self {
            cold_partition_snapshot_interval_ms: values.size("share.coordinator.cold.partition.snapshot.interval.ms"),
            load_buffer_size: values.size("share.coordinator.load.buffer.size"),
            snapshot_update_records_per_snapshot: values
                .size("share.coordinator.snapshot.update.records.per.snapshot"),
            state_topic_compression_codec: values.size("share.coordinator.state.topic.compression.codec"),
            state_topic_min_isr: values.size("share.coordinator.state.topic.min.isr"),
            state_topic_num_partitions: values.size("share.coordinator.state.topic.num.partitions"),
            state_topic_prune_interval_ms: values.size("share.coordinator.state.topic.prune.interval.ms"),
            state_topic_replication_factor: values.size("share.coordinator.state.topic.replication.factor"),
            state_topic_segment_bytes: values.size("share.coordinator.state.topic.segment.bytes"),
            write_timeout_ms: values.size("share.coordinator.write.timeout.ms"),
        }
    }
}

fn words(values: &CheckedValues<'_>, name: &str) -> Vec<String> {
    split_list(values.text(name)).into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use crate::config::*;

    #[test]
    fn alone_a_node_has_one_replica_of_internal_topics() {
        let config = BrokerConfig::default();
        assert_eq!(config.groups.offsets_topic_replication_factor, 1);
        let share = &config.share_coordinator;
        assert_eq!((share.state_topic_replication_factor, share.state_topic_min_isr), (1, 1));
        assert_eq!((share.state_topic_num_partitions, config.groups.offsets_topic_num_partitions), (50, 50));
    }

    #[test]
    fn values_are_typed() {
        let file = "offsets.retention.minutes=2\ngroup.consumer.migration.policy=Upgrade\n\
                    group.consumer.assignors=range , uniform\ngroup.coordinator.rebalance.protocols=classic\n\
                    offsets.topic.replication.factor=2";
        let sources = Sources { file: Some(("f".into(), file.to_owned())), ..Sources::default() };
        let groups = load(&sources).unwrap().config.groups;
        assert_eq!((groups.offsets_retention_ms, groups.offsets_topic_replication_factor), (120_000, 2));
        assert_eq!(groups.consumer_assignors, ["range", "uniform"]);
        let policy = groups.consumer_migration_policy;
        assert!(policy.allows_upgrade() && !policy.allows_downgrade());
        assert!(groups.rebalance_protocols.classic && !groups.rebalance_protocols.consumer);
    }
}
