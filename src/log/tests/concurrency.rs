//! Appends, reads, rolls, checkpoints and retention at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tempfile::TempDir;

use crate::config::LogConfig;
use crate::ids::Offset;
use crate::log::errors::ReadError;
use crate::log::partition_log::PartitionLog;
use crate::log::testing::{NOW_MS, append, batch, new_log};
use crate::protocol::batch::read_batch;

const BATCHES: i64 = 3000;

/// Reads to the end that the writer reaches; every batch is sound, and follows the one before.
fn follow(log: &PartitionLog, max_bytes: usize) {
    let mut next = Offset::ZERO;
    while next < Offset(BATCHES * 2) {
        let read = match log.read(next, max_bytes, true, log.high_watermark()) {
            Ok(read) => read,
            Err(ReadError::OffsetOutOfRange { log_start_offset, .. }) => {
                // Retention was faster.
                assert!(log_start_offset > next);
                next = log_start_offset;
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        let Some(slice) = read.slice else {
            thread::yield_now();
            continue;
        };
        let mut bytes = vec![0; slice.size_bytes];
        assert_eq!(slice.file.read_at(&mut bytes, slice.position).unwrap(), bytes.len());
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (header, whole) = read_batch(rest).unwrap();
            assert_eq!(header.base_offset, next);
            next = header.next_offset();
            rest = &rest[whole.len()..];
        }
        assert_eq!(read.next_offset, next);
        assert!(next <= log.high_watermark());
    }
}

#[test]
fn nobody_sees_anything_but_whole_batches_in_order() {
    let root = TempDir::new().unwrap();
    let config = LogConfig {
        segment_bytes: 20_000,
        retention_bytes: 100_000,
        index_interval_bytes: 500,
        file_delete_delay_ms: 0,
        ..LogConfig::default()
    };
    let log = new_log(root.path(), config);
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        for max_bytes in [1, 1000, 1 << 20] {
            let log = &log;
            scope.spawn(move || follow(log, max_bytes));
        }
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                log.delete_old_segments(NOW_MS).unwrap();
                log.remove_due_files(NOW_MS).unwrap();
                log.checkpoint(NOW_MS).unwrap();
            }
        });
        for at in 0..BATCHES {
            append(&log, &batch(2, (at % 90) as usize)).unwrap();
            log.request_flush();
            log.set_high_watermark(log.log_end_offset());
        }
        is_done.store(true, Ordering::Relaxed);
    });
    log.delete_old_segments(NOW_MS).unwrap();
    assert!(log.log_start_offset() > Offset::ZERO);
    assert!(log.size_bytes() < 100_000 + 20_000);
}

#[test]
fn bytes_between_offsets() {
    let root = TempDir::new().unwrap();
    let log =
        new_log(root.path(), LogConfig { segment_bytes: 5000, index_interval_bytes: 1, ..LogConfig::default() });
    for _ in 0..200 {
        append(&log, &batch(1, 100)).unwrap();
    }
    let batch_bytes = log.size_bytes() / 200;
    let between = |from, to| log.bytes_between(Offset(from), Offset(to)).unwrap();
    assert_eq!(between(0, 200), log.size_bytes());
    assert_eq!(between(150, 200), 50 * batch_bytes);
    assert_eq!(between(190, 199), 9 * batch_bytes);
    assert_eq!((between(200, 200), between(200, 150), between(200, 900)), (0, 0, 0));
    // Within an index entry of the truth where it has to be looked up.
    assert!(between(10, 20).abs_diff(10 * batch_bytes) <= 2 * batch_bytes);
}
