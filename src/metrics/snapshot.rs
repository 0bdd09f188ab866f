//! What the broker is like at the moment of a scrape.

use super::cleaner::CleanerSnapshot;
use super::exposition::Exposition;
use super::group_offsets::GroupOffsetsSnapshot;
use super::names::{self, Family};
use super::quotas::{QuotaSnapshot, render_quotas};
use super::telemetry::{TelemetrySnapshot, render_telemetry};
use crate::ids::{BrokerId, Offset, PartitionIndex, TopicName};
use crate::time::TimestampMs;

/// Above so many partitions their own series (about twenty each) are left out, the sums stay.
const PARTITION_SERIES_MAX: usize = 10_000;

/// The state of one broker; the broker fills it in for every scrape.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub broker_state: BrokerState,
    /// Every partition with a replica here.
    pub partitions: Vec<PartitionSnapshot>,
    /// Log directories that have failed.
    pub offline_log_directories: usize,
    /// `None`: it is switched off.
    pub cleaner: Option<CleanerSnapshot>,
    /// The log directories, and whether each takes writes.
    pub log_directories: Vec<(String, bool)>,
    /// What the scrubber has read since the start, and when it had last read all.
    pub scrubbed_bytes: u64,
    pub scrub_round_ms: Option<TimestampMs>,
    /// The partitions with damaged batches, and how many.
    pub damaged_batches: Vec<(TopicName, PartitionIndex, usize)>,
    /// The records that the slowest follower replica here is behind; 0 without followers.
    pub replica_max_lag: u64,
    /// Where this broker is the controller.
    pub controller: Option<ControllerSnapshot>,
    pub purgatories: Vec<Purgatory>,
    pub groups: GroupCounts,
    /// Those who are limited by a quota and were there lately.
    pub quotas: Vec<QuotaSnapshot>,
    pub telemetry: TelemetrySnapshot,
    pub group_offsets: GroupOffsetsSnapshot,
    pub fetch_sessions: usize,
    pub fetch_session_partitions: usize,
    /// Memory that requests in flight hold, and what is left below the limit.
    pub request_memory_used_bytes: u64,
    pub request_memory_available_bytes: u64,
    /// What this process made devices read and write; `None` where the operating system does not say.
    pub disk_read_bytes: Option<u64>,
    pub disk_write_bytes: Option<u64>,
}

/// Kafka's numbers for the states of a broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BrokerState {
    #[default]
    NotRunning = 0,
    Starting = 1,
    Recovery = 2,
    Running = 3,
    PendingControlledShutdown = 6,
    ShuttingDown = 7,
}

/// One partition with a replica here.
#[derive(Clone, Debug)]
pub struct PartitionSnapshot {
    pub topic: TopicName,
    pub partition: PartitionIndex,
    /// Whether this broker leads it.
    pub is_leader: bool,
    pub leader: Option<BrokerId>,
    /// The first of its replicas.
    pub preferred_leader: Option<BrokerId>,
    pub replicas: usize,
    pub in_sync_replicas: usize,
    pub min_in_sync_replicas: usize,
    /// Its log directory has failed; what follows is then 0.
    pub is_offline: bool,
    pub size_bytes: u64,
    pub segments: usize,
    pub log_start_offset: Offset,
    pub high_watermark: Offset,
    pub log_end_offset: Offset,
}

/// The cluster as its controller sees it.
#[derive(Clone, Debug, Default)]
pub struct ControllerSnapshot {
    pub topics: usize,
    pub partitions: usize,
    pub offline_partitions: usize,
    pub preferred_replica_imbalance: usize,
    pub fenced_brokers: usize,
    /// Brokers in service: id and advertised `host:port`.
    pub brokers: Vec<(BrokerId, String)>,
}

/// Operations that wait for something to happen or for their time to run out.
#[derive(Clone, Debug)]
pub struct Purgatory {
    /// Kafka's word for it: `Produce`, `Fetch`, `Rebalance`, `Heartbeat`.
    pub operation: &'static str,
    pub waiting: usize,
}

/// The groups that this broker coordinates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupCounts {
    /// Of every type.
    pub groups: usize,
    /// Of classic groups.
    pub preparing_rebalance: usize,
    pub completing_rebalance: usize,
    pub stable: usize,
    pub empty: usize,
    /// Members of classic groups.
    pub members: usize,
}

impl GroupCounts {
    fn render(&self, out: &mut Exposition) {
        out.single(&names::GROUPS, self.groups);
        out.single(&names::GROUPS_PREPARING, self.preparing_rebalance);
        out.single(&names::GROUPS_COMPLETING, self.completing_rebalance);
        out.single(&names::GROUPS_STABLE, self.stable);
        out.single(&names::GROUPS_EMPTY, self.empty);
        out.single(&names::GROUPS_DEAD, 0);
    }
}

impl PartitionSnapshot {
    fn is_under_replicated(&self) -> bool {
        self.is_leader && self.in_sync_replicas < self.replicas
    }

    /// As in Kafka: a topic can't ask for more in-sync replicas than it has replicas.
    fn effective_min_isr(&self) -> usize {
        self.min_in_sync_replicas.min(self.replicas)
    }

    fn is_under_min_isr(&self) -> bool {
        self.is_leader && self.in_sync_replicas < self.effective_min_isr()
    }

    fn is_at_min_isr(&self) -> bool {
        self.is_leader && self.in_sync_replicas == self.effective_min_isr()
    }
}

type Value = fn(&PartitionSnapshot) -> i64;

/// For every replica here. Kafka answers 0 for what only the leader knows.
static OF_REPLICAS: [(&Family, Value); 9] = [
    (&names::PARTITION_UNDER_MIN_ISR, |partition| i64::from(partition.is_under_min_isr())),
    (&names::PARTITION_AT_MIN_ISR, |partition| i64::from(partition.is_at_min_isr())),
    (&names::PARTITION_UNDER_REPLICATED, |partition| i64::from(partition.is_under_replicated())),
    (&names::PARTITION_REPLICAS, |partition| if partition.is_leader { partition.replicas as i64 } else { 0 }),
    (
        &names::PARTITION_IN_SYNC_REPLICAS,
        |partition| if partition.is_leader { partition.in_sync_replicas as i64 } else { 0 },
    ),
    (&names::LOG_SIZE, |partition| partition.size_bytes as i64),
    (&names::LOG_END_OFFSET, |partition| partition.log_end_offset.0),
    (&names::LOG_START_OFFSET, |partition| partition.log_start_offset.0),
    (&names::LOG_SEGMENTS, |partition| partition.segments as i64),
];

/// The names of kafka_exporter, one process for a whole cluster: from the leader only, so that sums are right.
static OF_LEADERS: [(&Family, Value); 7] = [
    (&names::TOPIC_CURRENT_OFFSET, |partition| partition.high_watermark.0),
    (&names::TOPIC_OLDEST_OFFSET, |partition| partition.log_start_offset.0),
    (&names::TOPIC_IN_SYNC_REPLICAS, |partition| partition.in_sync_replicas as i64),
    (&names::TOPIC_REPLICAS, |partition| partition.replicas as i64),
    (&names::TOPIC_LEADER, |partition| i64::from(partition.leader.map_or(-1, |leader| leader.0))),
    (&names::TOPIC_LEADER_PREFERRED, |partition| i64::from(partition.leader == partition.preferred_leader)),
    (&names::TOPIC_UNDER_REPLICATED, |partition| i64::from(partition.is_under_replicated())),
];

impl Snapshot {
    pub(crate) fn render(&self, out: &mut Exposition) {
        self.render_broker(out);
        self.render_controller(out);
        self.group_offsets.render(out);
        self.render_sums(out);
        render_quotas(out, &self.quotas);
        render_telemetry(out, &self.telemetry);
        if self.partitions.len() > PARTITION_SERIES_MAX {
            let partitions = self.partitions.len();
            out.comment(&format!("series per partition are left out: {partitions} partitions"));
            return;
        }
        self.render_topics(out);
        for (family, value) in &OF_REPLICAS {
            render_partitions(out, family, *value, self.partitions.iter());
        }
        for (family, value) in &OF_LEADERS {
            render_partitions(out, family, *value, self.partitions.iter().filter(|partition| partition.is_leader));
        }
    }

    fn render_broker(&self, out: &mut Exposition) {
        out.single(&names::BROKER_STATE, self.broker_state as i32);
        out.single(&names::OFFLINE_LOG_DIRECTORIES, self.offline_log_directories);
        if let Some(cleaner) = &self.cleaner {
            cleaner.render(out);
        }
        out.family(&names::DIRECTORY_WRITABLE);
        for (directory, is_writable) in &self.log_directories {
            out.sample(&names::DIRECTORY_WRITABLE, &[("logDirectory", directory)], u8::from(*is_writable));
        }
        self.render_scrubbing(out);
        out.family(&names::FETCHER_MAX_LAG);
        out.sample(&names::FETCHER_MAX_LAG, &[("clientId", "Replica")], self.replica_max_lag);
        out.single(&names::FETCH_SESSIONS, self.fetch_sessions);
        out.single(&names::FETCH_SESSION_PARTITIONS, self.fetch_session_partitions);
        out.single(&names::MEMORY_POOL_USED, self.request_memory_used_bytes);
        out.single(&names::MEMORY_POOL_AVAILABLE, self.request_memory_available_bytes);
        for family in [&names::PURGATORY_SIZE, &names::PURGATORY_DELAYED] {
            out.family(family);
            for purgatory in &self.purgatories {
                out.sample(family, &[("delayedOperation", purgatory.operation)], purgatory.waiting);
            }
        }
        self.groups.render(out);
        for (family, bytes) in
            [(&names::DISK_READ_BYTES, self.disk_read_bytes), (&names::DISK_WRITE_BYTES, self.disk_write_bytes)]
        {
            if let Some(bytes) = bytes {
                out.single(family, bytes);
            }
        }
    }

    fn render_scrubbing(&self, out: &mut Exposition) {
        out.single(&names::SCRUBBED_BYTES, self.scrubbed_bytes);
        out.single(&names::SCRUB_ROUND, self.scrub_round_ms.map_or(0.0, |at_ms| at_ms as f64 / 1000.0));
        out.family(&names::DAMAGED_BATCHES);
        for (topic, partition, batches) in &self.damaged_batches {
            let labels = [("topic", &**topic), ("partition", &partition.to_string())];
            out.sample(&names::DAMAGED_BATCHES, &labels, *batches);
        }
    }

    fn render_controller(&self, out: &mut Exposition) {
        out.single(&names::ACTIVE_CONTROLLER, u8::from(self.controller.is_some()));
        let Some(controller) = &self.controller else { return };
        out.single(&names::GLOBAL_TOPICS, controller.topics);
        out.single(&names::GLOBAL_PARTITIONS, controller.partitions);
        out.single(&names::OFFLINE_PARTITIONS, controller.offline_partitions);
        out.single(&names::PREFERRED_IMBALANCE, controller.preferred_replica_imbalance);
        out.single(&names::ACTIVE_BROKERS, controller.brokers.len());
        out.single(&names::FENCED_BROKERS, controller.fenced_brokers);
        out.single(&names::BROKERS, controller.brokers.len());
        out.family(&names::BROKER_INFO);
        for (id, address) in &controller.brokers {
            out.sample(&names::BROKER_INFO, &[("id", &id.to_string()), ("address", address)], 1);
        }
    }

    fn render_sums(&self, out: &mut Exposition) {
        let count =
            |is: fn(&PartitionSnapshot) -> bool| self.partitions.iter().filter(|partition| is(partition)).count();
        out.single(&names::PARTITION_COUNT, self.partitions.len());
        out.single(&names::LEADER_COUNT, count(|partition| partition.is_leader));
        out.single(&names::OFFLINE_REPLICA_COUNT, count(|partition| partition.is_offline));
        out.single(&names::UNDER_REPLICATED, count(PartitionSnapshot::is_under_replicated));
        out.single(&names::UNDER_MIN_ISR, count(PartitionSnapshot::is_under_min_isr));
        out.single(&names::AT_MIN_ISR, count(PartitionSnapshot::is_at_min_isr));
    }

    fn render_topics(&self, out: &mut Exposition) {
        let mut topics = std::collections::BTreeMap::<&TopicName, u64>::new();
        for partition in self.partitions.iter().filter(|partition| partition.is_leader) {
            *topics.entry(&partition.topic).or_default() += 1;
        }
        out.family(&names::TOPIC_PARTITIONS);
        for (topic, partitions) in topics {
            out.sample(&names::TOPIC_PARTITIONS, &[("topic", topic)], partitions);
        }
    }
}

fn render_partitions<'a>(
    out: &mut Exposition,
    family: &Family,
    value: Value,
    partitions: impl Iterator<Item = &'a PartitionSnapshot>,
) {
    out.family(family);
    for partition in partitions {
        let labels = [("topic", &*partition.topic), ("partition", &partition.partition.to_string())];
        out.sample(family, &labels, value(partition));
    }
}
