//! What a producer sends to one partition: the first byte chooses the topic's configuration and whether the checksum is
//! set right, the rest is the batch. It is in the log whole, as it can be read back, or not at all.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use ottla::config::{CleanupPolicy, CompressionType, LogConfig, TimestampType};
use ottla::ids::{LeaderEpoch, Offset, TopicPartition};
use ottla::io::Disk;
use ottla::io::sim::SimDisk;
use ottla::log::append::{AppendContext, Appended};
use ottla::log::directory::PartitionDirectory;
use ottla::log::health::DirectoryHealth;
use ottla::log::partition_log::PartitionLog;
use ottla::log::producer_state::{AppendOrigin, ProducerStateConfig};
use ottla::log::recovery::{self, LoadRequest, LoadedLog, Syncs};
use ottla::protocol::batch::{self, BatchHeader};

pub const NOW_MS: i64 = 1_700_000_000_000;

/// Decompressed, the records of an input may take this much: the log's own limit for a small batch.
const MAX_RECORDS_BYTES: usize = 16 << 20;

pub fn run(data: &[u8]) {
    has_appended(data);
}

/// Whether the log took the batch.
pub fn has_appended(data: &[u8]) -> bool {
    let Some((&choice, records)) = data.split_first() else { return false };
    let mut records = records.to_vec();
    if choice & 0x80 == 0 {
        seal_batches(&mut records);
    }
    let (disk, path) = (SimDisk::new(0), Path::new("t-0"));
    disk.create_directory(path).expect("the disk is sound");
    let config = Arc::new(config(choice & 0x0f));
    let LoadedLog { log, .. } = open(&disk, path, &config);
    let origin = if choice & 0x40 == 0 { AppendOrigin::Client } else { AppendOrigin::Coordinator };
    let by_whom = AppendContext { leader_epoch: LeaderEpoch(3), origin, now_ms: NOW_MS };
    let records = Bytes::from(records);
    for _ in 0..2 {
        let before = log.log_end_offset();
        match log.append_as_leader(&records, &by_whom) {
            Ok(appended) => check_appended(&log, before, &appended),
            Err(error) => {
                assert!(!error.to_string().is_empty());
                assert_eq!(log.log_end_offset(), before, "a batch was refused: {error}");
            }
        }
    }
    let _ = log.offset_for_timestamp(NOW_MS);
    let _ = log.offset_of_max_timestamp();
    let (end, content) = (log.log_end_offset(), all_bytes(&log));
    drop(log);
    disk.kill();
    let loaded = open(&disk, path, &config);
    assert_eq!(loaded.truncated_bytes, 0, "what was appended is sound");
    assert_eq!((loaded.log.log_end_offset(), all_bytes(&loaded.log)), (end, content));
    end > Offset::ZERO
}

fn open(disk: &Arc<SimDisk>, path: &Path, config: &Arc<LogConfig>) -> LoadedLog {
    let request = LoadRequest {
        topic_partition: TopicPartition::new("t", 0),
        directory: PartitionDirectory::new(Arc::clone(disk) as _, path.to_owned()),
        health: DirectoryHealth::new(PathBuf::new(), Box::new(|_, _| {})),
        config: Arc::clone(config),
        producer_state: ProducerStateConfig::default(),
        was_clean: false,
        recovery_point: Offset::ZERO,
        log_start_offset: Offset::ZERO,
        high_watermark: Offset::ZERO,
        syncs: Syncs::Each,
        now_ms: NOW_MS,
    };
    recovery::load(&request).expect("the disk is sound")
}

/// All that a topic may ask of the batches that it takes.
fn config(choice: u8) -> LogConfig {
    let compact = CleanupPolicy { delete: false, compact: true };
    let plain = LogConfig::default();
    let compressed = |compression_type| LogConfig { compression_type, ..LogConfig::default() };
    match choice {
        1 => LogConfig { cleanup_policy: compact, ..plain },
        2 => LogConfig { message_timestamp_type: TimestampType::LogAppendTime, ..plain },
        3 => LogConfig { message_timestamp_before_max_ms: 1000, message_timestamp_after_max_ms: 1000, ..plain },
        4 => compressed(CompressionType::Uncompressed),
        5 => compressed(CompressionType::Gzip),
        6 => compressed(CompressionType::Snappy),
        7 => compressed(CompressionType::Lz4),
        8 => compressed(CompressionType::Zstd),
        9 => LogConfig { segment_bytes: 200, max_message_bytes: 300, ..plain },
        10 => LogConfig {
            message_timestamp_type: TimestampType::LogAppendTime,
            cleanup_policy: compact,
            ..compressed(CompressionType::Lz4)
        },
        _ => plain,
    }
}

fn check_appended(log: &PartitionLog, before: Offset, appended: &Appended) {
    let end = log.log_end_offset();
    if appended.is_duplicate {
        assert_eq!(end, before);
        assert!(appended.last_offset < end);
        return;
    }
    assert_eq!((appended.base_offset, appended.last_offset.next()), (before, end));
    assert_eq!(end - before, i64::from(appended.record_count));
    let content = read_from(log, before);
    let (header, batch) = batch::read_batch(&content).expect("a batch in the log is sound");
    assert_eq!((header.base_offset, header.next_offset()), (before, end));
    assert_eq!(batch.len(), appended.size_bytes);
    if let Ok(records) = ottla::protocol::records::BatchRecords::open(batch, MAX_RECORDS_BYTES) {
        let _ = records.walk().count();
    }
}

/// Sets the checksums of the batches that lie one behind the other in `bytes`: none is ever guessed.
pub fn seal_batches(bytes: &mut [u8]) {
    let mut at = 0;
    while let Ok(header) = BatchHeader::read(&bytes[at..]) {
        let Some(batch) = bytes.get_mut(at..at + header.size_bytes()) else { return };
        batch::write_crc(batch);
        at += header.size_bytes();
    }
}

/// All bytes of a log.
pub fn all_bytes(log: &PartitionLog) -> Vec<u8> {
    read_from(log, log.log_start_offset())
}

fn read_from(log: &PartitionLog, mut from: Offset) -> Vec<u8> {
    let mut bytes = Vec::new();
    while from < log.log_end_offset() {
        let read = log.read(from, 1 << 20, true, log.log_end_offset()).expect("what is below the end can be read");
        let Some(slice) = read.slice else {
            // A hole that compaction has left, and where offsets end no record can follow it.
            assert!(log.log_end_offset() > Offset(i64::MAX - 100), "nothing is found at {from}");
            break;
        };
        assert!(read.next_offset > from, "a read moves on");
        from = read.next_offset;
        let mut part = vec![0; slice.size_bytes];
        assert_eq!(slice.file.read_at(&mut part, slice.position).expect("the disk is sound"), part.len());
        bytes.extend_from_slice(&part);
    }
    bytes
}
