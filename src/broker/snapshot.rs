//! What the broker is like at the moment of a scrape.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::api::Services;
use crate::ids::{BrokerId, PartitionIndex, TopicName};
use crate::log::cleaner::CleanerReadings;
use crate::metadata::image::{MetadataImage, TopicImage};
use crate::metrics::{
    BrokerState, CleanerSnapshot, ControllerSnapshot, GroupOffsetsSnapshot, PartitionSnapshot, Purgatory,
    QuotaSnapshot, Snapshot, TelemetrySnapshot, TelemetryValue, UncleanableSnapshot,
};
use crate::net::RequestMemory;
use crate::quota::Reading;
use crate::replication::{HostedTopic, Partition};
use crate::telemetry::{PushedReading, PushedValue};

/// Collects the state of `services`.
pub(super) fn take(services: &Services, memory: &RequestMemory, broker_state: BrokerState) -> Snapshot {
    let image = services.metadata.current();
    let (sessions, session_partitions) = services.fetch_sessions.counts();
    let purgatory =
        |operation, waiting: &AtomicUsize| Purgatory { operation, waiting: waiting.load(Ordering::Relaxed) };
    let (used, available) = memory.used_and_available_bytes();
    let groups = services.groups.counts();
    let process = crate::io::ProcessIo::now();
    Snapshot {
        broker_state,
        partitions: partitions(services, &image),
        offline_log_directories: services.logs.offline_directory_count(),
        cleaner: services.cleaner.as_ref().map(|cleaner| self::cleaner(cleaner.readings())),
        log_directories: log_directories(services),
        scrubbed_bytes: services.logs.scrubbing().read_bytes(),
        scrub_round_ms: services.logs.scrubbing().last_round_ms(),
        damaged_batches: damaged_batches(services),
        controller: (image.controller == Some(services.broker_id)).then(|| controller(services, &image)),
        purgatories: vec![
            purgatory("Produce", &services.waiting.produce),
            purgatory("Fetch", &services.waiting.fetch),
            Purgatory { operation: "Rebalance", waiting: groups.preparing_rebalance },
            Purgatory { operation: "Heartbeat", waiting: groups.members },
        ],
        groups,
        quotas: services.quotas.read().into_iter().map(quota).collect(),
        telemetry: telemetry(services.telemetry.read()),
        group_offsets: group_offsets(services),
        fetch_sessions: sessions,
        fetch_session_partitions: session_partitions,
        request_memory_used_bytes: used,
        request_memory_available_bytes: available,
        disk_read_bytes: process.map(|io| io.read_bytes),
        disk_write_bytes: process.map(|io| io.write_bytes),
        ..Snapshot::default()
    }
}

fn cleaner(readings: CleanerReadings) -> CleanerSnapshot {
    let uncleanable = readings.uncleanable.into_iter().map(|(directory, sum)| UncleanableSnapshot {
        log_directory: directory.display().to_string(),
        partitions: sum.partitions,
        bytes: sum.bytes,
    });
    CleanerSnapshot {
        max_buffer_utilization_percent: readings.max_buffer_utilization,
        recopy_percent: readings.recopy,
        max_clean_time_secs: readings.max_clean_time.as_secs_f64(),
        max_compaction_delay_secs: readings.max_compaction_delay_ms as f64 / 1000.0,
        dead_threads: readings.dead_threads,
        max_dirty_percent: readings.max_dirty,
        time_since_last_run_ms: readings.since_last_run.as_millis() as u64,
        uncleanable: uncleanable.collect(),
    }
}

fn telemetry(reading: PushedReading) -> TelemetrySnapshot {
    let value = |pushed: PushedValue| TelemetryValue {
        metric: pushed.metric,
        client_id: pushed.client_id,
        value: pushed.value,
    };
    TelemetrySnapshot {
        instances: reading.instances,
        pushes: reading.pushes,
        refused: reading.refused,
        bytes: reading.bytes,
        data_points: reading.data_points,
        values_left_out: reading.values_left_out,
        values: reading.values.into_iter().map(value).collect(),
    }
}

fn quota(reading: Reading) -> QuotaSnapshot {
    QuotaSnapshot {
        resource: reading.kind.resource(),
        user: reading.user,
        client_id: reading.client_id,
        value: reading.value,
        throttle_ms: reading.throttle_ms,
    }
}

fn partitions(services: &Services, image: &MetadataImage) -> Vec<PartitionSnapshot> {
    let mut snapshots = Vec::new();
    for topic in services.replicas.topics() {
        let Some(topic_image) = image.topic(&topic.name) else { continue };
        for (index, partition) in topic_image.partitions() {
            if partition.is_replica(services.broker_id) {
                snapshots.push(snapshot(services.broker_id, &topic, topic_image, index));
            }
        }
    }
    snapshots.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
    snapshots
}

fn snapshot(local: BrokerId, topic: &HostedTopic, image: &TopicImage, index: i32) -> PartitionSnapshot {
    let replica: Option<&Arc<Partition>> = topic.partition(index).ok();
    let partition = image.partition(index);
    let leader = partition.and_then(|partition| partition.leader);
    let log = replica.map(|replica| replica.log());
    PartitionSnapshot {
        topic: Arc::clone(&topic.name),
        partition: index,
        is_leader: leader == Some(local),
        leader,
        preferred_leader: partition.and_then(|partition| partition.replicas.first().copied()),
        replicas: partition.map_or(0, |partition| partition.replicas.len()),
        in_sync_replicas: partition.map_or(0, |partition| partition.isr.len()),
        min_in_sync_replicas: log.as_ref().map_or(1, |log| log.config().min_insync_replicas as usize),
        is_offline: log.as_ref().is_none_or(|log| log.health().is_offline()),
        size_bytes: log.as_ref().map_or(0, |log| log.size_bytes()),
        segments: log.as_ref().map_or(0, |log| log.segment_count()),
        log_start_offset: log.as_ref().map_or_else(Default::default, |log| log.log_start_offset()),
        high_watermark: log.as_ref().map_or_else(Default::default, |log| log.high_watermark()),
        log_end_offset: log.map_or_else(Default::default, |log| log.log_end_offset()),
    }
}

fn log_directories(services: &Services) -> Vec<(String, bool)> {
    let directories = services.logs.directories().into_iter();
    directories.map(|directory| (directory.path.display().to_string(), directory.is_writable)).collect()
}

/// Few have any.
fn damaged_batches(services: &Services) -> Vec<(TopicName, PartitionIndex, usize)> {
    let logs = services.logs.logs();
    let damaged =
        logs.iter().map(|log| (log.topic_partition(), log.damaged_batches())).filter(|(_, count)| *count > 0);
    damaged.map(|(partition, count)| (partition.topic.clone(), partition.partition, count)).collect()
}

/// How far the groups that are coordinated here have read, and how far they could.
fn group_offsets(services: &Services) -> GroupOffsetsSnapshot {
    let mut snapshot = services.groups.offsets_snapshot();
    for at in snapshot.groups.iter_mut().flatten().flat_map(|group| &mut group.committed) {
        let topic = services.replicas.topic(&at.topic);
        let partition = topic.as_ref().and_then(|topic| topic.partition(at.partition).ok());
        let log = partition.filter(|partition| partition.is_leader()).map(|partition| partition.log());
        at.readable = log.map(|log| (log.log_start_offset(), log.high_watermark()));
    }
    snapshot
}

fn controller(services: &Services, image: &MetadataImage) -> ControllerSnapshot {
    let all = || image.topics().flat_map(|topic| topic.partitions.iter());
    ControllerSnapshot {
        topics: image.topics().len(),
        partitions: image.partition_count(),
        offline_partitions: all().filter(|partition| partition.leader.is_none()).count(),
        preferred_replica_imbalance: all()
            .filter(|partition| partition.leader.is_some() && partition.leader != partition.replicas.first().copied())
            .count(),
        fenced_brokers: 0,
        brokers: image
            .brokers
            .values()
            .map(|broker| {
                let endpoint = broker.endpoint(&services.config.inter_broker_listener_name);
                let address = endpoint.map_or_else(String::new, |at| format!("{}:{}", at.host, at.port));
                (broker.id, address)
            })
            .collect(),
    }
}
