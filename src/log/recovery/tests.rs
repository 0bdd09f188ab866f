//! What a crash, a careless hand or a failing device can leave in a log directory, on the simulated disk.

mod crash;
mod damage;

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{CleanupPolicy, LogConfig};
use crate::ids::{BrokerEpoch, BrokerId, Offset, TopicId, TopicPartition};
use crate::io::sim::SimDisk;
use crate::io::{Disk, DiskFile, OpenMode};
use crate::log::directory::FileKind;
use crate::log::log_directory::LogDirectories;
use crate::log::log_manager::{LoadSummary, LogManager, LogManagerOptions, NewLog};
use crate::log::partition_log::PartitionLog;
use crate::time::ManualClock;

const NOW_MS: i64 = 1_700_000_000_000;
const META: &[u8] = b"version=1\ncluster.id=c\nnode.id=1\ndirectory.id=JFuNnNNVGxDQ4X9hqyO0pA\n";

/// A broker's logs on a simulated machine.
struct Machine {
    disk: Arc<SimDisk>,
    clock: Arc<ManualClock>,
    config: Arc<LogConfig>,
    /// Every other machine syncs its logs together.
    logs_to_sync_together: usize,
}

/// From one start to the next.
struct Run {
    manager: Arc<LogManager>,
    summary: LoadSummary,
}

fn partition(number: i32) -> TopicPartition {
    TopicPartition::new("topic", number)
}

/// Small segments and dense indexes, so that short logs have many of both.
fn small_segments() -> LogConfig {
    LogConfig { segment_bytes: 3000, index_interval_bytes: 300, segment_index_bytes: 4096, ..LogConfig::default() }
}

impl Machine {
    fn new(seed: u64, config: LogConfig) -> Self {
        // Every other machine has few descriptors.
        let disk = SimDisk::with_open_files(seed, if seed.is_multiple_of(2) { usize::MAX } else { 3 });
        disk.create_directory(Path::new("data")).unwrap();
        disk.write_atomically(Path::new("data/meta.properties"), META).unwrap();
        disk.sync_directory(Path::new("")).unwrap();
        let logs_to_sync_together = if seed.is_multiple_of(2) { 1 } else { usize::MAX };
        Self { disk, clock: ManualClock::at(NOW_MS), config: Arc::new(config), logs_to_sync_together }
    }

    fn start(&self) -> Run {
        self.try_start().unwrap()
    }

    fn try_start(&self) -> anyhow::Result<Run> {
        let disk: Arc<dyn Disk> = Arc::clone(&self.disk) as _;
        let mut directories = LogDirectories::open(&disk, &["data".into()], BrokerId(1), |_, _| {})?;
        directories.format("c")?;
        let config_of = |_: &TopicPartition| Some(Arc::clone(&self.config));
        let options = self.options();
        let (manager, summary) = LogManager::load(directories, options, Arc::clone(&self.clock) as _, &config_of)?;
        Ok(Run { manager, summary })
    }

    fn options(&self) -> LogManagerOptions {
        let logs_to_sync_together = self.logs_to_sync_together;
        LogManagerOptions { recovery_threads_per_directory: 1, logs_to_sync_together, ..LogManagerOptions::default() }
    }

    /// Stops in good order and starts again.
    fn restart(&self, run: Run) -> Run {
        run.manager.shutdown(Some(BrokerEpoch(7)));
        drop(run);
        self.disk.kill();
        self.start()
    }

    /// Kills the process; the machine goes on.
    fn kill(&self, run: Run) -> Run {
        drop(run);
        self.disk.kill();
        self.start()
    }

    fn file(&self, name: &str) -> Arc<dyn DiskFile> {
        self.disk.open(&path(name), OpenMode::Create).unwrap()
    }

    fn content(&self, name: &str) -> Option<Vec<u8>> {
        self.disk.read(&path(name), 1 << 20).ok()
    }

    /// Of a file of the log directory itself.
    fn top_content(&self, name: &str) -> Option<Vec<u8>> {
        self.disk.read(&Path::new("data").join(name), 1 << 20).ok()
    }

    /// The names of the segments, oldest first.
    fn logs(&self) -> Vec<String> {
        let is_log = |name: &String| matches!(FileKind::parse(name), Some((FileKind::Log, _)));
        self.names().into_iter().filter(is_log).collect()
    }

    fn names(&self) -> Vec<String> {
        self.disk.list(Path::new("data/topic-0")).unwrap().into_iter().map(|entry| entry.name).collect()
    }
}

/// A file of partition 0.
fn path(name: &str) -> PathBuf {
    Path::new("data/topic-0").join(name)
}

impl Run {
    fn log(&self, config: &Arc<LogConfig>, number: i32) -> Arc<PartitionLog> {
        let new = NewLog {
            topic_partition: partition(number),
            topic_id: TopicId(uuid::Uuid::from_u128(99)),
            config: Arc::clone(config),
            directory: None,
            is_new: true,
        };
        self.manager.get_or_create(&new).unwrap()
    }
}

fn append_bytes(file: &dyn DiskFile, bytes: &[u8]) {
    file.write_all_at(&[IoSlice::new(bytes)], file.size_bytes().unwrap()).unwrap();
}

fn small_compacted_segments() -> LogConfig {
    LogConfig { cleanup_policy: CleanupPolicy { delete: false, compact: true }, ..small_segments() }
}

/// All bytes of a log from its start on.
fn all_bytes(log: &PartitionLog) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut from = log.log_start_offset();
    while from < log.log_end_offset() {
        let read = log.read(from, 1 << 20, true, log.log_end_offset()).unwrap();
        let slice = read.slice.expect("there is something below the end");
        let mut part = vec![0; slice.size_bytes];
        assert_eq!(slice.file.read_at(&mut part, slice.position).unwrap(), part.len());
        assert!(read.next_offset > from, "a read moves on");
        bytes.extend_from_slice(&part);
        from = read.next_offset;
    }
    bytes
}

fn offsets(log: &PartitionLog) -> (Offset, Offset) {
    (log.log_start_offset(), log.log_end_offset())
}
