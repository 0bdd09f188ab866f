//! All logs of this broker, in all of its log directories.
//!
//! Owns: which partition's log lies where; creation, moving and deletion; the checkpoints; retention passes; clean
//! shutdown.
//! Never does: decide which partitions there are, or run by itself. What is periodic is a function here, which waits
//! for the device and is called from a thread of its own:
//!
//! ```text
//!   checkpoint            every 5 s, or once 256 MiB were appended to a directory
//!   high watermarks       every replica.high.watermark.checkpoint.interval.ms
//!   retention             every log.retention.check.interval.ms
//!   delayed removal       now and then
//! ```

mod checkpointing;
mod cleaning;
mod creation;
mod deletion;
mod loading;
mod moving;
mod producers;
mod space;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64};

use parking_lot::{Mutex, RwLock};
use uuid::Uuid;

use super::checkpoint_text::FileError;
use super::errors::StorageError;
use super::health::WriteState;
use super::log_directory::LogDirectory;
use super::partition_log::PartitionLog;
use super::producer_state::ProducerStateConfig;
use super::scrubbing::Scrubbing;
use crate::config::LogConfig;
use crate::error::ErrorCode;
use crate::ids::{self, DirectoryId, TopicId, TopicPartition};
use crate::io::{DiskFile, DiskSpace, WholeSync, is_device_failure};
use crate::time::{Clock, TimestampMs};

pub use creation::NewLog;
pub use loading::{LoadError, LoadSummary};
pub use moving::Move;

use checkpointing::Checkpoints;
use deletion::ExpiredFolder;

/// From here on syncing the whole file system costs less, even if others have written much to it: three or more files of
/// each log would be synced one after the other.
const LOGS_TO_SYNC_TOGETHER: usize = 200;

/// What the manager is told once.
#[derive(Clone)]
pub struct LogManagerOptions {
    /// `num.recovery.threads.per.data.dir`; closing uses them too.
    pub recovery_threads_per_directory: usize,
    pub producer_state: ProducerStateConfig,
    /// So many logs of a directory are made durable together instead of file by file, where the file system can do that.
    pub logs_to_sync_together: usize,
    /// Names folders that wait for their removal; the simulator has its own.
    pub new_uuid: fn() -> Uuid,
}

impl Default for LogManagerOptions {
    fn default() -> Self {
        Self {
            recovery_threads_per_directory: 2,
            producer_state: ProducerStateConfig::default(),
            logs_to_sync_together: LOGS_TO_SYNC_TOGETHER,
            new_uuid: ids::random_uuid,
        }
    }
}

impl fmt::Debug for LogManagerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogManagerOptions")
            .field("recovery_threads_per_directory", &self.recovery_threads_per_directory)
            .field("producer_state", &self.producer_state)
            .finish_non_exhaustive()
    }
}

/// The configuration of a partition's topic, asked for while logs are loaded; `None`: its folder is not touched.
pub type ConfigOf<'a> = &'a (dyn Fn(&TopicPartition) -> Option<Arc<LogConfig>> + Sync);

/// Why a log can't be created or deleted.
#[derive(Debug, thiserror::Error)]
pub enum LogManagerError {
    #[error("the folder of {partition} belongs to topic id {found}, not to {expected}")]
    InconsistentTopicId { partition: TopicPartition, found: TopicId, expected: TopicId },
    #[error("log directory {0} is not online")]
    DirectoryOffline(DirectoryId),
    #[error("no log directory is online")]
    NoDirectory,
    #[error("{0} may lie in a log directory that is offline")]
    MayBeOffline(TopicPartition),
    #[error("{0} has no log here")]
    Unknown(TopicPartition),
    #[error("{0} is no log directory of this broker")]
    UnknownDirectory(String),
    #[error("the topic name of {0} is too long for a folder of a log that moves")]
    NameTooLong(TopicPartition),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    File(#[from] FileError),
}

impl LogManagerError {
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::InconsistentTopicId { .. } => ErrorCode::InconsistentTopicId,
            Self::Unknown(_) => ErrorCode::UnknownTopicOrPartition,
            Self::UnknownDirectory(_) => ErrorCode::LogDirNotFound,
            Self::NameTooLong(_) => ErrorCode::InvalidTopicException,
            Self::DirectoryOffline(_)
            | Self::NoDirectory
            | Self::MayBeOffline(_)
            | Self::Storage(_)
            | Self::File(_) => ErrorCode::KafkaStorageError,
        }
    }
}

/// All logs of this broker.
#[derive(Debug)]
pub struct LogManager {
    directories: Vec<Directory>,
    /// Those that could not be opened at the start.
    failed: Vec<(PathBuf, String)>,
    /// Ordered, so that passes over all of them always go the same way.
    logs: RwLock<BTreeMap<TopicPartition, Hosted>>,
    /// Copies of logs on their way to another directory.
    futures: RwLock<BTreeMap<TopicPartition, Hosted>>,
    /// Where logs go that are not there yet (AlterReplicaLogDirs ahead of a topic's creation).
    preferred: Mutex<HashMap<TopicPartition, DirectoryId>>,
    /// One creation or deletion at a time.
    changes: Mutex<()>,
    options: LogManagerOptions,
    scrubbing: Scrubbing,
    /// `producer.id.expiration.ms` as it is now; that of the options is the one of the start.
    producer_expiration_ms: AtomicI64,
    clock: Arc<dyn Clock>,
}

/// One log directory and what is to be written to it now and then.
#[derive(Debug)]
struct Directory {
    base: LogDirectory,
    checkpoints: Mutex<Checkpoints>,
    expired: Mutex<Vec<ExpiredFolder>>,
    /// Folders were renamed, and a crash may undo that.
    has_renamed_folders: AtomicBool,
}

/// One log, and where it lies.
#[derive(Clone, Debug)]
struct Hosted {
    log: Arc<PartitionLog>,
    /// `None`: a folder from before topics had ids, or whose file a crash took.
    topic_id: Option<TopicId>,
    /// Its place in the list of directories.
    directory: usize,
    is_intact: bool,
}

/// A log directory as DescribeLogDirs shows it.
#[derive(Clone, Debug)]
pub struct DirectoryStatus {
    pub path: PathBuf,
    /// `None` for one that could not be opened.
    pub id: Option<DirectoryId>,
    /// Why it is offline.
    pub failure: Option<String>,
    /// It is online, and takes writes.
    pub is_writable: bool,
    pub space: Option<DiskSpace>,
}

impl LogManager {
    pub fn get(&self, partition: &TopicPartition) -> Option<Arc<PartitionLog>> {
        self.logs.read().get(partition).map(|hosted| Arc::clone(&hosted.log))
    }

    /// All logs, those in offline directories too.
    pub fn logs(&self) -> Vec<Arc<PartitionLog>> {
        self.logs.read().values().map(|hosted| Arc::clone(&hosted.log)).collect()
    }

    /// All partitions and the topics that their folders belong to, as far as that is known: what the metadata is
    /// compared with after the start.
    pub fn partitions(&self) -> Vec<(TopicPartition, Option<TopicId>)> {
        self.logs.read().iter().map(|(partition, hosted)| (partition.clone(), hosted.topic_id)).collect()
    }

    /// The directory that a partition's log lies in.
    pub fn directory_of(&self, partition: &TopicPartition) -> Option<DirectoryId> {
        self.logs.read().get(partition).map(|hosted| self.directories[hosted.directory].base.id())
    }

    /// Whether nothing is missing in a partition's log that was on the device once (KIP-966).
    pub fn is_intact(&self, partition: &TopicPartition) -> bool {
        self.logs.read().get(partition).is_some_and(|hosted| hosted.is_intact)
    }

    /// All of `log.dirs`.
    pub fn directories(&self) -> Vec<DirectoryStatus> {
        let online = self.directories.iter().map(|directory| {
            let failure = directory.base.health().failure().map(str::to_owned);
            let space = match failure {
                None => directory.base.disk().space(directory.base.path()).ok(),
                Some(_) => None,
            };
            DirectoryStatus {
                path: directory.path().to_owned(),
                id: Some(directory.base.id()),
                is_writable: failure.is_none() && directory.base.health().write_state() == WriteState::Writable,
                failure,
                space,
            }
        });
        let failed = self.failed.iter().map(|(path, reason)| DirectoryStatus {
            path: path.clone(),
            id: None,
            failure: Some(reason.clone()),
            is_writable: false,
            space: None,
        });
        online.chain(failed).collect()
    }

    /// The identities of the directories that serve.
    pub fn online_directory_ids(&self) -> Vec<DirectoryId> {
        self.online().map(|(_, directory)| directory.base.id()).collect()
    }

    /// Whether the directories are another broker's, and nothing was written to them yet.
    pub fn awaits_first_write(&self) -> bool {
        self.directories.iter().any(|directory| directory.base.health().awaits_first_write())
    }

    /// To be called before a change of what the directories are to hold; may wait for the device, once.
    pub fn begin_write(&self) -> std::io::Result<()> {
        self.directories.iter().try_for_each(|directory| directory.base.health().begin_write())
    }

    /// Records could not be sent from this file. Where that is because the device fails, no look-up may ever have met it.
    pub fn sending_failed(&self, file: &Arc<dyn DiskFile>, error: &io::Error) {
        if is_device_failure(error)
            && let Some(log) = self.logs().into_iter().find(|log| log.holds(file))
        {
            log.io_failed("a read", error);
        }
    }

    /// Whether some directory takes writes.
    pub fn takes_writes(&self) -> bool {
        self.online().any(|(_, directory)| directory.base.health().write_state() == WriteState::Writable)
    }

    pub fn offline_directory_count(&self) -> usize {
        self.failed.len() + self.directories.iter().filter(|directory| !directory.is_online()).count()
    }

    /// One pass of retention over all logs: says how many segments went. A log that fails is passed over.
    pub fn run_retention(&self, now_ms: TimestampMs) -> usize {
        let mut removed = 0;
        for log in self.online_logs() {
            match log.delete_old_segments(now_ms) {
                Ok(count) => removed += count,
                Err(error) => {
                    log.storage_failed("retention", &error);
                    tracing::warn!(partition = %log.topic_partition(), %error, "retention failed");
                }
            }
        }
        removed
    }

    /// Asks for the syncs that `flush.ms` makes due; says whether any log has that set.
    pub fn request_due_flushes(&self, now_ms: TimestampMs) -> bool {
        let timed: Vec<_> = {
            let logs = self.logs.read();
            let timed = logs.values().map(|hosted| &hosted.log).filter(|log| log.has_timed_flushes());
            timed.cloned().collect()
        };
        timed.iter().filter(|log| !log.health().is_offline()).for_each(|log| log.request_flush_if_due(now_ms));
        !timed.is_empty()
    }

    /// Builds indexes anew that led a look-up astray. Waits for the device.
    pub fn rebuild_suspect_indexes(&self) {
        for log in self.online_logs().filter(|log| !log.health().awaits_first_write()) {
            if let Err(error) = log.rebuild_suspect_indexes() {
                tracing::warn!(partition = %log.topic_partition(), %error, "an index can't be built anew");
            }
        }
    }

    pub fn scrubbing(&self) -> &Scrubbing {
        &self.scrubbing
    }

    fn online(&self) -> impl Iterator<Item = (usize, &Directory)> {
        self.directories.iter().enumerate().filter(|(_, directory)| directory.is_online())
    }

    fn online_logs(&self) -> impl Iterator<Item = Arc<PartitionLog>> {
        self.logs().into_iter().filter(|log| !log.health().is_offline())
    }

    /// What makes so many logs of a directory durable at once, if that is worth it.
    fn whole_sync(&self, directory: usize, logs: usize) -> Option<&Arc<dyn WholeSync>> {
        let whole_sync = self.directories[directory].base.whole_sync();
        whole_sync.filter(|_| logs >= self.options.logs_to_sync_together)
    }

    /// The logs in one directory, and the copies on their way there: no partition has both in the same one.
    fn logs_in(&self, directory: usize) -> Vec<(TopicPartition, Arc<PartitionLog>)> {
        let (logs, futures) = (self.logs.read(), self.futures.read());
        let here = logs.iter().chain(&*futures).filter(|(_, hosted)| hosted.directory == directory);
        here.map(|(partition, hosted)| (partition.clone(), Arc::clone(&hosted.log))).collect()
    }

    /// What those take; nothing is copied, since it is asked for often.
    fn size_bytes_in(&self, directory: usize) -> u64 {
        let (logs, futures) = (self.logs.read(), self.futures.read());
        let here = logs.values().chain(futures.values()).filter(|hosted| hosted.directory == directory);
        here.map(|hosted| hosted.log.size_bytes()).sum()
    }
}

impl Directory {
    fn new(base: LogDirectory) -> Self {
        Self {
            base,
            checkpoints: Mutex::default(),
            expired: Mutex::default(),
            has_renamed_folders: AtomicBool::new(false),
        }
    }

    fn path(&self) -> &Path {
        self.base.path()
    }

    fn is_online(&self) -> bool {
        !self.base.health().is_offline()
    }
}
