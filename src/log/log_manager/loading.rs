//! Loading all logs at the start, many at a time.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::thread;

use parking_lot::{Mutex, RwLock};

use super::super::checkpoint_text::FileError;
use super::super::checkpoints::{
    self, CLEANER_OFFSET_CHECKPOINT, LOG_START_OFFSET_CHECKPOINT, OFFSET_CHECKPOINTS, OffsetCheckpoint,
    RECOVERY_POINT_CHECKPOINT, REPLICATION_OFFSET_CHECKPOINT,
};
use super::super::clean_shutdown::{self, CLEAN_SHUTDOWN_FILE};
use super::super::directory::PartitionDirectory;
use super::super::log_directory::{Folder, LogDirectories};
use super::super::partition_metadata;
use super::super::recovery::{self, LoadRequest, LoadedLog, Syncs};
use super::super::scrubbing::Scrubbing;
use super::deletion::ExpiredFolder;
use super::{ConfigOf, Directory, Hosted, LogManager, LogManagerOptions};
use crate::config::LogConfig;
use crate::ids::{Offset, TopicId, TopicPartition};
use crate::io::{DirectoryEntry, Disk, EntryKind, TEMPORARY_SUFFIX};
use crate::time::Clock;

/// Why the logs can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("{partition} lies in {} and in {}: one of them has to go", first.display(), second.display())]
    TwoFolders { partition: TopicPartition, first: PathBuf, second: PathBuf },
    #[error("no log directory is online: {0}")]
    AllFailed(String),
}

/// What loading took, for the log line that tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadSummary {
    pub logs: usize,
    /// All directories were closed in good order.
    pub was_clean: bool,
    /// What was not sound at the ends of logs.
    pub truncated_bytes: u64,
}

/// The logs of one directory.
type LoadedDirectory = Vec<LoadedFolder>;

/// A log, or the copy of one that moves.
struct LoadedFolder {
    partition: TopicPartition,
    hosted: Hosted,
    truncated_bytes: u64,
    is_future: bool,
}

/// A folder that holds the log of a partition.
struct PartitionFolder {
    partition: TopicPartition,
    name: String,
    /// It is a copy on its way there.
    is_future: bool,
}

impl LogManager {
    /// Loads the logs of all directories, and takes the clean markers away before anything is written. A directory
    /// whose device fails goes offline.
    pub fn load(
        directories: LogDirectories,
        options: LogManagerOptions,
        clock: Arc<dyn Clock>,
        config_of: ConfigOf<'_>,
    ) -> Result<(Arc<Self>, LoadSummary), LoadError> {
        let manager = Self {
            directories: directories.online.into_iter().map(Directory::new).collect(),
            failed: directories.failed,
            producer_expiration_ms: AtomicI64::new(options.producer_state.expiration_ms),
            logs: RwLock::default(),
            futures: RwLock::default(),
            preferred: Mutex::default(),
            changes: Mutex::default(),
            scrubbing: Scrubbing::default(),
            options,
            clock,
        };
        let loaded = manager.load_directories(config_of);
        let mut logs: BTreeMap<TopicPartition, Hosted> = BTreeMap::new();
        let mut truncated_bytes = 0;
        let mut futures = Vec::new();
        for folder in loaded.into_iter().flatten() {
            let LoadedFolder { partition, hosted, .. } = folder;
            truncated_bytes += folder.truncated_bytes;
            if folder.is_future {
                futures.push((partition, hosted));
                continue;
            }
            match logs.entry(partition) {
                Entry::Vacant(place) => {
                    place.insert(hosted);
                }
                Entry::Occupied(taken) => {
                    let path = |hosted: &Hosted| manager.directories[hosted.directory].path().to_owned();
                    let (first, second) = (path(taken.get()), path(&hosted));
                    return Err(LoadError::TwoFolders { partition: taken.key().clone(), first, second });
                }
            }
        }
        let was_clean = manager.directories.iter().all(|directory| directory.base.clean_shutdown().is_some());
        let summary = LoadSummary { logs: logs.len(), was_clean, truncated_bytes };
        *manager.logs.write() = logs;
        manager.settle_futures(futures);
        for at in 0..manager.directories.len() {
            manager.write_lowered_recovery_points(at);
        }
        manager.look_after_space(manager.clock.now_ms());
        if manager.online().next().is_none() {
            let reasons = manager.directories.iter().filter_map(|directory| directory.base.health().failure());
            return Err(LoadError::AllFailed(reasons.collect::<Vec<_>>().join("; ")));
        }
        Ok((Arc::new(manager), summary))
    }

    fn load_directories(&self, config_of: ConfigOf<'_>) -> Vec<LoadedDirectory> {
        thread::scope(|scope| {
            let load = |at| scope.spawn(move || self.load_directory(at, config_of));
            let threads: Vec<_> = (0..self.directories.len()).map(load).collect();
            threads.into_iter().map(joined).collect()
        })
    }

    fn load_directory(&self, at: usize, config_of: ConfigOf<'_>) -> LoadedDirectory {
        match self.try_load_directory(at, config_of) {
            Ok(loaded) => loaded,
            Err(error) => {
                self.directories[at].base.health().fail(format_args!("loading logs: {error}"));
                Vec::new()
            }
        }
    }

    fn try_load_directory(&self, at: usize, config_of: ConfigOf<'_>) -> io::Result<LoadedDirectory> {
        let directory = &self.directories[at];
        let disk = &**directory.base.disk();
        if directory.base.health().awaits_first_write() {
            // The marker goes with it.
        } else if directory.base.clean_shutdown().is_some() {
            clean_shutdown::remove(disk, directory.path())?;
        } else {
            // Folders that were created right before a kill may not be on the device yet, and will not be new again.
            disk.sync_directory(directory.path())?;
        }
        {
            let mut checkpoints = directory.checkpoints.lock();
            checkpoints.recovery_points = read_or_reset(disk, directory.path(), RECOVERY_POINT_CHECKPOINT)?;
            checkpoints.log_start_offsets = read_or_reset(disk, directory.path(), LOG_START_OFFSET_CHECKPOINT)?;
            checkpoints.high_watermarks = read_or_reset(disk, directory.path(), REPLICATION_OFFSET_CHECKPOINT)?;
            checkpoints.cleaner_offsets = read_or_reset(disk, directory.path(), CLEANER_OFFSET_CHECKPOINT)?;
        }
        let folders = self.partition_folders(directory)?;
        let is_clean = directory.base.clean_shutdown().is_some();
        if let Some(whole) = self.whole_sync(at, folders.len()).filter(|_| !is_clean) {
            let loaded = self.load_folders(at, &folders, config_of, Syncs::Together)?;
            let Err(error) = whole.sync() else { return Ok(loaded) };
            // What failed together is written and synced once more, log by log: then it is known which one fails.
            tracing::warn!(directory = %directory.path().display(), %error, "logs are recovered anew, one by one");
        }
        self.load_folders(at, &folders, config_of, Syncs::Each)
    }

    fn load_folders(
        &self,
        at: usize,
        folders: &[PartitionFolder],
        config_of: ConfigOf<'_>,
        syncs: Syncs,
    ) -> io::Result<LoadedDirectory> {
        // Workers take the next folder each, because some logs need much more time than others.
        let next = AtomicUsize::new(0);
        let work = || {
            let mut loaded = LoadedDirectory::new();
            while let Some(folder) = folders.get(next.fetch_add(1, Ordering::Relaxed)) {
                let PartitionFolder { partition, is_future, .. } = folder;
                let Some(config) = config_of(partition) else {
                    tracing::info!(folder = folder.name, "folder is left alone");
                    continue;
                };
                match self.load_log(at, folder, config, syncs) {
                    Ok((hosted, truncated_bytes)) => {
                        let (partition, is_future) = (partition.clone(), *is_future);
                        loaded.push(LoadedFolder { partition, hosted, truncated_bytes, is_future });
                    }
                    // Of a topic that was not taken over: nothing is wrong with the device.
                    Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                        tracing::warn!(folder = folder.name, %error, "folder is left alone");
                    }
                    Err(error) => {
                        next.store(folders.len(), Ordering::Relaxed);
                        return Err(io::Error::new(error.kind(), format!("{}: {error}", folder.name)));
                    }
                }
            }
            Ok(loaded)
        };
        let threads = self.options.recovery_threads_per_directory.clamp(1, folders.len().max(1));
        let loaded: io::Result<Vec<_>> = thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            workers.into_iter().map(joined).collect()
        });
        Ok(loaded?.into_iter().flatten().collect())
    }

    /// The partitions that have a folder. What was to be deleted when the broker stopped still is.
    fn partition_folders(&self, directory: &Directory) -> io::Result<Vec<PartitionFolder>> {
        let mut entries = directory.base.disk().list(directory.path())?;
        entries.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        if !directory.base.health().awaits_first_write() {
            let leftovers = entries.iter().filter(|entry| is_leftover(entry));
            leftovers.map(|entry| directory.path().join(&entry.name)).try_for_each(|path| {
                tracing::info!(path = %path.display(), "a leftover is removed");
                directory.base.disk().remove_file(&path)
            })?;
        }
        let mut folders = Vec::new();
        for entry in entries.into_iter().filter(|entry| entry.kind == EntryKind::Directory) {
            let path = directory.path().join(&entry.name);
            let mut push = |partition, is_future| {
                folders.push(PartitionFolder { partition, name: entry.name.clone(), is_future });
            };
            match Folder::parse(&entry.name) {
                Folder::Partition(partition) => push(partition, false),
                // It goes on moving once the directory is ours.
                Folder::Future(_) if directory.base.health().awaits_first_write() => {}
                Folder::Future(partition) => push(partition, true),
                Folder::Deleted => {
                    directory.expired.lock().push(ExpiredFolder { path, due_ms: self.clock.now_ms() });
                }
                Folder::LeftAlone => tracing::info!(path = %path.display(), "folder is left alone"),
                Folder::Unknown => {
                    tracing::warn!(path = %path.display(), "folder is no partition's and is left alone");
                }
            }
        }
        Ok(folders)
    }

    fn load_log(
        &self,
        at: usize,
        folder: &PartitionFolder,
        config: Arc<LogConfig>,
        syncs: Syncs,
    ) -> io::Result<(Hosted, u64)> {
        let directory = &self.directories[at];
        let partition = &folder.partition;
        let path = directory.path().join(&folder.name);
        let place = PartitionDirectory::new(Arc::clone(directory.base.disk()), path.clone());
        let topic_id = read_topic_id(&**directory.base.disk(), &path)?;
        let request = {
            let mut checkpoints = directory.checkpoints.lock();
            if !checkpoints.recovery_points.contains_key(partition) && !directory.base.health().awaits_first_write() {
                // No checkpoint has come by since its topic id was written.
                checkpoints.unsynced_topic_ids.push(Arc::clone(&place));
            }
            let known = |offsets: &OffsetCheckpoint| offsets.get(partition).copied().unwrap_or(Offset::ZERO);
            LoadRequest {
                topic_partition: partition.clone(),
                directory: place,
                health: Arc::clone(directory.base.health()),
                config,
                producer_state: self.options.producer_state,
                was_clean: directory.base.clean_shutdown().is_some(),
                recovery_point: known(&checkpoints.recovery_points),
                log_start_offset: known(&checkpoints.log_start_offsets),
                high_watermark: known(&checkpoints.high_watermarks),
                syncs,
                now_ms: self.clock.now_ms(),
            }
        };
        let LoadedLog { log, truncated_bytes, is_intact } = recovery::load(&request)?;
        Ok((Hosted { log, topic_id, directory: at, is_intact }, truncated_bytes))
    }
}

/// What was to replace one of the directory's small files when the broker died.
fn is_leftover(entry: &DirectoryEntry) -> bool {
    let replaced = entry.name.strip_suffix(TEMPORARY_SUFFIX).filter(|_| entry.kind == EntryKind::File);
    replaced.is_some_and(|name| name == CLEAN_SHUTDOWN_FILE || OFFSET_CHECKPOINTS.contains(&name))
}

/// A checkpoint that can't be read costs time, or shows records that were deleted; it never keeps a broker from
/// starting.
fn read_or_reset(disk: &dyn Disk, directory: &Path, name: &str) -> io::Result<OffsetCheckpoint> {
    match checkpoints::read(disk, directory, name) {
        Ok(offsets) => Ok(offsets),
        Err(FileError::Io { source, .. }) if source.kind() != io::ErrorKind::InvalidData => Err(source),
        Err(error) => {
            tracing::error!(%error, "the checkpoint counts for nothing: logs are checked from their beginning");
            Ok(OffsetCheckpoint::new())
        }
    }
}

/// A file that a crash has torn counts as none: the metadata knows the topic too.
fn read_topic_id(disk: &dyn Disk, folder: &Path) -> io::Result<Option<TopicId>> {
    match partition_metadata::read(disk, folder) {
        Ok(topic_id) => Ok(topic_id),
        Err(FileError::Io { source, .. }) => Err(source),
        Err(error) => {
            tracing::warn!(%error, "the topic id is taken from the metadata");
            Ok(None)
        }
    }
}

/// A panic in a thread goes on in the one that waits for it.
fn joined<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
