//! What goes from the beginning of a log.

use std::sync::Arc;

use tempfile::TempDir;

use crate::config::{CleanupPolicy, LogConfig};
use crate::error::ErrorCode;
use crate::ids::{LeaderEpoch, Offset};
use crate::log::partition_log::PartitionLog;
use crate::log::testing::{NOW_MS, append, batch_of, new_log};

/// Segments of one record each, `ages_ms` old, and an empty active one.
fn log_of(root: &TempDir, ages_ms: &[i64], config: LogConfig) -> Arc<PartitionLog> {
    let log = new_log(root.path(), config);
    for age_ms in ages_ms {
        append(&log, &batch_of(&[NOW_MS - age_ms], 100)).unwrap();
        log.roll(NOW_MS).unwrap();
    }
    log
}

/// As [`log_of`], all of it committed.
fn committed_log_of(root: &TempDir, ages_ms: &[i64], config: LogConfig) -> Arc<PartitionLog> {
    let log = log_of(root, ages_ms, config);
    log.set_high_watermark(log.log_end_offset());
    log
}

fn forever() -> LogConfig {
    LogConfig { retention_ms: -1, ..LogConfig::default() }
}

fn check_deleted(log: &PartitionLog, segments: usize) {
    assert_eq!(log.delete_old_segments(NOW_MS).unwrap(), segments);
    assert_eq!(log.log_start_offset(), Offset(segments as i64));
}

#[test]
fn by_age() {
    let root = TempDir::new().unwrap();
    let log = committed_log_of(&root, &[900, 50, 900], LogConfig { retention_ms: 100, ..forever() });
    // The third is old as well, but the second holds it.
    check_deleted(&log, 1);
    assert_eq!(log.read(Offset(0), 1, true, Offset(9)).unwrap_err().code(), ErrorCode::OffsetOutOfRange);
}

#[test]
fn by_age_with_all_that_there_is() {
    let root = TempDir::new().unwrap();
    let log = new_log(root.path(), LogConfig { retention_ms: 100, ..forever() });
    append(&log, &batch_of(&[NOW_MS - 900], 100)).unwrap();
    log.set_high_watermark(Offset(1));
    check_deleted(&log, 1);
    assert_eq!((log.segment_count(), log.size_bytes()), (1, 0));
    assert_eq!(append(&log, &batch_of(&[NOW_MS], 1)).unwrap().base_offset, Offset(1));
}

#[test]
fn by_size() {
    let root = TempDir::new().unwrap();
    let log = committed_log_of(&root, &[0; 5], forever());
    let segment_bytes = log.size_bytes() / 5;
    log.set_config(Arc::new(LogConfig { retention_bytes: segment_bytes as i64 * 3 - 1, ..forever() }));
    check_deleted(&log, 2);
    assert_eq!(log.size_bytes(), segment_bytes * 3);
}

#[test]
fn not_above_the_high_watermark() {
    let root = TempDir::new().unwrap();
    let log = log_of(&root, &[900; 3], LogConfig { retention_ms: 100, ..forever() });
    log.set_high_watermark(Offset(2));
    check_deleted(&log, 2);
}

#[test]
fn not_from_a_compacted_topic() {
    let root = TempDir::new().unwrap();
    let compacted = CleanupPolicy { delete: false, compact: true };
    let config = LogConfig { cleanup_policy: compacted, retention_ms: 1, retention_bytes: 0, ..forever() };
    let log = committed_log_of(&root, &[900; 3], config);
    check_deleted(&log, 0);
    assert_eq!(log.delete_records(Offset(1)).unwrap_err().code(), ErrorCode::PolicyViolation);
    // What lies below the beginning goes in any case.
    log.increment_log_start_offset(Offset(2));
    assert_eq!(log.delete_old_segments(NOW_MS).unwrap(), 2);
}

#[test]
fn by_request() {
    let root = TempDir::new().unwrap();
    let log = log_of(&root, &[0; 4], forever());
    log.set_high_watermark(Offset(3));
    assert_eq!(log.delete_records(Offset(4)).unwrap_err().code(), ErrorCode::OffsetOutOfRange);
    assert_eq!(log.delete_records(Offset(-7)).unwrap_err().code(), ErrorCode::OffsetOutOfRange);
    assert_eq!(log.delete_records(Offset(2)).unwrap(), Offset(2));
    assert_eq!(log.delete_records(Offset(1)).unwrap(), Offset(2));
    assert_eq!(log.delete_records(Offset::NONE).unwrap(), Offset(3));
    check_deleted(&log, 3);
    assert_eq!(log.epoch_end_offset(LeaderEpoch(3)), (LeaderEpoch(3), Offset(4)));
}

#[test]
fn files_go_later_and_readers_keep_them() {
    let root = TempDir::new().unwrap();
    let log = committed_log_of(&root, &[900, 0], LogConfig { retention_ms: 100, ..forever() });
    let held = log.read(Offset(0), 1000, true, Offset(2)).unwrap().slice.unwrap();
    check_deleted(&log, 1);
    let names = || -> Vec<String> {
        let entries = log.directory().disk().list(&log.directory().path()).unwrap();
        entries.into_iter().map(|entry| entry.name).filter(|name| name.ends_with(".deleted")).collect()
    };
    assert!(names().contains(&"00000000000000000000.log.deleted".to_owned()));
    assert_eq!(log.remove_due_files(NOW_MS + 59_999).unwrap(), 0);
    assert!(log.remove_due_files(NOW_MS + 60_000).unwrap() >= 3);
    assert_eq!(names(), [""; 0]);
    let mut bytes = vec![0; held.size_bytes];
    assert_eq!(held.file.read_at(&mut bytes, held.position).unwrap(), held.size_bytes);
}
