//! Checks of directories that are sound, and of such with one bit flipped.

mod crashes;
mod flips;
mod old_formats;
mod repairs;
mod scrubs;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use super::*;
use crate::config::{self, LogConfig, Sources};
use crate::ids::{BrokerEpoch, BrokerId, LeaderEpoch, ProducerEpoch, ProducerId, TopicId, TopicPartition};
use crate::io::sim::SimDisk;
use crate::log::append::AppendContext;
use crate::log::log_directory::LogDirectories;
use crate::log::log_manager::{LogManager, LogManagerOptions, NewLog};
use crate::log::partition_log::PartitionLog;
use crate::log::producer_state::AppendOrigin;
use crate::protocol::records::{EndTransactionMarker, NewRecord, RecordBatchBuilder, TransactionOutcome};
use crate::time::{Clock as _, ManualClock};

const NOW_MS: i64 = 1_700_000_000_000;

/// A node with two log directories on a simulated disk.
struct Node {
    disk: Arc<SimDisk>,
    clock: Arc<ManualClock>,
    config: Arc<LogConfig>,
    broker: BrokerConfig,
    directories: Vec<PathBuf>,
}

impl Node {
    fn new() -> Self {
        let config = LogConfig { segment_bytes: 2500, index_interval_bytes: 200, ..LogConfig::default() };
        let set = vec!["log.index.interval.bytes=200".to_owned()];
        let broker = config::load(&Sources { set, ..Sources::default() }).unwrap().config;
        Self {
            disk: SimDisk::new(0),
            clock: ManualClock::at(NOW_MS),
            config: Arc::new(config),
            broker,
            directories: vec!["/a".into(), "/b".into()],
        }
    }

    fn start(&self) -> Arc<LogManager> {
        let disk: Arc<dyn Disk> = Arc::clone(&self.disk) as _;
        let mut directories =
            LogDirectories::open(&disk, &self.directories, BrokerId(1), |_: &Path, _: &str| {}).unwrap();
        directories.format("MkU3OEVBNTcwNTJENDM2Qg").unwrap();
        let options = LogManagerOptions { recovery_threads_per_directory: 1, ..LogManagerOptions::default() };
        let config_of = |_: &TopicPartition| Some(Arc::clone(&self.config));
        LogManager::load(directories, options, Arc::clone(&self.clock) as _, &config_of).unwrap().0
    }

    fn create(&self, manager: &LogManager, topic: &str, partition: i32) -> Arc<PartitionLog> {
        let new = NewLog {
            topic_partition: TopicPartition::new(topic, partition),
            topic_id: TopicId(Uuid::from_u128(0x77_1234_5678 + topic.len() as u128)),
            config: Arc::clone(&self.config),
            directory: None,
            is_new: true,
        };
        manager.get_or_create(&new).unwrap()
    }

    /// Three partitions with plain, numbered and transactional batches over several segments.
    fn filled(&self) -> Arc<LogManager> {
        let manager = self.start();
        self.disk.sync_directory(Path::new("/")).unwrap();
        for partition in 0..3 {
            let log = self.create(&manager, "orders", partition);
            log.assign_leader_epoch(LeaderEpoch(2));
            for at in 0..30_i64 {
                let epoch = if at < 17 { 2 } else { 5 };
                write(&log, at, epoch);
                if at % 10 == 9 {
                    abort(&log, epoch, at);
                }
            }
            log.set_high_watermark(log.log_end_offset());
        }
        manager
    }

    /// As [`Node::filled`], stopped in good order.
    fn stopped() -> Self {
        let node = Self::new();
        node.filled().shutdown(Some(BrokerEpoch(12)));
        node
    }

    fn check(&self) -> Report {
        self.as_check().run(&Progress::default()).unwrap()
    }

    fn as_check(&self) -> Check<'_> {
        Check {
            disk: Arc::clone(&self.disk) as _,
            directories: &self.directories,
            config: &self.broker,
            threads: 1,
            now_ms: self.clock.now_ms(),
        }
    }

    /// All files with their sizes, in order.
    fn files(&self) -> Vec<(PathBuf, u64)> {
        let mut files = Vec::new();
        let mut folders = self.directories.clone();
        while let Some(folder) = folders.pop() {
            for entry in self.disk.list(&folder).unwrap() {
                let path = folder.join(&entry.name);
                match entry.kind {
                    crate::io::EntryKind::Directory => folders.push(path),
                    _ => files.push((path, entry.size_bytes)),
                }
            }
        }
        files.sort();
        files
    }
}

/// A batch of two records; every third is of a producer, every fifth of a transaction.
fn write(log: &PartitionLog, at: i64, epoch: i32) {
    let mut builder = RecordBatchBuilder::new(Offset::ZERO);
    if at % 5 == 4 {
        builder = builder.producer(ProducerId(9), ProducerEpoch(1), (at / 5 * 2) as i32).transactional();
    } else if at % 3 == 0 {
        builder = builder.producer(ProducerId(4), ProducerEpoch(0), (at / 3) as i32);
    }
    let records = if at % 3 == 0 && at % 5 != 4 { 1 } else { 2 };
    for record in 0..records {
        let timestamp_ms = NOW_MS + at * 10 + record - (at % 4) * 25;
        builder.append(&NewRecord { timestamp_ms, key: Some(b"key"), value: Some(&[at as u8; 70]), headers: &[] });
    }
    let origin = AppendOrigin::Replication;
    let context = AppendContext { leader_epoch: LeaderEpoch(epoch), origin, now_ms: NOW_MS };
    log.append_as_leader(&builder.build().unwrap().into(), &context).unwrap();
}

fn abort(log: &PartitionLog, epoch: i32, at: i64) {
    let marker = EndTransactionMarker { outcome: TransactionOutcome::Abort, coordinator_epoch: 4 };
    let marker = marker.batch(Offset::ZERO, LeaderEpoch(epoch), NOW_MS + at * 10, ProducerId(9), ProducerEpoch(1));
    let origin = AppendOrigin::Coordinator;
    let context = AppendContext { leader_epoch: LeaderEpoch(epoch), origin, now_ms: NOW_MS };
    log.append_as_leader(&marker.into(), &context).unwrap();
}

#[test]
fn a_sound_directory_gives_no_finding() {
    let node = Node::stopped();
    let report = node.check();
    assert_eq!(report.findings, []);
    assert_eq!((report.result, report.partitions), (Verdict::Clean, 3));
    assert!(report.segments > 6, "{report}");
    assert_eq!(report.batches, 3 * 33);
    let read: u64 = node.files().iter().filter(|(path, _)| !path.ends_with(".lock")).map(|(_, bytes)| bytes).sum();
    assert_eq!(report.bytes, read, "every byte is looked at");
}

#[test]
fn a_directory_in_use_is_refused() {
    let node = Node::new();
    let _manager = node.filled();
    let error = node.as_check().run(&Progress::default()).unwrap_err();
    assert_eq!(error.to_string(), "log directory /a is in use by another process, which holds /a/.lock");
}

#[test]
fn what_is_no_log_directory_is_refused() {
    let mut node = Node::new();
    node.disk.create_directory(Path::new("photos")).unwrap();
    node.disk.write_atomically(Path::new("photos/cat.jpg"), b"x").unwrap();
    for (directories, error) in [
        (vec!["photos".into()], "photos is no log directory"),
        (vec!["absent".into()], "absent: "),
        (vec!["photos".into(), "photos".into()], "photos is no log directory"),
        (Vec::new(), "no log directory is named"),
    ] {
        node.directories = directories;
        let found = node.as_check().run(&Progress::default()).unwrap_err().to_string();
        assert!(found.starts_with(error), "{found}");
    }
}

#[test]
fn strangers_are_named() {
    let node = Node::stopped();
    node.disk.create_directory(Path::new("/a/photos")).unwrap();
    node.disk.write_atomically(Path::new("/a/notes.txt"), b"x").unwrap();
    node.disk.write_atomically(Path::new("/a/orders-0/notes.txt"), b"x").unwrap();
    node.disk.create_directory(Path::new("/b/orders-0")).unwrap();
    let report = node.check();
    let of = |kind| report.findings.iter().filter(move |finding| finding.kind == kind).collect::<Vec<_>>();
    let strangers: Vec<_> = of(Kind::Foreign).iter().map(|finding| finding.path.display().to_string()).collect();
    assert_eq!(strangers, ["/a/notes.txt", "/a/photos", "/a/orders-0/notes.txt"]);
    assert_eq!(of(Kind::Partition).len(), 1, "{report}");
}
