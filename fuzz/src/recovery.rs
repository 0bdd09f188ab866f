//! A log directory, opened whatever its files hold.
//!
//! ```text
//!  input: │ flags │ then, file by file: │ kind │ which │ length u16 │ content │
//! ```
//! The flags say whether the files come on top of those that a broker has left, whether checksums are set right, and
//! how the directory was left. Where nothing vouches for the log, all that is kept can be read, and a second opening
//! finds the same. Where a checkpoint or the clean marker does, it is believed: then nothing panics.

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use ottla::config::{CleanupPolicy, LogConfig};
use ottla::ids::{BrokerEpoch, BrokerId, LeaderEpoch, Offset, ProducerEpoch, ProducerId, TopicId, TopicPartition};
use ottla::io::sim::SimDisk;
use ottla::io::{Disk, EntryKind, OpenMode};
use ottla::log::append::AppendContext;
use ottla::log::checkpoints::{
    CLEANER_OFFSET_CHECKPOINT, LOG_START_OFFSET_CHECKPOINT, RECOVERY_POINT_CHECKPOINT, REPLICATION_OFFSET_CHECKPOINT,
};
use ottla::log::clean_shutdown::CLEAN_SHUTDOWN_FILE;
use ottla::log::directory::FileKind;
use ottla::log::leader_epochs::LEADER_EPOCH_CHECKPOINT;
use ottla::log::log_directory::LogDirectories;
use ottla::log::log_manager::{LogManager, LogManagerOptions, NewLog};
use ottla::log::partition_log::PartitionLog;
use ottla::log::partition_metadata::PARTITION_METADATA_FILE;
use ottla::log::producer_state::AppendOrigin;
use ottla::protocol::records::{EndTransactionMarker, NewRecord, RecordBatchBuilder, TransactionOutcome};
use ottla::time::ManualClock;

use super::append::{NOW_MS, all_bytes, seal_batches};
use super::files::sealed_snapshot;
use super::input::Input;

const META: &[u8] = b"version=1\ncluster.id=c\nnode.id=1\ndirectory.id=JFuNnNNVGxDQ4X9hqyO0pA\n";
/// The directory.
pub const DATA: &str = "data";
const FOLDER: &str = "data/t-0";
/// Where the segments begin that an input may bring.
const BASE_OFFSETS: [i64; 8] = [0, 3, 8, 20, 1 << 31, 1 << 40, i64::MAX - 3, i64::MAX];
const MAX_FILES: usize = 12;

/// On top of what a broker has left.
pub const ON_OLD_LOG: u8 = 1;
/// Checksums stay as they are.
pub const UNSEALED: u8 = 2;
/// The clean marker is there.
pub const CLEAN: u8 = 4;
/// The checkpoint files of the directory may be there.
pub const CHECKPOINTED: u8 = 8;
/// Of a compacted topic.
pub const COMPACTED: u8 = 16;

pub fn run(data: &[u8]) {
    let (flags, disk) = directory_of(data);
    let is_trusted = flags & (CLEAN | CHECKPOINTED) != 0;
    check(&disk, &Arc::new(config(flags)), is_trusted);
}

/// The flags, and a disk with the log directory that the input tells of.
pub fn directory_of(data: &[u8]) -> (u8, Arc<SimDisk>) {
    let mut input = Input::new(data);
    let flags = input.u8();
    let disk = SimDisk::new(0);
    disk.create_directory(Path::new(FOLDER)).expect("the disk is sound");
    write(&disk, Path::new("data/meta.properties"), META);
    if flags & ON_OLD_LOG != 0 {
        for (path, content) in old_log() {
            if flags & CHECKPOINTED != 0 || path.starts_with(FOLDER) {
                write(&disk, path, content);
            }
        }
    }
    for _ in 0..MAX_FILES {
        if input.is_empty() {
            break;
        }
        write_one(&disk, flags, &mut input);
    }
    if flags & CLEAN != 0 {
        write(&disk, &Path::new(DATA).join(CLEAN_SHUTDOWN_FILE), b"");
    }
    (flags, disk)
}

/// One file as the input has it; of a file that is there, a part.
fn write_one(disk: &SimDisk, flags: u8, input: &mut Input<'_>) {
    let (kind, which) = (input.u8(), input.u8());
    let length = usize::from(input.u16());
    let content = input.bytes(length);
    let base_offset = Offset(BASE_OFFSETS[usize::from(which) % BASE_OFFSETS.len()]);
    let seal = flags & UNSEALED == 0;
    let named = |kind: FileKind, suffix: &str| Path::new(FOLDER).join(kind.file_name(base_offset) + suffix);
    let log = || {
        let mut log = content.to_vec();
        if seal {
            seal_batches(&mut log);
        }
        log
    };
    match kind % 15 {
        0 => write(disk, &named(FileKind::Log, ""), &log()),
        1 => write(disk, &named(FileKind::OffsetIndex, ""), content),
        2 => write(disk, &named(FileKind::TimeIndex, ""), content),
        3 => write(disk, &named(FileKind::TxnIndex, ""), content),
        4 if seal => write(disk, &named(FileKind::ProducerSnapshot, ""), &sealed_snapshot(content)),
        4 => write(disk, &named(FileKind::ProducerSnapshot, ""), content),
        5 => write(disk, &Path::new(FOLDER).join(LEADER_EPOCH_CHECKPOINT), content),
        6 => write(disk, &Path::new(FOLDER).join(PARTITION_METADATA_FILE), content),
        7 if flags & CHECKPOINTED != 0 => write(disk, &Path::new(DATA).join(RECOVERY_POINT_CHECKPOINT), content),
        8 if flags & CHECKPOINTED != 0 => write(disk, &Path::new(DATA).join(LOG_START_OFFSET_CHECKPOINT), content),
        9 => write(disk, &Path::new(DATA).join(REPLICATION_OFFSET_CHECKPOINT), content),
        10 => write(disk, &named(FileKind::Log, ".swap"), &log()),
        11 => write(disk, &named(FileKind::OffsetIndex, ".cleaned"), content),
        12 => overwrite(disk, which, content, seal),
        13 => cut(disk, which, content),
        14 if flags & CHECKPOINTED != 0 => write(disk, &Path::new(DATA).join(CLEANER_OFFSET_CHECKPOINT), content),
        _ => {}
    }
}

/// The `which`th file of the partition, and what it holds.
fn nth_file(disk: &SimDisk, which: u8) -> Option<(PathBuf, Vec<u8>)> {
    let mut entries = disk.list(Path::new(FOLDER)).expect("the disk is sound");
    entries.retain(|entry| entry.kind == EntryKind::File);
    let entry = entries.get(usize::from(which) % entries.len().max(1))?;
    let path = Path::new(FOLDER).join(&entry.name);
    let content = disk.read(&path, 1 << 20).expect("the disk is sound");
    Some((path, content))
}

/// Puts bytes over what a file holds; the first two say where.
fn overwrite(disk: &SimDisk, which: u8, written: &[u8], seal: bool) {
    let Some((path, mut content)) = nth_file(disk, which) else { return };
    let mut written = Input::new(written);
    let at = usize::from(written.u16()) % (content.len() + 1);
    let written = written.rest();
    content.resize(content.len().max(at + written.len()), 0);
    content[at..at + written.len()].copy_from_slice(written);
    if seal && path.extension().is_some_and(|extension| extension == "log") {
        seal_batches(&mut content);
    }
    if seal && path.extension().is_some_and(|extension| extension == "snapshot") {
        content = sealed_snapshot(&content);
    }
    write(disk, &path, &content);
}

/// Cuts a file short, or removes it.
fn cut(disk: &SimDisk, which: u8, content: &[u8]) {
    let Some((path, old)) = nth_file(disk, which) else { return };
    match usize::from(Input::new(content).u16()) {
        0 => disk.remove_file(&path).expect("the disk is sound"),
        bytes => write(disk, &path, &old[..bytes % (old.len() + 1)]),
    }
}

fn write(disk: &SimDisk, path: &Path, content: &[u8]) {
    let file = disk.open(path, OpenMode::Create).expect("the disk is sound");
    file.set_size_bytes(0).expect("the disk is sound");
    file.write_all_at(&[IoSlice::new(content)], 0).expect("the disk is sound");
}

/// Small segments and dense indexes, so that short logs have many of both.
fn config(flags: u8) -> LogConfig {
    let cleanup_policy = CleanupPolicy { delete: flags & COMPACTED == 0, compact: flags & COMPACTED != 0 };
    LogConfig {
        cleanup_policy,
        segment_bytes: 1000,
        index_interval_bytes: 100,
        segment_index_bytes: 4096,
        ..LogConfig::default()
    }
}

fn start(disk: &Arc<SimDisk>, config: &Arc<LogConfig>) -> Arc<LogManager> {
    let disk: Arc<dyn Disk> = Arc::clone(disk) as _;
    let directories = LogDirectories::open(&disk, &[DATA.into()], BrokerId(1), |_, _| {});
    let directories = directories.expect("the directory itself is sound");
    let options = LogManagerOptions { recovery_threads_per_directory: 1, ..LogManagerOptions::default() };
    let config_of = |_: &TopicPartition| Some(Arc::clone(config));
    let loaded = LogManager::load(directories, options, ManualClock::at(NOW_MS), &config_of);
    loaded.expect("only a failing device keeps a log from being opened").0
}

fn log_of(manager: &LogManager) -> Arc<PartitionLog> {
    manager.get(&TopicPartition::new("t", 0)).expect("its folder is there")
}

fn check(disk: &Arc<SimDisk>, config: &Arc<LogConfig>, is_trusted: bool) {
    let manager = start(disk, config);
    let log = log_of(&manager);
    assert!(log.log_start_offset() <= log.log_end_offset());
    assert!(log.last_stable_offset() <= log.high_watermark() && log.high_watermark() <= log.log_end_offset());
    let appended = log.append_as_leader(&records(2), &context());
    if is_trusted {
        use_unsound(&log);
        manager.shutdown(None);
        return;
    }
    // Offsets end somewhere, and a log may end there.
    if log.log_end_offset() < Offset(i64::MAX - 100) {
        appended.expect("a log that was opened takes records");
    }
    log.flush();
    disk.run_syncs();
    log.set_high_watermark(log.log_end_offset());
    let kept = (log.log_start_offset(), log.log_end_offset(), all_bytes(&log));
    let _ = log.aborted_transactions(kept.0, kept.1).expect("an index that was built anew is sound");
    for target in [0, NOW_MS, i64::MAX] {
        log.offset_for_timestamp(target).ok();
    }
    drop((log, manager));
    disk.kill();
    let manager = start(disk, config);
    let log = log_of(&manager);
    let again = (log.log_start_offset(), log.log_end_offset(), all_bytes(&log));
    assert_eq!(again, kept, "a second opening finds what the first has kept");
}

/// Everything that looks into a log which is taken for sound and is not.
fn use_unsound(log: &PartitionLog) {
    let (start, end) = (log.log_start_offset(), log.log_end_offset());
    let mut from = start;
    for _ in 0..100 {
        let Ok(read) = log.read(from, 300, true, end) else { break };
        if let Some(slice) = &read.slice {
            assert!(slice.size_bytes < 1 << 20);
        }
        if read.next_offset <= from {
            break;
        }
        from = read.next_offset;
    }
    let _ = log.aborted_transactions(start, end);
    let _ = log.bytes_between(start, end);
    let _ = (log.offset_for_timestamp(0), log.offset_of_max_timestamp());
    let _ = log.epoch_end_offset(LeaderEpoch(1));
    log.set_high_watermark(end);
    let _ = log.delete_records(Offset(start.0.midpoint(end.0)));
    let _ = log.delete_old_segments(i64::MAX);
    let _ = log.truncate_to(Offset(start.0.midpoint(end.0)), NOW_MS);
    let _ = log.checkpoint(NOW_MS);
}

fn context() -> AppendContext {
    AppendContext { leader_epoch: LeaderEpoch(9), origin: AppendOrigin::Client, now_ms: NOW_MS }
}

fn records(count: i64) -> Bytes {
    batch(RecordBatchBuilder::new(Offset::ZERO), count)
}

fn batch(mut builder: RecordBatchBuilder, count: i64) -> Bytes {
    for at in 0..count {
        let timestamp_ms = NOW_MS + at;
        builder.append(&NewRecord { timestamp_ms, key: Some(b"key"), value: Some(&[7; 50]), headers: &[] });
    }
    builder.build().expect("records make a batch").into()
}

/// The files of a log directory that a broker has stopped on in good order, without the marker of it: several
/// segments, producers with and without transactions, two leader epochs.
pub fn old_log() -> &'static [(PathBuf, Vec<u8>)] {
    static FILES: OnceLock<Vec<(PathBuf, Vec<u8>)>> = OnceLock::new();
    FILES.get_or_init(|| {
        let disk = SimDisk::new(0);
        disk.create_directory(Path::new(DATA)).expect("the disk is sound");
        write(&disk, Path::new("data/meta.properties"), META);
        let config = Arc::new(config(0));
        let manager = start(&disk, &config);
        let new = NewLog {
            topic_partition: TopicPartition::new("t", 0),
            topic_id: TopicId(uuid::Uuid::from_u128(99)),
            config,
            directory: None,
            is_new: true,
        };
        fill(&manager.get_or_create(&new).expect("the disk is sound"));
        manager.shutdown(Some(BrokerEpoch(7)));
        let mut files = Vec::new();
        for folder in [DATA, FOLDER] {
            for entry in disk.list(Path::new(folder)).expect("the disk is sound") {
                let is_ours = entry.kind == EntryKind::File
                    && ![CLEAN_SHUTDOWN_FILE, ".lock", "meta.properties"].contains(&&*entry.name);
                if is_ours {
                    let path = Path::new(folder).join(&entry.name);
                    let content = disk.read(&path, 1 << 20).expect("the disk is sound");
                    files.push((path, content));
                }
            }
        }
        files
    })
}

fn fill(log: &PartitionLog) {
    let (idempotent, transactional) = (ProducerId(5), ProducerId(6));
    for round in 0..4 {
        let context = AppendContext { leader_epoch: LeaderEpoch(round / 2), ..context() };
        let append = |records: Bytes, origin| {
            log.append_as_leader(&records, &AppendContext { origin, ..context }).expect("the batch is sound");
        };
        append(records(3), AppendOrigin::Client);
        let builder = RecordBatchBuilder::new(Offset::ZERO).producer(idempotent, ProducerEpoch(0), round * 2);
        append(batch(builder, 2), AppendOrigin::Client);
        let builder = RecordBatchBuilder::new(Offset::ZERO).producer(transactional, ProducerEpoch(1), round);
        append(batch(builder.transactional(), 1), AppendOrigin::Client);
        if round < 3 {
            let outcome = [TransactionOutcome::Abort, TransactionOutcome::Commit][round as usize % 2];
            let marker = EndTransactionMarker { outcome, coordinator_epoch: 1 };
            let control = marker.batch(Offset::ZERO, LeaderEpoch(0), NOW_MS, transactional, ProducerEpoch(1));
            append(control.into(), AppendOrigin::Coordinator);
        }
    }
}
