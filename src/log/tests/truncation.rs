//! Cutting the end off.

use std::sync::Arc;

use tempfile::TempDir;

use crate::config::LogConfig;
use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use crate::log::partition_log::PartitionLog;
use crate::log::testing::{NOW_MS, append, batch, context, new_log, read_bytes};
use crate::protocol::records::{NewRecord, RecordBatchBuilder};

fn idempotent(sequence: i32) -> bytes::Bytes {
    let mut builder = RecordBatchBuilder::new(Offset::ZERO).producer(ProducerId(9), ProducerEpoch(0), sequence);
    builder.append(&NewRecord { timestamp_ms: NOW_MS, key: None, value: Some(&[1; 100]), headers: &[] });
    builder.build().unwrap().into()
}

/// Ten records of one producer, three to a segment, the last five in a later epoch.
fn log_of_ten(root: &TempDir) -> Arc<PartitionLog> {
    let log = new_log(root.path(), LogConfig { segment_bytes: 600, index_interval_bytes: 1, ..LogConfig::default() });
    for sequence in 0..10 {
        let mut context = context();
        context.leader_epoch = LeaderEpoch(3 + sequence / 5);
        log.append_as_leader(&idempotent(sequence), &context).unwrap();
    }
    log.set_high_watermark(Offset(10));
    assert!(log.segment_count() > 2);
    log
}

#[test]
fn what_is_left_goes_on() {
    for offset in 0..10 {
        let root = TempDir::new().unwrap();
        let log = log_of_ten(&root);
        if offset % 2 == 0 {
            log.checkpoint(NOW_MS).unwrap();
        }
        let before = read_bytes(&log, 0, 1 << 20, true);
        assert!(log.truncate_to(Offset(offset), NOW_MS).unwrap());
        assert_eq!((log.log_end_offset(), log.high_watermark()), (Offset(offset), Offset(offset)));
        assert!(log.recovery_point() <= Offset(offset) && log.flushed_offset() <= Offset(offset));
        let epoch = (offset > 0).then_some(LeaderEpoch(if offset > 5 { 4 } else { 3 }));
        assert_eq!(log.latest_epoch(), epoch);
        // The producer's state is that of the records that are left, and so is what is read.
        let appended = append(&log, &idempotent(offset as i32)).unwrap();
        assert_eq!((appended.base_offset, appended.is_duplicate), (Offset(offset), false));
        let after = read_bytes(&log, 0, 1 << 20, true);
        let shared = before.len().min(after.len()) - after.len().min(200);
        assert_eq!(before[..shared], after[..shared]);
        assert!(!read_bytes(&log, offset, 1 << 20, true).is_empty());
        log.checkpoint(NOW_MS).unwrap();
    }
}

#[test]
fn within_a_batch_the_whole_batch_goes() {
    let root = TempDir::new().unwrap();
    let log = new_log(root.path(), LogConfig::default());
    append(&log, &batch(3, 10)).unwrap();
    append(&log, &batch(3, 10)).unwrap();
    assert!(!log.truncate_to(Offset(6), NOW_MS).unwrap());
    assert!(log.truncate_to(Offset(4), NOW_MS).unwrap());
    assert_eq!(log.log_end_offset(), Offset(3));
}

#[test]
fn a_log_begins_anew_elsewhere() {
    let root = TempDir::new().unwrap();
    let log = log_of_ten(&root);
    log.truncate_fully_and_start_at(Offset(100), Offset(90), NOW_MS).unwrap();
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (Offset(90), Offset(100)));
    assert_eq!((log.size_bytes(), log.segment_count(), log.latest_epoch()), (0, 1, None));
    assert_eq!(append(&log, &idempotent(0)).unwrap().base_offset, Offset(100));
    assert_eq!(log.read(Offset(95), 1 << 20, true, Offset(101)).unwrap().next_offset, Offset(101));
}
