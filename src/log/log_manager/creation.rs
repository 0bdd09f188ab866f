//! New logs.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::super::checkpoint_text::FileError;
use super::super::checkpoints::{
    CLEANER_OFFSET_CHECKPOINT, LOG_START_OFFSET_CHECKPOINT, OffsetCheckpoint, RECOVERY_POINT_CHECKPOINT,
    REPLICATION_OFFSET_CHECKPOINT,
};
use super::super::directory::{FileKind, PartitionDirectory};
use super::super::partition_log::PartitionLog;
use super::super::partition_metadata::{self, PARTITION_METADATA_FILE};
use super::super::producer_state::ProducerStateConfig;
use super::super::recovery::{self, LoadRequest, Syncs};
use super::deletion::renamed_folder;
use super::{Directory, Hosted, LogManager, LogManagerError};
use crate::config::LogConfig;
use crate::ids::{DirectoryId, Offset, TopicId, TopicPartition};
use crate::io::{Disk, OpenMode};

/// Which log is wanted.
#[derive(Clone, Debug)]
pub struct NewLog {
    pub topic_partition: TopicPartition,
    pub topic_id: TopicId,
    pub config: Arc<LogConfig>,
    /// `None`: the directory with the fewest logs; a new log goes there too if the one named is offline.
    pub directory: Option<DirectoryId>,
    /// The partition has never been on this broker. Otherwise it may lie in a directory that is offline, and is not
    /// begun anew elsewhere.
    pub is_new: bool,
}

impl LogManager {
    /// The log of a partition: the one that is there, or a new one. One that belongs to another topic id is refused.
    pub fn get_or_create(&self, new: &NewLog) -> Result<Arc<PartitionLog>, LogManagerError> {
        let _one_change_at_a_time = self.changes.lock();
        if let Some(log) = self.existing(new)? {
            return Ok(log);
        }
        if !new.is_new && self.offline_directory_count() > 0 {
            return Err(LogManagerError::MayBeOffline(new.topic_partition.clone()));
        }
        let at = self.directory_for(new)?;
        let log = self.create_in(at, new, &new.topic_partition.to_string()).inspect_err(|error| {
            let directory = self.directories[at].path();
            if let LogManagerError::File(FileError::Io { source, .. }) = error {
                self.directories[at].base.health().write_failed(source);
            }
            tracing::error!(partition = %new.topic_partition, directory = %directory.display(), %error, "log can't be created");
        })?;
        let hosted = Hosted { log: Arc::clone(&log), topic_id: Some(new.topic_id), directory: at, is_intact: true };
        self.logs.write().insert(new.topic_partition.clone(), hosted);
        Ok(log)
    }

    /// The log that is there already. One without a topic id gets this one.
    fn existing(&self, new: &NewLog) -> Result<Option<Arc<PartitionLog>>, LogManagerError> {
        let hosted = self.logs.read().get(&new.topic_partition).cloned();
        let Some(hosted) = hosted else { return Ok(None) };
        match hosted.topic_id {
            Some(found) if found == new.topic_id => {}
            Some(found) => {
                let (partition, expected) = (new.topic_partition.clone(), new.topic_id);
                return Err(LogManagerError::InconsistentTopicId { partition, found, expected });
            }
            None => {
                self.note_topic_id(&hosted, new.topic_id)?;
                if let Some(hosted) = self.logs.write().get_mut(&new.topic_partition) {
                    hosted.topic_id = Some(new.topic_id);
                }
            }
        }
        Ok(Some(hosted.log))
    }

    /// Of a log without one. In a directory that is to be taken over it waits for the first write.
    fn note_topic_id(&self, hosted: &Hosted, topic_id: TopicId) -> Result<(), FileError> {
        let directory = &self.directories[hosted.directory];
        let folder = hosted.log.directory().path();
        if !directory.base.health().awaits_first_write() {
            return directory.write_topic_id(hosted.log.directory(), topic_id);
        }
        let (disk, at) = (Arc::clone(directory.base.disk()), folder.clone());
        let write = move || partition_metadata::write(&*disk, &at, topic_id).map_err(FileError::into_io);
        directory.base.health().write_in_its_time(write).map_err(FileError::io(&folder))
    }

    fn directory_for(&self, new: &NewLog) -> Result<usize, LogManagerError> {
        let preferred = self.preferred.lock().remove(&new.topic_partition);
        match preferred.or(new.directory).map(|id| self.online_at(id)) {
            Some(Ok(at)) => Ok(at),
            Some(Err(error)) if !new.is_new => Err(error),
            // Whoever chose the directory had not heard that it is offline.
            Some(Err(_)) | None => self.emptiest(),
        }
    }

    /// The place of a directory that serves.
    pub(super) fn online_at(&self, id: DirectoryId) -> Result<usize, LogManagerError> {
        let found = self.online().find(|(_, directory)| directory.base.id() == id);
        found.map(|(at, _)| at).ok_or(LogManagerError::DirectoryOffline(id))
    }

    /// The directory with the fewest logs.
    fn emptiest(&self) -> Result<usize, LogManagerError> {
        let mut counts = vec![0_usize; self.directories.len()];
        for logs in [&self.logs, &self.futures] {
            logs.read().values().for_each(|hosted| counts[hosted.directory] += 1);
        }
        self.online().map(|(at, _)| at).min_by_key(|at| counts[*at]).ok_or(LogManagerError::NoDirectory)
    }

    /// Creates a log in a folder of that name.
    pub(super) fn create_in(
        &self,
        at: usize,
        new: &NewLog,
        folder: &str,
    ) -> Result<Arc<PartitionLog>, LogManagerError> {
        let directory = &self.directories[at];
        directory.base.health().begin_write().map_err(FileError::io(directory.path()))?;
        self.forget_offsets(at, &new.topic_partition)?;
        let disk = directory.base.disk();
        let path = directory.path().join(folder);
        directory.settle_renamed_folders()?;
        self.make_way(directory, &path, new)?;
        disk.create_directory(&path).map_err(FileError::io(&path))?;
        let folder = PartitionDirectory::new(Arc::clone(disk), path.clone());
        directory.write_topic_id(&folder, new.topic_id)?;
        // The folder may be there already, of a creation that failed half way: so it is loaded like any other.
        let loaded = recovery::load(&LoadRequest {
            topic_partition: new.topic_partition.clone(),
            directory: folder,
            health: Arc::clone(directory.base.health()),
            config: Arc::clone(&new.config),
            producer_state: ProducerStateConfig {
                expiration_ms: self.producer_expiration_ms.load(Ordering::Relaxed),
                ..self.options.producer_state
            },
            was_clean: false,
            recovery_point: Offset::ZERO,
            log_start_offset: Offset::ZERO,
            high_watermark: Offset::ZERO,
            syncs: Syncs::Each,
            now_ms: self.clock.now_ms(),
        });
        Ok(loaded.map_err(FileError::io(&path))?.log)
    }

    /// A folder of that name may be of a topic that is no more, and that was never served here: its records must not come
    /// back as the new topic's. It is set aside.
    fn make_way(&self, directory: &Directory, path: &Path, new: &NewLog) -> Result<(), FileError> {
        let disk = &**directory.base.disk();
        if !disk.exists(path) {
            return Ok(());
        }
        let is_ours = match partition_metadata::read(disk, path) {
            Ok(Some(found)) => found == new.topic_id,
            // A creation that failed half way has come to no records.
            Ok(None) | Err(FileError::Text { .. }) => !has_records(disk, path).map_err(FileError::io(path))?,
            Err(error) => return Err(error),
        };
        if is_ours {
            return Ok(());
        }
        let aside = renamed_folder(&new.topic_partition, (self.options.new_uuid)().simple(), "stray");
        let aside = directory.path().join(aside);
        disk.rename(path, &aside).map_err(FileError::io(path))?;
        tracing::warn!(path = %aside.display(), "the folder belongs to another topic of that name and is set aside");
        disk.sync_directory(directory.path()).map_err(FileError::io(path))
    }

    /// The checkpoints may still speak of a log of this name that was deleted. After a crash they would be taken for
    /// the new one's, whose records below the old recovery point would be trusted unseen.
    fn forget_offsets(&self, at: usize, partition: &TopicPartition) -> Result<(), FileError> {
        let directory = &self.directories[at];
        let naming: Vec<(&str, OffsetCheckpoint)> = {
            let checkpoints = directory.checkpoints.lock();
            let all = [
                (RECOVERY_POINT_CHECKPOINT, &checkpoints.recovery_points),
                (LOG_START_OFFSET_CHECKPOINT, &checkpoints.log_start_offsets),
                (REPLICATION_OFFSET_CHECKPOINT, &checkpoints.high_watermarks),
                (CLEANER_OFFSET_CHECKPOINT, &checkpoints.cleaner_offsets),
            ];
            let naming = all.into_iter().filter(|(_, offsets)| offsets.contains_key(partition));
            naming.map(|(name, offsets)| (name, offsets.clone())).collect()
        };
        for (name, mut offsets) in naming {
            offsets.remove(partition);
            directory.write_checkpoint(name, offsets)?;
        }
        Ok(())
    }
}

fn has_records(disk: &dyn Disk, folder: &Path) -> io::Result<bool> {
    let is_log = |name: &str| matches!(FileKind::parse(name), Some((FileKind::Log, _)));
    Ok(disk.list(folder)?.iter().any(|entry| entry.size_bytes > 0 && is_log(&entry.name)))
}

impl Directory {
    /// A crash must not bring back the folder of a deleted topic under the name of the one that is about to be created:
    /// without a topic id, which a crash may take as well, it would be taken for the new one's.
    fn settle_renamed_folders(&self) -> Result<(), FileError> {
        if self.has_renamed_folders.swap(false, Ordering::AcqRel) {
            self.base.disk().sync_directory(self.path()).map_err(|source| {
                self.base.health().fail(format_args!("sync of renamed folders: {source}"));
                FileError::Io { path: self.path().to_owned(), source }
            })?;
        }
        Ok(())
    }

    /// The next checkpoint makes it durable: a crash before that leaves a folder without a topic id, which gets it
    /// anew. Thousands of partitions are not to wait for the device one by one.
    fn write_topic_id(&self, folder: &Arc<PartitionDirectory>, topic_id: TopicId) -> Result<(), FileError> {
        let path = folder.path().join(PARTITION_METADATA_FILE);
        let file = folder.disk().open(&path, OpenMode::Create).map_err(FileError::io(&path))?;
        file.set_size_bytes(0).map_err(FileError::io(&path))?;
        let content = partition_metadata::encode(topic_id);
        file.write_all_at(&[IoSlice::new(content.as_bytes())], 0).map_err(FileError::io(&path))?;
        self.checkpoints.lock().unsynced_topic_ids.push(Arc::clone(folder));
        Ok(())
    }
}
