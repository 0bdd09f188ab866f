mod moving;
mod space;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use uuid::Uuid;

use super::*;
use crate::ids::{BrokerId, Offset, ProducerEpoch, ProducerId};
use crate::io::sim::{SimDisk, SimFault, SimOperation};
use crate::io::{Disk, OpenMode};
use crate::log::log_directory::LogDirectories;
use crate::log::testing::{append, batch, old_message};
use crate::protocol::records::{NewRecord, RecordBatchBuilder};
use crate::time::ManualClock;

const NOW_MS: i64 = 1_700_000_000_000;

/// A broker with two log directories on a simulated disk.
struct Fixture {
    disk: Arc<SimDisk>,
    clock: Arc<ManualClock>,
    config: Arc<LogConfig>,
    offline: Arc<Mutex<Vec<String>>>,
}

impl Fixture {
    fn new() -> Self {
        Self::with(LogConfig { segment_bytes: 3000, ..LogConfig::default() })
    }

    fn with(config: LogConfig) -> Self {
        let (disk, clock) = (SimDisk::new(0), ManualClock::at(NOW_MS));
        Self { disk, clock, config: Arc::new(config), offline: Arc::default() }
    }

    fn try_start(&self) -> Result<Arc<LogManager>, LoadError> {
        let disk: Arc<dyn Disk> = Arc::clone(&self.disk) as _;
        let offline = Arc::clone(&self.offline);
        let on_offline = move |path: &Path, _: &str| offline.lock().push(path.display().to_string());
        let mut directories =
            LogDirectories::open(&disk, &["a".into(), "b".into()], BrokerId(1), on_offline).unwrap();
        directories.format("cluster").unwrap();
        let options = LogManagerOptions {
            recovery_threads_per_directory: 1,
            new_uuid: || Uuid::from_u128(7),
            ..LogManagerOptions::default()
        };
        let config_of = |_: &TopicPartition| Some(Arc::clone(&self.config));
        LogManager::load(directories, options, Arc::clone(&self.clock) as _, &config_of).map(|(manager, _)| manager)
    }

    fn start(&self) -> Arc<LogManager> {
        self.try_start().unwrap()
    }

    fn crash(&self, manager: Arc<LogManager>) -> Arc<LogManager> {
        drop(manager);
        self.disk.crash(3);
        self.start()
    }

    fn new_log(&self, number: i32, topic_id: u128) -> NewLog {
        NewLog {
            topic_partition: partition(number),
            topic_id: TopicId(Uuid::from_u128(topic_id)),
            config: Arc::clone(&self.config),
            directory: None,
            is_new: true,
        }
    }

    fn create(&self, manager: &LogManager, number: i32) -> Arc<PartitionLog> {
        manager.get_or_create(&self.new_log(number, 1)).unwrap()
    }

    /// A log of so many batches of ten records.
    fn written(&self, manager: &LogManager, number: i32, batches: usize) -> Arc<PartitionLog> {
        let log = self.create(manager, number);
        for _ in 0..batches {
            append(&log, &ten_records()).unwrap();
        }
        log
    }

    fn folders(&self, directory: &str) -> Vec<String> {
        let entries = self.disk.list(Path::new(directory)).unwrap();
        entries
            .into_iter()
            .filter(|entry| entry.kind == crate::io::EntryKind::Directory)
            .map(|entry| entry.name)
            .collect()
    }

    fn text(&self, path: &str) -> String {
        String::from_utf8(self.disk.read(Path::new(path), 1 << 20).unwrap()).unwrap()
    }
}

fn partition(number: i32) -> TopicPartition {
    TopicPartition::new("topic", number)
}

fn ten_records() -> Bytes {
    batch(10, 20)
}

#[test]
fn new_logs_go_where_the_fewest_are() {
    let fixture = Fixture::new();
    let manager = fixture.start();
    for number in 0..4 {
        fixture.create(&manager, number);
    }
    assert_eq!(fixture.folders("a"), ["topic-0", "topic-2"]);
    assert_eq!(fixture.folders("b"), ["topic-1", "topic-3"]);
    let wanted = manager.online_directory_ids()[0];
    let there = NewLog { directory: Some(wanted), ..fixture.new_log(4, 1) };
    manager.get_or_create(&there).unwrap();
    assert_eq!(manager.directory_of(&partition(4)), Some(wanted));
    let nowhere = NewLog { directory: Some(DirectoryId(Uuid::from_u128(1234))), ..fixture.new_log(5, 1) };
    manager.get_or_create(&nowhere).unwrap();
    assert_eq!(manager.directory_of(&partition(5)), Some(manager.online_directory_ids()[1]), "the emptier one");
    let nowhere = NewLog { is_new: false, ..nowhere };
    let nowhere = NewLog { topic_partition: partition(6), ..nowhere };
    assert_eq!(manager.get_or_create(&nowhere).unwrap_err().code(), ErrorCode::KafkaStorageError);
}

#[test]
fn a_log_belongs_to_one_topic() {
    let fixture = Fixture::new();
    let manager = fixture.start();
    let log = fixture.create(&manager, 0);
    assert!(Arc::ptr_eq(&log, &fixture.create(&manager, 0)));
    assert_eq!(
        manager.get_or_create(&fixture.new_log(0, 2)).unwrap_err().code(),
        ErrorCode::InconsistentTopicId,
        "another topic of this name"
    );
}

#[test]
fn a_folder_whose_topic_id_a_crash_took_gets_it_anew() {
    let fixture = Fixture::new();
    let manager = fixture.start();
    fixture.written(&manager, 0, 1);
    manager.shutdown(None);
    drop(manager);
    fixture.disk.kill();
    let file = fixture.disk.open(Path::new("a/topic-0/partition.metadata"), OpenMode::ReadWrite).unwrap();
    file.set_size_bytes(0).unwrap();
    let manager = fixture.start();
    assert_eq!(manager.partitions(), [(partition(0), None)]);
    let log = fixture.create(&manager, 0);
    assert_eq!(log.log_end_offset(), Offset(10));
    assert_eq!(fixture.text("a/topic-0/partition.metadata"), "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ");
}

#[test]
fn checkpoints_say_what_is_on_the_device() {
    let fixture = Fixture::new();
    let manager = fixture.start();
    let log = fixture.written(&manager, 0, 3);
    fixture.written(&manager, 2, 1);
    log.set_high_watermark(Offset(20));
    log.delete_records(Offset(5)).unwrap();
    manager.checkpoint_now();
    manager.checkpoint_high_watermarks();
    assert_eq!(fixture.text("a/recovery-point-offset-checkpoint"), "0\n1\ntopic 0 30\n");
    assert_eq!(fixture.text("b/recovery-point-offset-checkpoint"), "0\n1\ntopic 2 10\n");
    assert_eq!(fixture.text("a/log-start-offset-checkpoint"), "0\n1\ntopic 0 5\n");
    assert_eq!(fixture.text("a/replication-offset-checkpoint"), "0\n1\ntopic 0 20\n");
    assert_eq!(log.flushed_offset(), Offset(30));

    let trace = fixture.disk.trace();
    manager.checkpoint_now();
    manager.checkpoint_high_watermarks();
    assert_eq!(fixture.disk.trace(), trace, "what has not changed is not written");

    drop(log);
    let manager = fixture.crash(manager);
    let log = manager.get(&partition(0)).unwrap();
    assert_eq!((log.log_start_offset(), log.high_watermark()), (Offset(5), Offset(20)));
}

#[test]
fn checkpoints_are_due_by_time() {
    let fixture = Fixture::new();
    let manager = fixture.start();
    manager.checkpoint_due(NOW_MS);
    let log = fixture.written(&manager, 0, 1);
    manager.checkpoint_due(NOW_MS + 4999);
    assert_eq!(log.recovery_point(), Offset(0));
    manager.checkpoint_due(NOW_MS + 5000);
    assert_eq!(log.recovery_point(), Offset(10));
}

#[test]
fn a_deleted_log_goes_in_two_steps() {
    let fixture = Fixture::new();
    let manager = fixture.start();
    let log = fixture.written(&manager, 0, 3);
    log.flush();
    manager.delete(&partition(0)).unwrap();
    assert!(manager.get(&partition(0)).is_none());
    assert!(append(&log, &ten_records()).is_err(), "it takes nothing more");
    assert_eq!(fixture.folders("a"), ["topic-0.00000000000000000000000000000007-delete"]);
    assert_eq!(manager.delete(&partition(0)).unwrap_err().code(), ErrorCode::UnknownTopicOrPartition);

    let delay_ms = fixture.config.file_delete_delay_ms;
    assert_eq!(manager.delete_expired_files(NOW_MS + delay_ms - 1), 0);
    assert_eq!(manager.delete_expired_files(NOW_MS + delay_ms), 1);
    assert!(fixture.folders("a").is_empty());
    // A sync that was under way when the folder went says nothing about the directory.
    fixture.disk.run_syncs();
    assert_eq!(manager.offline_directory_count(), 0);
}

#[test]
fn a_deletion_that_a_stop_interrupted_is_finished() {
    let fixture = Fixture::new();
    let manager = fixture.start();
    fixture.written(&manager, 0, 3);
    manager.delete(&partition(0)).unwrap();
    manager.shutdown(None);
    drop(manager);
    fixture.disk.kill();
    let manager = fixture.start();
    assert!(manager.partitions().is_empty());
    assert_eq!(manager.delete_expired_files(NOW_MS), 1);
    assert!(fixture.folders("a").is_empty());
}

/// After a crash the new log would otherwise have the old one's recovery point and beginning.
#[test]
fn a_log_created_anew_owes_nothing_to_the_deleted_one() {
    let fixture = Fixture::new();
    let manager = fixture.start();
    let log = fixture.written(&manager, 0, 30);
    log.set_high_watermark(Offset(300));
    log.delete_records(Offset(250)).unwrap();
    manager.checkpoint_now();
    manager.checkpoint_high_watermarks();
    manager.delete(&partition(0)).unwrap();
    let anew = manager.get_or_create(&fixture.new_log(0, 2)).unwrap();
    append(&anew, &ten_records()).unwrap();
    anew.flush();
    fixture.disk.run_syncs();
    assert_eq!(anew.flushed_offset(), Offset(10));
    drop((log, anew));
    let manager = fixture.crash(manager);
    let log = manager.get(&partition(0)).unwrap();
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (Offset(0), Offset(10)));
}

#[test]
fn strays_are_kept_out_of_the_way() {
    let fixture = Fixture::new();
    let manager = fixture.start();
    fixture.written(&manager, 0, 1);
    manager.set_aside(&partition(0)).unwrap();
    let stray = "topic-0.00000000000000000000000000000007-stray";
    assert_eq!(fixture.folders("a"), [stray]);
    manager.shutdown(None);
    drop(manager);
    fixture.disk.kill();
    let manager = fixture.start();
    manager.delete_expired_files(i64::MAX);
    assert!(manager.partitions().is_empty());
    assert_eq!(fixture.folders("a"), [stray]);
}

#[test]
fn a_folder_of_another_topic_is_no_beginning_of_a_new_one() {
    let stray = "topic-0.00000000000000000000000000000007-stray";
    for (metadata, log, is_set_aside) in [
        (Some("version: 0\ntopic_id: cJxEX1nhTAyKBCrSuMaHEw"), &b""[..], true),
        (None, &b"records"[..], true),
        (None, b"", false),
        (Some("version: 0\ntop"), b"", false),
    ] {
        let fixture = Fixture::new();
        let manager = fixture.start();
        let folder = Path::new("a/topic-0");
        fixture.disk.create_directory(folder).unwrap();
        fixture.disk.write_atomically(&folder.join("00000000000000000000.log"), log).unwrap();
        if let Some(metadata) = metadata {
            fixture.disk.write_atomically(&folder.join("partition.metadata"), metadata.as_bytes()).unwrap();
        }
        assert_eq!(fixture.create(&manager, 0).log_end_offset(), Offset(0));
        assert_eq!(fixture.folders("a").contains(&stray.to_owned()), is_set_aside, "{metadata:?}");
        if is_set_aside {
            assert_eq!(fixture.text(&format!("a/{stray}/00000000000000000000.log")).as_bytes(), log);
        }
    }
}

/// It belongs to a topic that was not taken over; the others are served.
#[test]
fn a_log_of_an_old_format_is_left_alone() {
    let fixture = Fixture::new();
    let manager = fixture.start();
    fixture.written(&manager, 0, 1);
    drop(manager);
    fixture.disk.kill();
    let (folder, message) = (Path::new("a/topic-1"), old_message(1, 0, b"v"));
    fixture.disk.create_directory(folder).unwrap();
    fixture.disk.write_atomically(&folder.join("00000000000000000000.log"), &message).unwrap();
    let manager = fixture.start();
    assert_eq!(manager.partitions().len(), 1);
    assert_eq!(*fixture.offline.lock(), Vec::<String>::new());
    assert_eq!(fixture.disk.read(&folder.join("00000000000000000000.log"), 1000).unwrap(), message);
}

#[test]
fn foreign_folders_are_left_alone() {
    let fixture = Fixture::new();
    drop(fixture.start());
    fixture.disk.kill();
    for name in ["a/__cluster_metadata-0", "a/lost+found", "a/photos", "a/topic-9.1234-stray"] {
        fixture.disk.create_directory(Path::new(name)).unwrap();
        fixture.disk.write_atomically(&Path::new(name).join("file"), b"x").unwrap();
    }
    let manager = fixture.start();
    manager.delete_expired_files(i64::MAX);
    manager.shutdown(None);
    assert!(manager.partitions().is_empty());
    for name in ["a/__cluster_metadata-0", "a/lost+found", "a/photos", "a/topic-9.1234-stray"] {
        assert_eq!(fixture.text(&format!("{name}/file")), "x");
    }
}

#[test]
fn a_failed_sync_takes_one_directory_offline() {
    let fixture = Fixture::new();
    let manager = fixture.start();
    let (in_a, in_b) = (fixture.written(&manager, 0, 1), fixture.written(&manager, 1, 1));
    fixture.disk.fail_after(SimOperation::Sync, 0, SimFault::Io);
    in_a.flush();
    fixture.disk.run_syncs();
    fixture.disk.heal();
    assert_eq!(*fixture.offline.lock(), ["a"]);
    assert_eq!(append(&in_a, &ten_records()).unwrap_err().code(), ErrorCode::KafkaStorageError);
    append(&in_b, &ten_records()).unwrap();
    manager.checkpoint_now();
    assert_eq!((in_a.recovery_point(), in_b.recovery_point()), (Offset(0), Offset(20)));
    let failures: Vec<_> = manager.directories().into_iter().map(|status| status.failure.is_some()).collect();
    assert_eq!((failures, manager.offline_directory_count()), (vec![true, false], 1));

    let elsewhere = NewLog { is_new: false, ..fixture.new_log(7, 1) };
    assert!(matches!(manager.get_or_create(&elsewhere), Err(LogManagerError::MayBeOffline(_))));
    manager.get_or_create(&fixture.new_log(7, 1)).unwrap();
    assert_eq!(fixture.folders("b"), ["topic-1", "topic-7"]);

    manager.shutdown(None);
    assert!(fixture.disk.read(Path::new("a/.kafka_cleanshutdown"), 99).is_err(), "not closed in good order");
    assert!(fixture.disk.read(Path::new("b/.kafka_cleanshutdown"), 99).is_ok());
}

#[test]
fn a_file_that_cannot_be_sent_takes_its_directory_offline() {
    let fixture = Fixture::new();
    let manager = fixture.start();
    let logs = [0, 1].map(|number| fixture.create(&manager, number));
    let read = |log: &PartitionLog| log.read(Offset(0), 1000, true, log.log_end_offset()).unwrap().slice;
    for log in &logs {
        append(log, &batch(1, 10)).unwrap();
    }
    let file = read(&logs[1]).unwrap().file;
    manager.sending_failed(&file, &io::ErrorKind::BrokenPipe.into());
    assert_eq!(manager.offline_directory_count(), 0, "the client's fault");
    manager.sending_failed(&file, &rustix::io::Errno::IO.into());
    assert_eq!(*fixture.offline.lock(), ["b"]);
    assert!(read(&logs[0]).is_some());
}

#[test]
fn a_full_disk_is_a_state_and_not_a_death() {
    let fixture = Fixture::new();
    let manager = fixture.start();
    let log = fixture.written(&manager, 0, 1);
    fixture.disk.fail_after(SimOperation::Write, 0, SimFault::NoSpace);
    assert!(append(&log, &ten_records()).is_err());
    manager.checkpoint_now();
    manager.checkpoint_high_watermarks();
    manager.run_retention(NOW_MS);
    assert_eq!(log.read(Offset(0), 1000, true, Offset(10)).unwrap().next_offset, Offset(10));
    assert_eq!(manager.offline_directory_count(), 0);
    fixture.disk.heal();
    manager.look_after_space(NOW_MS);
    append(&log, &ten_records()).unwrap();
    manager.checkpoint_now();
    assert_eq!(fixture.text("a/recovery-point-offset-checkpoint"), "0\n1\ntopic 0 20\n");
}

#[test]
fn a_partition_in_two_directories_stops_the_start() {
    let fixture = Fixture::new();
    drop(fixture.start());
    fixture.disk.kill();
    fixture.disk.create_directory(Path::new("a/topic-0")).unwrap();
    fixture.disk.create_directory(Path::new("b/topic-0")).unwrap();
    let error = fixture.try_start().unwrap_err().to_string();
    assert_eq!(error, "topic-0 lies in a and in b: one of them has to go");
}

#[test]
fn a_directory_that_fails_while_loading_leaves_the_others() {
    let fixture = Fixture::new();
    let manager = fixture.start();
    fixture.written(&manager, 0, 1);
    fixture.written(&manager, 1, 1);
    manager.shutdown(None);
    drop(manager);
    fixture.disk.kill();
    // A folder stands where the checkpoint should be read.
    fixture.disk.remove_file(Path::new("a/recovery-point-offset-checkpoint")).unwrap();
    fixture.disk.create_directory(Path::new("a/recovery-point-offset-checkpoint")).unwrap();
    let manager = fixture.start();
    assert_eq!(*fixture.offline.lock(), ["a"]);
    assert_eq!(manager.partitions().len(), 1);
    assert!(manager.get(&partition(1)).is_some());
}

#[test]
fn retention_removes_what_is_too_old() {
    let fixture = Fixture::with(LogConfig { segment_bytes: 1000, retention_ms: 60_000, ..LogConfig::default() });
    let manager = fixture.start();
    let log = fixture.written(&manager, 0, 10);
    log.set_high_watermark(log.log_end_offset());
    assert_eq!(manager.run_retention(NOW_MS + 60_000), 0);
    assert!(manager.run_retention(NOW_MS + 61_000) > 3);
    assert!(log.log_start_offset() > Offset(0));
    let before = fixture.disk.list(Path::new("a/topic-0")).unwrap().len();
    manager.delete_expired_files(NOW_MS + 61_000 + fixture.config.file_delete_delay_ms);
    assert!(fixture.disk.list(Path::new("a/topic-0")).unwrap().len() < before);
}

#[test]
fn producers_expire_alike_in_logs_made_before_and_after_a_change() {
    let fixture = Fixture::new();
    let manager = fixture.start();
    let before = manager.get_or_create(&fixture.new_log(0, 1)).unwrap();
    manager.set_producer_expiration_ms(1_000);
    let after = manager.get_or_create(&fixture.new_log(1, 2)).unwrap();
    let mut builder = RecordBatchBuilder::new(Offset::ZERO).producer(ProducerId(9), ProducerEpoch(0), 0);
    builder.append(&NewRecord { timestamp_ms: NOW_MS, key: None, value: Some(b"v"), headers: &[] });
    let batch = Bytes::from(builder.build().unwrap());
    for log in [&before, &after] {
        append(log, &batch).unwrap();
    }
    manager.expire_producers(NOW_MS + 999);
    assert_eq!((before.producers().len(), after.producers().len()), (1, 1));
    manager.expire_producers(NOW_MS + 1_000);
    assert_eq!((before.producers().len(), after.producers().len()), (0, 0));
}

#[test]
fn a_deleted_topic_does_not_come_back_as_the_next_of_its_name() {
    for seed in 0..30 {
        let fixture = Fixture::new();
        let manager = fixture.start();
        let log = fixture.written(&manager, 0, 1);
        log.request_flush();
        fixture.disk.run_syncs();
        manager.delete(&partition(0)).unwrap();
        manager.get_or_create(&fixture.new_log(0, 2)).unwrap();
        drop((manager, log));
        fixture.disk.crash(seed);
        let log = fixture.start().get(&partition(0));
        assert_eq!(log.map_or(Offset::ZERO, |log| log.log_end_offset()), Offset::ZERO, "seed {seed}");
    }
}

#[test]
fn what_was_half_written_is_removed_at_the_start() {
    let fixture = Fixture::new();
    drop(fixture.start());
    fixture.disk.kill();
    for name in ["a/.kafka_cleanshutdown.tmp", "a/recovery-point-offset-checkpoint.tmp", "a/ottla.other.tmp"] {
        fixture.disk.open(Path::new(name), OpenMode::Create).unwrap();
    }
    let _manager = fixture.start();
    let is_there = |name: &&str| fixture.disk.exists(&Path::new("a").join(name));
    let names = [".kafka_cleanshutdown.tmp", "recovery-point-offset-checkpoint.tmp", "ottla.other.tmp"];
    let left: Vec<_> = names.into_iter().filter(is_there).collect();
    assert_eq!(left, ["ottla.other.tmp"], "which is not the log's");
}

/// A kill leaves files that read well and were never synced.
#[test]
fn what_a_killed_process_wrote_is_synced_by_the_next_one() {
    for seed in 0..30 {
        let fixture = Fixture::new();
        let manager = fixture.start();
        fixture.disk.sync_directory(Path::new("")).unwrap();
        let log = fixture.written(&manager, 0, 1);
        log.roll(NOW_MS).unwrap();
        drop((manager, log));
        fixture.disk.kill();
        fixture.start().shutdown(None);
        fixture.disk.crash(seed);
        assert_eq!(fixture.text("a/topic-0/partition.metadata").lines().count(), 2, "seed {seed}");
        let snapshot = fixture.disk.read(Path::new("a/topic-0/00000000000000000010.snapshot"), 1 << 20).unwrap();
        assert!(!snapshot.is_empty(), "seed {seed}");
    }
}

#[test]
fn a_torn_snapshot_is_written_anew() {
    let fixture = Fixture::new();
    let manager = fixture.start();
    let log = fixture.create(&manager, 0);
    let mut builder = RecordBatchBuilder::new(Offset::ZERO).producer(ProducerId(7), ProducerEpoch(0), 0);
    builder.append(&NewRecord { timestamp_ms: NOW_MS, value: Some(b"x"), ..NewRecord::default() });
    append(&log, &builder.build().unwrap().into()).unwrap();
    manager.checkpoint_now();
    log.roll(NOW_MS).unwrap();
    drop((manager, log));
    fixture.disk.kill();
    let snapshot = Path::new("a/topic-0/00000000000000000001.snapshot");
    fixture.disk.open(snapshot, OpenMode::ReadWrite).unwrap().set_size_bytes(0).unwrap();
    fixture.start().shutdown(None);
    fixture.disk.kill();
    let log = fixture.start().get(&partition(0)).unwrap();
    assert_eq!(log.producers().len(), 1, "the producer is known after a clean stop");
}
