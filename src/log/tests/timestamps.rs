//! From timestamps to offsets.

use proptest::prelude::*;
use tempfile::TempDir;

use crate::config::{CompressionType, LogConfig, TimestampType};
use crate::ids::{LeaderEpoch, Offset};
use crate::log::partition_log::PartitionLog;
use crate::log::testing::{NOW_MS, append, batch_of, new_log};
use crate::log::timestamps::TimestampedOffset;

fn found(timestamp: i64, offset: i64) -> TimestampedOffset {
    TimestampedOffset { timestamp, offset: Offset(offset), leader_epoch: LeaderEpoch(3) }
}

fn first_at(log: &PartitionLog, target: i64) -> Option<TimestampedOffset> {
    log.offset_for_timestamp(target).unwrap()
}

#[test]
fn the_first_record_that_is_new_enough() {
    for compression_type in [CompressionType::Producer, CompressionType::Gzip] {
        let root = TempDir::new().unwrap();
        let log = new_log(root.path(), LogConfig { compression_type, ..LogConfig::default() });
        assert_eq!(first_at(&log, 0), None);
        append(&log, &batch_of(&[100, 300, 200], 10)).unwrap();
        append(&log, &batch_of(&[150, 400], 10)).unwrap();
        log.roll(NOW_MS).unwrap();
        append(&log, &batch_of(&[120, 500, 500], 10)).unwrap();
        assert_eq!(first_at(&log, 100), Some(found(100, 0)));
        assert_eq!(first_at(&log, 101), Some(found(300, 1)));
        assert_eq!(first_at(&log, 301), Some(found(400, 4)));
        assert_eq!(first_at(&log, 401), Some(found(500, 6)));
        assert_eq!(first_at(&log, 501), None);
        assert_eq!(log.offset_of_max_timestamp().unwrap(), Some(found(500, 6)));
        log.set_high_watermark(Offset(8));
        log.delete_records(Offset(2)).unwrap();
        assert_eq!(first_at(&log, 101), Some(found(200, 2)));
    }
}

#[test]
fn the_newest_record_that_is_left() {
    let root = TempDir::new().unwrap();
    let log = new_log(root.path(), LogConfig::default());
    append(&log, &batch_of(&[900, 300, 400], 10)).unwrap();
    append(&log, &batch_of(&[350], 10)).unwrap();
    log.roll(NOW_MS).unwrap();
    append(&log, &batch_of(&[200], 10)).unwrap();
    log.set_high_watermark(Offset(5));
    for (log_start_offset, expected) in
        [(0, found(900, 0)), (1, found(400, 2)), (3, found(350, 3)), (4, found(200, 4))]
    {
        log.delete_records(Offset(log_start_offset)).unwrap();
        assert_eq!(log.offset_of_max_timestamp().unwrap(), Some(expected));
    }
    log.delete_records(Offset(5)).unwrap();
    assert_eq!(log.offset_of_max_timestamp().unwrap(), None);
}

#[test]
fn records_without_timestamps_are_never_found() {
    let root = TempDir::new().unwrap();
    let log = new_log(root.path(), LogConfig::default());
    append(&log, &batch_of(&[-1, -1], 10)).unwrap();
    assert_eq!(first_at(&log, 0), None);
    assert_eq!(log.offset_of_max_timestamp().unwrap(), None);
}

#[test]
fn the_logs_own_time_is_the_first_records() {
    let root = TempDir::new().unwrap();
    let message_timestamp_type = TimestampType::LogAppendTime;
    let log = new_log(root.path(), LogConfig { message_timestamp_type, ..LogConfig::default() });
    append(&log, &batch_of(&[1, 2, 3], 10)).unwrap();
    assert_eq!(first_at(&log, 5), Some(found(NOW_MS, 0)));
    assert_eq!(log.offset_of_max_timestamp().unwrap(), Some(found(NOW_MS, 0)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever the order of timestamps, index and scan agree.
    #[test]
    fn as_a_scan_would(
        batches in prop::collection::vec(prop::collection::vec(0..60_i64, 1..5), 1..60),
        rolls in prop::collection::vec(any::<bool>(), 60),
    ) {
        let root = TempDir::new().unwrap();
        let log = new_log(root.path(), LogConfig { index_interval_bytes: 200, ..LogConfig::default() });
        for (timestamps, roll) in batches.iter().zip(rolls) {
            append(&log, &batch_of(timestamps, 30)).unwrap();
            if roll && timestamps[0] % 7 == 0 {
                log.roll(NOW_MS).unwrap();
            }
        }
        log.checkpoint(NOW_MS).unwrap();
        let all: Vec<i64> = batches.concat();
        for target in 0..61 {
            let expected = all.iter().position(|&timestamp| timestamp >= target);
            prop_assert_eq!(first_at(&log, target).map(|found| found.offset.0 as usize), expected);
        }
        let newest = all.iter().max().unwrap();
        let first = all.iter().position(|timestamp| timestamp == newest).unwrap();
        prop_assert_eq!(log.offset_of_max_timestamp().unwrap(), Some(found(*newest, first as i64)));
    }
}
