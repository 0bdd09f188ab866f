//! A broker's logs on a simulated machine.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use uuid::Uuid;

use super::script::PARTITIONS;
use crate::check::{Check, Progress, Report};
use crate::config::{self, BrokerConfig, CleanupPolicy, LogConfig, Sources};
use crate::ids::{BrokerId, TopicId, TopicPartition};
use crate::io::sim::SimDisk;
use crate::io::{Disk, EntryKind};
use crate::log::log_directory::LogDirectories;
use crate::log::log_manager::{LogManager, LogManagerError, LogManagerOptions, NewLog};
use crate::log::partition_log::PartitionLog;
use crate::time::{Clock, ManualClock};

pub(super) const NOW_MS: i64 = 1_700_000_000_000;
const DIRECTORY: &str = "data";
const META: &[u8] = b"version=1\ncluster.id=c\nnode.id=1\ndirectory.id=JFuNnNNVGxDQ4X9hqyO0pA\n";

/// Disk, clock and settings; they outlive the broker.
pub(super) struct Machine {
    pub(super) disk: Arc<SimDisk>,
    pub(super) clock: Arc<ManualClock>,
    configs: Vec<Arc<LogConfig>>,
    /// Every other machine syncs its logs together.
    logs_to_sync_together: usize,
}

/// Each is of a topic of its own. `ottla check` knows the last one for compacted by its name.
pub(super) fn partition(at: usize) -> TopicPartition {
    TopicPartition::new(["orders", "payments", "__consumer_offsets"][at], 0)
}

pub(super) fn is_compacted(at: usize) -> bool {
    at + 1 == PARTITIONS
}

fn place_of(partition: &TopicPartition) -> Option<usize> {
    (0..PARTITIONS).find(|at| self::partition(*at) == *partition)
}

/// Small segments and dense indexes, so that short logs have many of both.
fn config(at: usize) -> LogConfig {
    let compact = is_compacted(at);
    LogConfig {
        cleanup_policy: CleanupPolicy { delete: !compact, compact },
        segment_bytes: 1500,
        index_interval_bytes: 200,
        segment_index_bytes: 4096,
        retention_bytes: if compact { -1 } else { 5000 },
        delete_retention_ms: 10_000,
        file_delete_delay_ms: 5_000,
        min_cleanable_dirty_ratio: 0.0,
        ..LogConfig::default()
    }
}

thread_local! {
    /// Names of folders differ from each other, and not from run to run: a run keeps to one thread.
    static FOLDERS: Cell<u128> = const { Cell::new(0) };
}

fn new_uuid() -> Uuid {
    FOLDERS.set(FOLDERS.get() + 1);
    Uuid::from_u128(FOLDERS.get())
}

impl Machine {
    pub(super) fn new(seed: u64) -> Self {
        FOLDERS.set(0);
        let disk = SimDisk::new(seed);
        disk.create_directory(Path::new(DIRECTORY)).expect("a new disk");
        disk.write_atomically(&Path::new(DIRECTORY).join("meta.properties"), META).expect("a new disk");
        disk.sync_directory(Path::new("")).expect("a new disk");
        Self {
            disk,
            clock: ManualClock::at(NOW_MS),
            configs: (0..PARTITIONS).map(|at| Arc::new(config(at))).collect(),
            logs_to_sync_together: if seed.is_multiple_of(2) { 1 } else { usize::MAX },
        }
    }

    /// Starts the broker's logs; `None`: the disk has let none of them through.
    pub(super) fn start(&self) -> Option<Arc<LogManager>> {
        let disk: Arc<dyn Disk> = Arc::clone(&self.disk) as _;
        let directories = LogDirectories::open(&disk, &[DIRECTORY.into()], BrokerId(1), |_, _| {}).ok()?;
        let options = LogManagerOptions {
            recovery_threads_per_directory: 1,
            logs_to_sync_together: self.logs_to_sync_together,
            new_uuid,
            ..LogManagerOptions::default()
        };
        let config_of = |partition: &TopicPartition| place_of(partition).map(|at| Arc::clone(&self.configs[at]));
        LogManager::load(directories, options, self.clock(), &config_of).ok().map(|(manager, _)| manager)
    }

    /// The log of a partition that belongs to this topic.
    pub(super) fn log(
        &self,
        manager: &LogManager,
        at: usize,
        topic_id: u128,
    ) -> Result<Arc<PartitionLog>, LogManagerError> {
        manager.get_or_create(&NewLog {
            topic_partition: partition(at),
            topic_id: TopicId(Uuid::from_u128(topic_id)),
            config: Arc::clone(&self.configs[at]),
            directory: None,
            is_new: true,
        })
    }

    pub(super) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as _
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// `ottla check`, of a broker that is stopped.
    pub(super) fn check(&self) -> Report {
        static BROKER: OnceLock<BrokerConfig> = OnceLock::new();
        let broker = BROKER.get_or_init(|| {
            let set = vec!["log.index.interval.bytes=200".to_owned()];
            config::load(&Sources { set, ..Sources::default() }).expect("a configuration").config
        });
        let check = Check {
            disk: Arc::clone(&self.disk) as _,
            directories: &[DIRECTORY.into()],
            config: broker,
            threads: 1,
            now_ms: self.now_ms(),
        };
        check.run(&Progress::default()).expect("a directory that can be checked")
    }

    /// All files and what they hold. A file that says that there were no epochs is as good as none.
    pub(super) fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut folders = vec![PathBuf::from(DIRECTORY)];
        while let Some(folder) = folders.pop() {
            for entry in self.disk.list(&folder).expect("a folder") {
                let path = folder.join(&entry.name);
                if entry.kind == EntryKind::Directory {
                    folders.push(path);
                } else {
                    let content = self.disk.read(&path, u64::MAX).expect("a file");
                    if content != b"0\n0\n" {
                        files.insert(path, content);
                    }
                }
            }
        }
        files
    }
}
