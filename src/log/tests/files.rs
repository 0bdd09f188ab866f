//! What lies in the folder, and what is made of it again.

use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;

use crate::config::LogConfig;
use crate::ids::{Offset, ProducerEpoch, ProducerId};
use crate::io::RealDisk;
use crate::log::directory::{FileKind, PartitionDirectory};
use crate::log::leader_epochs::LeaderEpochs;
use crate::log::partition_log::PartitionLog;
use crate::log::producer_rebuild::snapshot_offsets;
use crate::log::producer_state::{ProducerStateConfig, ProducerStateManager};
use crate::log::segment::Segment;
use crate::log::testing::{NOW_MS, append, batch, batch_of, new_log};
use crate::protocol::records::{NewRecord, RecordBatchBuilder};

fn config() -> LogConfig {
    LogConfig { index_interval_bytes: 300, ..LogConfig::default() }
}

fn read_file(log: &PartitionLog, kind: FileKind, offset: i64) -> Vec<u8> {
    log.directory().disk().read(&log.directory().file(kind, Offset(offset)), 1 << 20).unwrap()
}

fn i32s(bytes: &[u8]) -> Vec<i32> {
    bytes.chunks_exact(4).map(|bytes| i32::from_be_bytes(bytes.try_into().unwrap())).collect()
}

fn snapshots(log: &PartitionLog) -> Vec<Offset> {
    snapshot_offsets(log.directory()).unwrap()
}

fn directory(root: &Path) -> Arc<PartitionDirectory> {
    PartitionDirectory::new(RealDisk::new(1).unwrap(), root.join("topic-0"))
}

fn producers() -> ProducerStateManager {
    ProducerStateManager::new(ProducerStateConfig::default())
}

/// 20 batches of 2 records and 200-odd bytes in one segment, timestamps ascending.
fn closed_log(root: &Path) -> Arc<PartitionLog> {
    let log = new_log(root, config());
    for at in 0..20 {
        append(&log, &batch_of(&[at, at + 1], 60)).unwrap();
    }
    log.close(NOW_MS).unwrap();
    log
}

#[test]
fn indexes_are_kafkas() {
    let root = TempDir::new().unwrap();
    let log = closed_log(root.path());
    let batch_bytes = (log.size_bytes() / 20) as i32;
    let per_entry = 300 / batch_bytes + 1;
    let entries: Vec<i32> = (1..20).map(|entry| entry * per_entry).filter(|&at| at < 20).collect();
    let offsets: Vec<i32> = entries.iter().flat_map(|at| [at * 2 + 1, at * batch_bytes]).collect();
    assert_eq!(i32s(&read_file(&log, FileKind::OffsetIndex, 0)), offsets);
    // The last entry is the largest timestamp: closing adds it.
    let times: Vec<i32> = entries.iter().chain([&19]).flat_map(|at| [0, at + 1, at * 2 + 1]).collect();
    assert_eq!(i32s(&read_file(&log, FileKind::TimeIndex, 0)), times);
    assert_eq!(log.recovery_point(), Offset(40));
    assert!(log.directory().disk().exists(&log.directory().file(FileKind::ProducerSnapshot, Offset(40))));
}

#[test]
fn a_full_index_rolls() {
    let root = TempDir::new().unwrap();
    let log = new_log(root.path(), LogConfig { segment_index_bytes: 40, index_interval_bytes: 1, ..config() });
    for _ in 0..50 {
        append(&log, &batch(1, 10)).unwrap();
    }
    assert!(log.segment_count() > 7);
    for base in log.segments.load().iter().map(|segment| segment.base_offset()) {
        if base != log.active_segment_base_offset() {
            assert!(read_file(&log, FileKind::OffsetIndex, base.0).len() <= 40);
            assert!(read_file(&log, FileKind::TimeIndex, base.0).len() <= 40);
        }
    }
}

#[test]
fn segments_roll_by_the_records_time() {
    let root = TempDir::new().unwrap();
    let log = new_log(root.path(), LogConfig { segment_ms: 100, ..config() });
    for (timestamp, segments) in [(1000, 1), (1100, 1), (1101, 2), (1050, 2), (1300, 3)] {
        append(&log, &batch_of(&[timestamp], 1)).unwrap();
        assert_eq!(log.segment_count(), segments, "{timestamp}");
    }
}

#[test]
fn a_closed_segment_is_opened_as_it_was() {
    let root = TempDir::new().unwrap();
    let log = closed_log(root.path());
    let segment = Segment::open(&directory(root.path()), Offset(0), NOW_MS).unwrap();
    assert_eq!(segment.next_offset().unwrap(), Offset(40));
    assert_eq!(segment.size_bytes(), log.size_bytes());
    assert_eq!(segment.max_timestamp().timestamp, 20);
    for offset in 0..40 {
        let found = segment.find_batch(Offset(offset)).unwrap().unwrap();
        assert_eq!(found.header.base_offset, Offset(offset / 2 * 2));
    }
    assert!(segment.find_batch(Offset(40)).unwrap().is_none());
}

#[test]
fn an_index_that_is_none_is_not_trusted() {
    let root = TempDir::new().unwrap();
    let log = closed_log(root.path());
    let path = log.directory().file(FileKind::OffsetIndex, Offset(0));
    let good = read_file(&log, FileKind::OffsetIndex, 0);
    let refused = |content: &[u8]| {
        log.directory().disk().write_atomically(&path, content).unwrap();
        assert!(Segment::open(&directory(root.path()), Offset(0), NOW_MS).is_err());
    };
    refused(&good[..good.len() - 1]);
    refused(&[&good[..], &[0; 80]].concat());
    refused(&[&good[..], &[0x7f; 8]].concat());
    log.directory().disk().remove_file(&path).unwrap();
    assert!(Segment::open(&directory(root.path()), Offset(0), NOW_MS).is_err());
}

#[test]
fn recovery_builds_what_closing_wrote() {
    let root = TempDir::new().unwrap();
    let log = closed_log(root.path());
    let files = [FileKind::Log, FileKind::OffsetIndex, FileKind::TimeIndex];
    let before = files.map(|kind| read_file(&log, kind, 0));
    for from in [0, 14, 38, 40] {
        let segment = match from {
            0 => Segment::open_without_indexes(&directory(root.path()), Offset(0), NOW_MS).unwrap(),
            _ => Segment::open(&directory(root.path()), Offset(0), NOW_MS).unwrap(),
        };
        let (mut producers, mut epochs) = (producers(), LeaderEpochs::new());
        let found = segment.recover(Offset(from), &mut producers, &mut epochs, 300, NOW_MS).unwrap();
        assert_eq!((found.truncated_bytes, found.next_offset), (0, Offset(40)));
        segment.close_indexes().unwrap();
        assert!(files.map(|kind| read_file(&log, kind, 0)) == before, "from {from}");
        assert_eq!(epochs.is_empty(), from == 40);
    }
}

#[test]
fn index_entries_beyond_the_recovery_point_may_be_holes() {
    let root = TempDir::new().unwrap();
    let log = closed_log(root.path());
    let files = [FileKind::OffsetIndex, FileKind::TimeIndex];
    let before = files.map(|kind| read_file(&log, kind, 0));
    for (kind, entry_bytes) in files.into_iter().zip([8, 12]) {
        let mut bytes = read_file(&log, kind, 0);
        let end = bytes.len();
        // Entries of offsets from 14 on, the last one excepted.
        bytes[3 * entry_bytes..end - entry_bytes].fill(0);
        log.directory().disk().write_atomically(&log.directory().file(kind, Offset(0)), &bytes).unwrap();
    }
    let segment = Segment::open(&directory(root.path()), Offset(0), NOW_MS).unwrap();
    let (mut producers, mut epochs) = (producers(), LeaderEpochs::new());
    segment.recover(Offset(14), &mut producers, &mut epochs, 300, NOW_MS).unwrap();
    segment.close_indexes().unwrap();
    assert!(files.map(|kind| read_file(&log, kind, 0)) == before);
}

#[test]
fn a_batch_that_lost_its_first_sector_is_not_below_the_recovery_point() {
    let root = TempDir::new().unwrap();
    let log = closed_log(root.path());
    let path = log.directory().file(FileKind::Log, Offset(0));
    let good = read_file(&log, FileKind::Log, 0);
    let batch_bytes = good.len() / 20;
    let mut damaged = good.clone();
    damaged[7 * batch_bytes..7 * batch_bytes + 11].fill(0);
    log.directory().disk().write_atomically(&path, &damaged).unwrap();
    let segment = Segment::open(&directory(root.path()), Offset(0), NOW_MS).unwrap();
    let (mut producers, mut epochs) = (producers(), LeaderEpochs::new());
    let found = segment.recover(Offset(14), &mut producers, &mut epochs, 300, NOW_MS).unwrap();
    assert_eq!((found.next_offset, segment.size_bytes()), (Offset(14), 7 * batch_bytes as u64));
}

#[test]
fn recovery_cuts_at_the_first_bad_byte() {
    let root = TempDir::new().unwrap();
    let log = closed_log(root.path());
    let path = log.directory().file(FileKind::Log, Offset(0));
    let good = read_file(&log, FileKind::Log, 0);
    let batch_bytes = good.len() / 20;
    // A torn end, a flipped bit in the 18th batch, a foreign offset in the 15th, a length of nearly 2 GiB.
    let torn = good[..good.len() - 5].to_vec();
    let mut flipped = good.clone();
    flipped[17 * batch_bytes + 90] ^= 1;
    let mut foreign = good.clone();
    foreign[14 * batch_bytes + 7] = 3;
    let mut endless = good.clone();
    endless[3 * batch_bytes + 8..3 * batch_bytes + 12].copy_from_slice(&0x7fff_ffff_u32.to_be_bytes());
    for (damaged, sound) in
        [(torn, 19), (flipped, 17), (foreign, 14), (endless, 3), (vec![0; 4096], 0), (vec![1; 9], 0)]
    {
        log.directory().disk().write_atomically(&path, &damaged).unwrap();
        let segment = Segment::open_without_indexes(&directory(root.path()), Offset(0), NOW_MS).unwrap();
        let (mut producers, mut epochs) = (producers(), LeaderEpochs::new());
        let found = segment.recover(Offset(0), &mut producers, &mut epochs, 300, NOW_MS).unwrap();
        assert_eq!(found.next_offset, Offset(sound * 2));
        assert_eq!(found.truncated_bytes, (damaged.len() - sound as usize * batch_bytes) as u64);
        segment.cut_file().unwrap();
        assert!(read_file(&log, FileKind::Log, 0) == good[..sound as usize * batch_bytes]);
    }
}

#[test]
fn checkpoints_keep_the_snapshot_that_recovery_would_begin_with() {
    let root = TempDir::new().unwrap();
    let log = new_log(root.path(), config());
    for sequence in 0..6 {
        let mut builder = RecordBatchBuilder::new(Offset::ZERO).producer(ProducerId(1), ProducerEpoch(0), sequence);
        builder.append(&NewRecord { timestamp_ms: NOW_MS, key: None, value: Some(&[0; 3000]), headers: &[] });
        append(&log, &builder.build().unwrap().into()).unwrap();
        assert_eq!(log.checkpoint(NOW_MS).unwrap(), Offset(i64::from(sequence) + 1));
        assert_eq!(log.checkpoint(NOW_MS).unwrap(), log.recovery_point());
        // What is written down is the checkpoint before.
        log.recovery_point_written(Offset(i64::from(sequence))).unwrap();
        if sequence == 2 {
            log.roll(NOW_MS).unwrap();
        }
    }
    assert_eq!(snapshots(&log), [3, 5, 6].map(Offset));
}

#[test]
fn a_log_that_hardly_grows_is_not_snapshot_every_time() {
    let root = TempDir::new().unwrap();
    let log = new_log(root.path(), config());
    for end in 1..=4 {
        append(&log, &batch(1, 500)).unwrap();
        assert_eq!(log.checkpoint(NOW_MS).unwrap(), Offset(end));
        assert_eq!(snapshots(&log), []);
    }
    append(&log, &batch(1, 500)).unwrap();
    log.checkpoint(NOW_MS).unwrap();
    assert_eq!(snapshots(&log), [Offset(5)]);
    append(&log, &batch(1, 500)).unwrap();
    log.close(NOW_MS).unwrap();
    assert_eq!(snapshots(&log), [5, 6].map(Offset));
}

#[test]
fn recovery_reads_batches_of_every_size() {
    let root = TempDir::new().unwrap();
    let log = new_log(root.path(), LogConfig { max_message_bytes: 4 << 20, ..config() });
    for value_bytes in [100, (1 << 20) - 300, 500_000, 600_000, 3 << 20, 0, 1 << 20] {
        append(&log, &batch(1, value_bytes)).unwrap();
    }
    log.close(NOW_MS).unwrap();
    let recover = || {
        let segment = Segment::open_without_indexes(&directory(root.path()), Offset(0), NOW_MS).unwrap();
        let (mut producers, mut epochs) = (producers(), LeaderEpochs::new());
        segment.recover(Offset(0), &mut producers, &mut epochs, 300, NOW_MS).unwrap()
    };
    assert_eq!((recover().truncated_bytes, recover().next_offset), (0, Offset(7)));
    let path = log.directory().file(FileKind::Log, Offset(0));
    let mut damaged = log.directory().disk().read(&path, 16 << 20).unwrap();
    let third = log.segments.load()[0].find_batch(Offset(4)).unwrap().unwrap();
    damaged[third.end_position() as usize - 10] ^= 4;
    log.directory().disk().write_atomically(&path, &damaged).unwrap();
    assert_eq!(recover().next_offset, Offset(4));
}

/// Names of this process's open files under `root`.
#[expect(clippy::disallowed_methods, reason = "the operating system knows which files are open")]
fn open_files(root: &Path) -> Vec<String> {
    let links = std::fs::read_dir("/proc/self/fd").unwrap();
    let paths = links.filter_map(|link| std::fs::read_link(link.ok()?.path()).ok());
    let of_root = paths.filter(|path| path.starts_with(root));
    of_root.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect()
}

#[test]
fn a_log_that_was_checkpointed_keeps_one_file_open() {
    let root = TempDir::new().unwrap();
    let log = new_log(root.path(), config());
    for at in 0..20 {
        append(&log, &batch_of(&[at, at + 1], 60)).unwrap();
    }
    log.checkpoint(NOW_MS).unwrap();
    assert_eq!(open_files(root.path()), ["00000000000000000000.log"]);
    // What was given away is opened again where it is needed.
    assert!(log.read(Offset(20), 1, true, log.log_end_offset()).unwrap().slice.is_some());
    append(&log, &batch_of(&[100], 600)).unwrap();
    log.checkpoint(NOW_MS).unwrap();
    assert_eq!(open_files(root.path()), ["00000000000000000000.log"]);
    let entries = i32s(&read_file(&log, FileKind::OffsetIndex, 0));
    let offsets: Vec<i32> = entries.into_iter().step_by(2).collect();
    assert!(offsets.is_sorted() && offsets.last() == Some(&40), "{offsets:?}");
}
