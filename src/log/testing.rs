//! What the tests of this module share: a log in a folder of its own, and batches to put into it.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::append::{AppendContext, Appended};
use super::directory::PartitionDirectory;
use super::errors::AppendError;
use super::health::DirectoryHealth;
use super::leader_epochs::LeaderEpochs;
use super::partition_log::{LogParts, PartitionLog};
use super::producer_state::{AppendOrigin, ProducerStateConfig, ProducerStateManager};
use crate::config::LogConfig;
use crate::ids::{LeaderEpoch, Offset, TopicPartition};
use crate::io::{Disk, RealDisk};
use crate::protocol::records::{NewRecord, RecordBatchBuilder};
use crate::time::TimestampMs;

pub(crate) const NOW_MS: TimestampMs = 1_700_000_000_000;

/// A new log `topic-0` in `root`.
pub(crate) fn new_log(root: &Path, config: LogConfig) -> Arc<PartitionLog> {
    let disk = RealDisk::new(2).unwrap();
    let path = root.join("topic-0");
    disk.create_directory(&path).unwrap();
    PartitionLog::open(parts(disk, &path, config)).unwrap()
}

pub(crate) fn parts(disk: Arc<dyn Disk>, path: &Path, config: LogConfig) -> LogParts {
    LogParts {
        topic_partition: TopicPartition::new("topic", 0),
        directory: PartitionDirectory::new(disk, path.to_owned()),
        health: DirectoryHealth::new(path.to_owned(), Box::new(|_, _| {})),
        config: Arc::new(config),
        segments: Vec::new(),
        producer_state: ProducerStateManager::new(ProducerStateConfig::default()),
        leader_epochs: LeaderEpochs::new(),
        log_start_offset: Offset::ZERO,
        log_end_offset: Offset::ZERO,
        high_watermark: Offset::ZERO,
        recovery_point: Offset::ZERO,
        has_snapshot: true,
        unsynced_snapshots: Vec::new(),
        epochs_changed: false,
        now_ms: NOW_MS,
    }
}

/// A producer's batch of these timestamps, each record with a key and a value of `value_bytes`.
pub(crate) fn batch_of(timestamps: &[TimestampMs], value_bytes: usize) -> Bytes {
    let mut builder = RecordBatchBuilder::new(Offset::ZERO);
    let value = vec![7; value_bytes];
    for &timestamp_ms in timestamps {
        builder.append(&NewRecord { timestamp_ms, key: Some(b"key"), value: Some(&value), headers: &[] });
    }
    builder.build().unwrap().into()
}

/// A producer's batch of `count` records, a millisecond apart from `NOW_MS` on.
pub(crate) fn batch(count: i64, value_bytes: usize) -> Bytes {
    batch_of(&(0..count).map(|at| NOW_MS + at).collect::<Vec<_>>(), value_bytes)
}

pub(crate) fn context() -> AppendContext {
    AppendContext { leader_epoch: LeaderEpoch(3), origin: AppendOrigin::Client, now_ms: NOW_MS }
}

pub(crate) fn append(log: &PartitionLog, records: &Bytes) -> Result<Appended, AppendError> {
    log.append_as_leader(records, &context())
}

/// The bytes of a read.
pub(crate) fn read_bytes(log: &PartitionLog, from: i64, max_bytes: usize, min_one_batch: bool) -> Vec<u8> {
    let read = log.read(Offset(from), max_bytes, min_one_batch, log.log_end_offset()).unwrap();
    let Some(slice) = read.slice else { return Vec::new() };
    let mut bytes = vec![0; slice.size_bytes];
    assert_eq!(slice.file.read_at(&mut bytes, slice.position).unwrap(), bytes.len());
    bytes
}

/// A message with the key `k`, as Kafka 0.8 (v0) to 0.10 (v1) wrote them.
pub(crate) fn old_message(magic: u8, offset: i64, value: &[u8]) -> Vec<u8> {
    let mut covered = vec![magic, 0];
    if magic == 1 {
        covered.extend(NOW_MS.to_be_bytes());
    }
    covered.extend([0, 0, 0, 1, b'k']);
    covered.extend((value.len() as i32).to_be_bytes());
    covered.extend(value);
    let mut crc = flate2::Crc::new();
    crc.update(&covered);
    let size = covered.len() as i32 + 4;
    [&offset.to_be_bytes()[..], &size.to_be_bytes(), &crc.sum().to_be_bytes(), &covered].concat()
}
