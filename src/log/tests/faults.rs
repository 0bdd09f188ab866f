//! What becomes of a log whose disk fails.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::config::LogConfig;
use crate::error::ErrorCode;
use crate::ids::Offset;
use crate::io::Disk;
use crate::io::sim::{SimDisk, SimFault, SimOperation};
use crate::log::append::AppendContext;
use crate::log::directory::FileKind;
use crate::log::health::{DirectoryHealth, WriteState};
use crate::log::partition_log::PartitionLog;
use crate::log::producer_state::AppendOrigin;
use crate::log::testing::{NOW_MS, append, batch, context, parts, read_bytes};

/// A log on a simulated disk, and whether its directory has gone offline.
struct Case {
    disk: Arc<SimDisk>,
    log: Arc<PartitionLog>,
    is_offline: Arc<AtomicBool>,
    flushed: Arc<Mutex<Vec<Option<Offset>>>>,
}

fn case(config: LogConfig) -> Case {
    let disk = SimDisk::new(1);
    let path = Path::new("/data/topic-0");
    disk.create_directory(path).unwrap();
    // What holds the partitions is there before any of them.
    disk.sync_directory(Path::new("/")).unwrap();
    let is_offline = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&is_offline);
    let on_offline = Box::new(move |_: &Path, _: &str| told.store(true, Ordering::SeqCst));
    let mut parts = parts(Arc::clone(&disk) as Arc<dyn Disk>, path, config);
    parts.health = DirectoryHealth::new("/data".into(), on_offline);
    let log = PartitionLog::open(parts).unwrap();
    let flushed = Arc::new(Mutex::new(Vec::new()));
    let events = Arc::clone(&flushed);
    log.set_on_flushed(Box::new(move |result| events.lock().push(result.ok())));
    Case { disk, log, is_offline, flushed }
}

impl Case {
    /// As the manager finds it once there is room again.
    fn is_writable_again(&self) {
        self.log.health().set_write_state(WriteState::Writable);
    }

    fn check_online(&self, log_end_offset: i64) {
        self.is_writable_again();
        assert!(!self.is_offline.load(Ordering::SeqCst));
        assert_eq!(self.log.log_end_offset(), Offset(log_end_offset));
        let appended = append(&self.log, &batch(1, 10)).unwrap();
        assert_eq!(appended.base_offset, Offset(log_end_offset));
        assert!(!read_bytes(&self.log, log_end_offset, 1 << 20, true).is_empty());
    }
}

#[test]
fn a_write_that_fails_leaves_the_log_as_it_was() {
    let case = case(LogConfig::default());
    append(&case.log, &batch(1, 10)).unwrap();
    // Cutting off what was written of it fails as well, and again, until the disk is whole.
    case.disk.fail_after(SimOperation::Write, 0, SimFault::NoSpace);
    for _ in 0..2 {
        let error = append(&case.log, &batch(1, 1000)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::KafkaStorageError);
        assert!(!read_bytes(&case.log, 0, 1 << 20, true).is_empty());
    }
    assert!(case.log.roll(NOW_MS).is_err());
    case.disk.heal();
    case.check_online(1);
    let path = case.log.directory().file(FileKind::Log, Offset(0));
    assert_eq!(case.disk.read(&path, 1 << 20).unwrap().len() as u64, case.log.size_bytes());
}

/// Whatever meets EIO first.
#[test]
fn a_device_that_fails_takes_the_directory_offline() {
    type Meet = fn(&PartitionLog);
    let operations: [(SimOperation, Meet); 6] = [
        (SimOperation::Write, |log| drop(append(log, &batch(1, 10)).unwrap_err())),
        (SimOperation::Write, |log| drop(append(log, &batch(1, 900)).unwrap_err())),
        (SimOperation::Write, |log| drop(log.roll(NOW_MS).unwrap_err())),
        (SimOperation::Write, |log| drop(log.checkpoint(NOW_MS).unwrap_err())),
        (SimOperation::Sync, |log| drop(log.checkpoint(NOW_MS).unwrap_err())),
        (SimOperation::Read, |log| drop(log.read(Offset(1), 1000, true, Offset(3)).unwrap_err())),
    ];
    for (at, (operation, meet)) in operations.into_iter().enumerate() {
        let case = case(LogConfig { segment_bytes: 1000, ..LogConfig::default() });
        for _ in 0..3 {
            append(&case.log, &batch(1, 200)).unwrap();
        }
        case.log.roll(NOW_MS).unwrap();
        append(&case.log, &batch(1, 200)).unwrap();
        case.disk.fail_after(operation, 0, SimFault::Io);
        meet(&case.log);
        case.disk.heal();
        assert!(case.is_offline.load(Ordering::SeqCst), "operation {at}");
        assert_eq!(append(&case.log, &batch(1, 10)).unwrap_err().code(), ErrorCode::KafkaStorageError);
        let refused = case.log.read(Offset(0), 1, true, Offset(1)).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::KafkaStorageError, "nobody knows what the device holds");
    }
}

#[test]
fn a_full_disk_is_a_state() {
    let case = case(LogConfig::default());
    append(&case.log, &batch(1, 10)).unwrap();
    case.log.checkpoint(NOW_MS).unwrap();
    case.disk.set_capacity_bytes(500);
    for _ in 0..3 {
        assert_eq!(append(&case.log, &batch(1, 1000)).unwrap_err().code(), ErrorCode::KafkaStorageError);
        assert!(!read_bytes(&case.log, 0, 1 << 20, true).is_empty());
    }
    case.disk.set_capacity_bytes(1 << 20);
    assert_eq!(case.log.health().write_state(), WriteState::Full);
    let error = append(&case.log, &batch(1, 10)).unwrap_err();
    assert_eq!(error.to_string(), "the log directory is full", "until the manager has found room");
    let coordinator = AppendContext { origin: AppendOrigin::Coordinator, ..context() };
    let commit = case.log.append_as_leader(&batch(1, 10), &coordinator).unwrap();
    assert_eq!(commit.base_offset, Offset(1), "what is the broker's own is tried");
    case.check_online(2);
}

#[test]
fn a_read_only_file_system_is_a_state() {
    let case = case(LogConfig::default());
    append(&case.log, &batch(1, 10)).unwrap();
    case.disk.fail_after(SimOperation::Write, 0, SimFault::ReadOnly);
    for _ in 0..2 {
        assert_eq!(append(&case.log, &batch(1, 10)).unwrap_err().code(), ErrorCode::KafkaStorageError);
        assert!(!read_bytes(&case.log, 0, 1 << 20, true).is_empty());
    }
    assert_eq!(case.log.health().write_state(), WriteState::ReadOnly);
    let coordinator = AppendContext { origin: AppendOrigin::Coordinator, ..context() };
    assert!(case.log.append_as_leader(&batch(1, 10), &coordinator).is_err());
    case.disk.heal();
    case.check_online(1);
}

#[test]
fn a_roll_that_fails_is_tried_again() {
    let case = case(LogConfig { segment_bytes: 1000, ..LogConfig::default() });
    for at in 0..6 {
        append(&case.log, &batch(1, 700)).unwrap();
        case.disk.fail_after(SimOperation::Write, at, SimFault::NoSpace);
        let failed = append(&case.log, &batch(1, 900)).is_err();
        case.disk.heal();
        case.is_writable_again();
        assert_eq!(failed, case.log.log_end_offset() == Offset(1));
        if failed {
            append(&case.log, &batch(1, 900)).unwrap();
        }
        case.log.truncate_to(Offset(0), NOW_MS).unwrap();
    }
}

#[test]
fn a_checkpoint_that_finds_no_room_is_tried_again() {
    let case = case(LogConfig::default());
    append(&case.log, &batch(1, 10)).unwrap();
    for at in 0..5 {
        case.disk.fail_after(SimOperation::Write, at, SimFault::NoSpace);
        let result = case.log.checkpoint(NOW_MS);
        case.disk.heal();
        assert_eq!(result.is_ok(), case.log.recovery_point() == Offset(1), "{at}");
    }
    assert_eq!(case.log.checkpoint(NOW_MS).unwrap(), Offset(1));
    let names: Vec<_> = case.disk.list(Path::new("/data/topic-0")).unwrap();
    assert!(names.iter().any(|entry| entry.name == "leader-epoch-checkpoint" && entry.size_bytes > 0));
    case.check_online(1);
}

#[test]
fn a_sync_that_fails_takes_the_directory_offline() {
    let case = case(LogConfig::default());
    append(&case.log, &batch(1, 10)).unwrap();
    case.log.request_flush();
    case.disk.fail_after(SimOperation::Sync, 0, SimFault::Io);
    case.disk.run_syncs();
    case.disk.heal();
    assert!(case.is_offline.load(Ordering::SeqCst));
    assert_eq!(*case.flushed.lock(), [None]);
    assert_eq!(case.log.flushed_offset(), Offset(0));
    assert_eq!(append(&case.log, &batch(1, 10)).unwrap_err().code(), ErrorCode::KafkaStorageError);
    assert_eq!(case.log.read(Offset(0), 1, true, Offset(1)).unwrap_err().code(), ErrorCode::KafkaStorageError);
    assert!(case.log.checkpoint(NOW_MS).is_err());
    assert_eq!(case.disk.submitted_syncs(), 0);
}

#[test]
fn appends_share_one_sync_at_a_time() {
    let case = case(LogConfig::default());
    for _ in 0..10 {
        append(&case.log, &batch(1, 10)).unwrap();
        case.log.request_flush();
        assert_eq!(case.disk.submitted_syncs(), 1);
    }
    case.disk.run_syncs();
    assert_eq!(case.log.flushed_offset(), Offset(1));
    assert_eq!(case.disk.submitted_syncs(), 1);
    case.disk.run_syncs();
    assert_eq!(case.log.flushed_offset(), Offset(10));
    assert_eq!(case.disk.submitted_syncs(), 0);
    assert_eq!(*case.flushed.lock(), [Some(Offset(1)), Some(Offset(10))]);
}

#[test]
fn a_sync_from_before_a_truncation_proves_nothing() {
    let case = case(LogConfig::default());
    for _ in 0..10 {
        append(&case.log, &batch(1, 10)).unwrap();
    }
    case.log.request_flush();
    case.log.truncate_to(Offset(4), NOW_MS).unwrap();
    append(&case.log, &batch(5, 10)).unwrap();
    case.disk.run_sync(0);
    assert_eq!(case.log.flushed_offset(), Offset(0));
    case.disk.run_syncs();
    assert_eq!(case.log.flushed_offset(), Offset(9));
}

#[test]
fn what_was_cut_off_does_not_come_back() {
    for seed in 0..30 {
        let case = case(LogConfig { segment_bytes: 400, ..LogConfig::default() });
        for _ in 0..7 {
            append(&case.log, &batch(1, 100)).unwrap();
        }
        case.log.request_flush();
        case.disk.run_syncs();
        case.log.truncate_to(Offset(1), NOW_MS).unwrap();
        let size_bytes = case.log.size_bytes();
        case.disk.crash(seed);
        let mut entries = case.disk.list(Path::new("/data/topic-0")).unwrap();
        entries.retain(|entry| matches!(FileKind::parse(&entry.name), Some((FileKind::Log, _))));
        assert_eq!(entries.iter().map(|entry| entry.size_bytes).collect::<Vec<_>>(), [size_bytes], "seed {seed}");
    }
}

#[test]
fn what_was_flushed_survives_a_crash() {
    for seed in 0..50 {
        let case = case(LogConfig { segment_bytes: 400, ..LogConfig::default() });
        for _ in 0..7 {
            append(&case.log, &batch(1, 100)).unwrap();
        }
        case.log.request_flush();
        case.disk.run_syncs();
        assert_eq!(case.log.flushed_offset(), Offset(7));
        let flushed: Vec<_> = (0..7).map(|at| read_bytes(&case.log, at, 1, true)).collect();
        for _ in 0..7 {
            append(&case.log, &batch(1, 100)).unwrap();
        }
        case.log.request_flush();
        case.disk.crash(seed);
        let mut names: Vec<_> = case.disk.list(Path::new("/data/topic-0")).unwrap();
        names.retain(|entry| matches!(FileKind::parse(&entry.name), Some((FileKind::Log, _))));
        names.sort_by(|one, other| one.name.cmp(&other.name));
        let paths = names.iter().map(|entry| Path::new("/data/topic-0").join(&entry.name));
        let found: Vec<u8> = paths.flat_map(|path| case.disk.read(&path, 1 << 20).unwrap()).collect();
        assert!(found.starts_with(&flushed.concat()), "seed {seed}");
    }
}
