//! Bit rot under a log that serves: what is known to be damaged is never served, an index that leads astray is built
//! anew.

use std::path::Path;
use std::sync::Arc;

use crate::config::LogConfig;
use crate::error::ErrorCode;
use crate::ids::Offset;
use crate::io::Disk;
use crate::io::sim::SimDisk;
use crate::log::directory::FileKind;
use crate::log::health::DirectoryHealth;
use crate::log::known_damage::DamagedBatch;
use crate::log::partition_log::PartitionLog;
use crate::log::producer_state::ProducerStateConfig;
use crate::log::recovery::{self, LoadRequest};
use crate::log::testing::{NOW_MS, append, batch, parts, read_bytes};

const BATCHES: i64 = 60;

fn config() -> LogConfig {
    LogConfig { segment_bytes: 6000, index_interval_bytes: 300, ..LogConfig::default() }
}

/// A log of batches of one record, closed and opened again: nothing of it is remembered but what its files say.
fn reopened(disk: &Arc<SimDisk>, damage: impl FnOnce(&SimDisk, &PartitionLog)) -> Arc<PartitionLog> {
    let path = Path::new("/data/topic-0");
    disk.create_directory(path).unwrap();
    let log = PartitionLog::open(parts(Arc::clone(disk) as Arc<dyn Disk>, path, config())).unwrap();
    for _ in 0..BATCHES {
        append(&log, &batch(1, 100)).unwrap();
    }
    log.close(NOW_MS).unwrap();
    damage(disk, &log);
    let request = LoadRequest {
        topic_partition: log.topic_partition().clone(),
        directory: Arc::clone(log.directory()),
        health: DirectoryHealth::new(path.into(), Box::new(|_, _| {})),
        config: Arc::new(config()),
        producer_state: ProducerStateConfig::default(),
        was_clean: true,
        recovery_point: Offset(BATCHES),
        log_start_offset: Offset::ZERO,
        high_watermark: Offset(BATCHES),
        syncs: recovery::Syncs::Each,
        now_ms: NOW_MS,
    };
    recovery::load(&request).unwrap().log
}

fn batch_bytes(log: &PartitionLog) -> u64 {
    log.size_bytes() / BATCHES as u64
}

fn code_at(log: &PartitionLog, offset: i64) -> ErrorCode {
    log.read(Offset(offset), 100_000, true, Offset(BATCHES)).unwrap_err().code()
}

/// The first damaged place of the first segment.
fn damaged(log: &PartitionLog, offset: i64) -> DamagedBatch {
    let bytes = batch_bytes(log);
    DamagedBatch {
        segment: Offset::ZERO,
        position: offset as u64 * bytes,
        end_position: (offset as u64 + 1) * bytes,
        offset: Offset(offset),
        next_offset: Offset(offset + 1),
        reason: "CRC".to_owned(),
    }
}

#[test]
fn a_header_that_makes_no_sense_is_a_corrupt_message() {
    let disk = SimDisk::new(0);
    // The length of the batch of offset 20.
    let log = reopened(&disk, |disk, log| {
        let position = 20 * batch_bytes(log) + 8;
        disk.flip_bit(&log.directory().file(FileKind::Log, Offset(0)), position * 8 + 6).unwrap();
    });
    assert_eq!(code_at(&log, 20), ErrorCode::CorruptMessage);
    let error = log.read(Offset(20), 1, true, Offset(BATCHES)).unwrap_err().to_string();
    assert!(error.starts_with("topic-0 is damaged at offset 20: "), "{error}");
    assert_eq!(read_bytes(&log, 3, 1, true).len() as u64, batch_bytes(&log), "what lies before it can be had");
    // What goes over it unseen is the client's to check, until the scrubber has been there.
    assert!(read_bytes(&log, 1, 100_000, true).len() as u64 > 20 * batch_bytes(&log));
}

#[test]
fn damage_that_is_known_is_not_served() {
    let disk = SimDisk::new(0);
    let log = reopened(&disk, |_, _| {});
    let bytes = batch_bytes(&log) as usize;
    assert!(log.note_damage(damaged(&log, 20)));
    assert!(!log.note_damage(damaged(&log, 20)), "it is known");
    for from in [0, 7, 19] {
        let read = log.read(Offset(from), 100_000, true, Offset(BATCHES)).unwrap();
        assert_eq!((read.size_bytes(), read.next_offset), ((20 - from as usize) * bytes, Offset(20)));
    }
    assert_eq!(code_at(&log, 20), ErrorCode::CorruptMessage);
    assert!(read_bytes(&log, 21, 100_000, true).len() >= bytes, "what lies behind it is served");
    assert_eq!(log.damaged_batches(), 1);
    log.truncate_to(Offset(15), NOW_MS).unwrap();
    assert_eq!(log.damaged_batches(), 0);
    append(&log, &batch(1, 100)).unwrap();
    assert_eq!(log.read(Offset(0), 100_000, true, Offset(16)).unwrap().size_bytes(), 16 * bytes);
}

#[test]
fn records_behind_a_header_that_is_known_to_be_damaged_are_found() {
    let disk = SimDisk::new(0);
    let log = reopened(&disk, |disk, log| {
        let position = 20 * batch_bytes(log) + 8;
        disk.flip_bit(&log.directory().file(FileKind::Log, Offset(0)), position * 8 + 6).unwrap();
    });
    assert!(log.note_damage(damaged(&log, 20)));
    for from in 21..25 {
        assert_eq!(read_bytes(&log, from, 1, true).len() as u64, batch_bytes(&log), "{from}");
    }
    assert_eq!(code_at(&log, 20), ErrorCode::CorruptMessage);
}

#[test]
fn an_index_that_leads_astray_is_passed_over_and_built_anew() {
    for bit in 0..64 {
        let disk = SimDisk::new(0);
        let index = |log: &PartitionLog| log.directory().file(FileKind::OffsetIndex, Offset(0));
        let mut sound = Vec::new();
        let log = reopened(&disk, |disk, log| {
            sound = disk.read(&index(log), 10_000).unwrap();
            let middle = sound.len() as u64 / 16;
            disk.flip_bit(&index(log), middle * 64 + bit).unwrap();
        });
        for from in 0..BATCHES {
            let read = log.read(Offset(from), 1, true, Offset(BATCHES)).unwrap();
            let slice = read.slice.unwrap();
            let mut first = [0; 8];
            slice.file.read_at(&mut first, slice.position).unwrap();
            assert_eq!((i64::from_be_bytes(first), read.next_offset), (from, Offset(from + 1)), "bit {bit}");
        }
        if log.rebuild_suspect_indexes().unwrap() > 0 {
            assert_eq!(disk.read(&index(&log), 10_000).unwrap(), sound, "bit {bit}");
            assert_eq!(log.rebuild_suspect_indexes().unwrap(), 0);
        }
    }
}
