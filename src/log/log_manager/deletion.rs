//! Logs that go: their folders are renamed at once and removed later, so that readers come to their end.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use super::super::checkpoint_text::FileError;
use super::super::errors::StorageError;
use super::{Directory, LogManager, LogManagerError};
use crate::ids::TopicPartition;
use crate::time::TimestampMs;

/// The longest name that a file system takes.
pub(super) const MAX_NAME_BYTES: usize = 255;

/// A folder that waits for its removal.
#[derive(Debug)]
pub(super) struct ExpiredFolder {
    pub(super) path: PathBuf,
    pub(super) due_ms: TimestampMs,
}

impl LogManager {
    /// Takes a partition's log out of service and renames its folder; its files go after `file.delete.delay.ms`
    /// (see [`LogManager::delete_expired_files`]).
    pub fn delete(&self, partition: &TopicPartition) -> Result<(), LogManagerError> {
        let (at, path, delay_ms) = self.take_out(partition, "delete")?;
        let due_ms = self.clock.now_ms().saturating_add(delay_ms);
        self.directories[at].expired.lock().push(ExpiredFolder { path, due_ms });
        Ok(())
    }

    /// Takes a log out of service that the metadata knows nothing of, and keeps its files: the folder is renamed to
    /// `-stray`.
    pub fn set_aside(&self, partition: &TopicPartition) -> Result<PathBuf, LogManagerError> {
        let (_, path, _) = self.take_out(partition, "stray")?;
        tracing::warn!(%partition, path = %path.display(), "the log belongs to no known topic and is set aside");
        Ok(path)
    }

    fn take_out(&self, partition: &TopicPartition, suffix: &str) -> Result<(usize, PathBuf, i64), LogManagerError> {
        let _one_change_at_a_time = self.changes.lock();
        self.begin_write().map_err(StorageError::from)?;
        let hosted = self.logs.write().remove(partition);
        let hosted = hosted.ok_or_else(|| LogManagerError::Unknown(partition.clone()))?;
        hosted.log.mark_deleted();
        self.discard_future(partition);
        let directory = &self.directories[hosted.directory];
        let path = directory.path().join(renamed_folder(partition, (self.options.new_uuid)().simple(), suffix));
        if let Err(source) = hosted.log.directory().rename(path.clone()) {
            if !directory.base.health().write_failed(&source) {
                directory.base.health().fail(format_args!("renaming the folder of {partition}: {source}"));
            }
            return Err(FileError::Io { path, source }.into());
        }
        directory.has_renamed_folders.store(true, Ordering::Release);
        Ok((hosted.directory, path, hosted.log.config().file_delete_delay_ms))
    }

    /// Removes the files and folders whose delay has passed; says how many. Waits for the device: large files take
    /// their time.
    pub fn delete_expired_files(&self, now_ms: TimestampMs) -> usize {
        let mut removed = 0;
        let copies = self.moves().into_iter().map(|copy| copy.future);
        for log in self.online_logs().chain(copies.filter(|copy| !copy.health().is_offline())) {
            match log.remove_due_files(now_ms) {
                Ok(count) => removed += count,
                Err(error) => {
                    log.io_failed("a deletion", &error);
                    tracing::warn!(partition = %log.topic_partition(), %error, "deleted files stay");
                }
            }
        }
        removed + self.online().map(|(_, directory)| directory.remove_expired_folders(now_ms)).sum::<usize>()
    }
}

impl Directory {
    /// Removes the folders that are due; says how many.
    pub(super) fn remove_expired_folders(&self, now_ms: TimestampMs) -> usize {
        let due: Vec<ExpiredFolder> = {
            let mut expired = self.expired.lock();
            let (due, later) = std::mem::take(&mut *expired).into_iter().partition(|folder| folder.due_ms <= now_ms);
            *expired = later;
            due
        };
        let mut removed = 0;
        for folder in due {
            match self.base.disk().remove_directory(&folder.path) {
                Ok(()) => removed += 1,
                Err(error) => {
                    tracing::warn!(path = %folder.path.display(), %error, "a deleted folder stays");
                    self.expired.lock().push(folder);
                }
            }
        }
        removed
    }
}

/// `topic-partition.<uuid>-delete`; a long topic is cut where the name would become too long.
pub(super) fn renamed_folder(partition: &TopicPartition, unique: impl std::fmt::Display, suffix: &str) -> String {
    let end = format!("-{}.{unique}-{suffix}", partition.partition);
    let mut length = partition.topic.len().min(MAX_NAME_BYTES - end.len());
    while !partition.topic.is_char_boundary(length) {
        length -= 1;
    }
    format!("{}{end}", &partition.topic[..length])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_renamed_as_kafka_does() {
        let unique = uuid::Uuid::from_u128(7).simple();
        let name = renamed_folder(&TopicPartition::new("orders", 3), unique, "delete");
        assert_eq!(name, "orders-3.00000000000000000000000000000007-delete");
        let long = renamed_folder(&TopicPartition::new("t".repeat(249), 12), unique, "delete");
        assert_eq!(long.len(), 255);
        assert!(long.ends_with("t-12.00000000000000000000000000000007-delete"));
    }
}
