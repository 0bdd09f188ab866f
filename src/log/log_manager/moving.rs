//! Moving a log to another log directory of this broker (KIP-113).
//!
//! ```text
//!   orders-0/                  where it lies: goes on serving
//!   orders-0.3f2a...-future/   where it goes: catches up
//! ```
//! Once both end at the same offset they change places; appends wait meanwhile, for a few syncs:
//!
//! 1. what the copy has is brought to the device, its beginning is written down;
//! 2. `orders-0` is renamed to `orders-0.3f2a...-delete`;
//! 3. the copy is renamed to `orders-0`.
//!
//! So at no time are there two folders of that name, and a copy without a log says that a crash came between 2 and 3:
//! at the next start the copy becomes the log. Unless a directory is offline: then the log may be there.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use super::super::checkpoint_text::FileError;
use super::super::partition_log::PartitionLog;
use super::deletion::{ExpiredFolder, MAX_NAME_BYTES, renamed_folder};
use super::{Hosted, LogManager, LogManagerError, NewLog};
use crate::ids::{DirectoryId, TopicPartition};

/// Wishes for logs that are not there yet: as many as are remembered.
const MAX_PREFERENCES: usize = 10_000;

/// A copy that catches up.
#[derive(Clone, Debug)]
pub struct Move {
    pub partition: TopicPartition,
    /// Where the log goes.
    pub future: Arc<PartitionLog>,
}

impl LogManager {
    /// Refuses to move a log whose folder would have too long a name meanwhile.
    pub fn check_movable(partition: &TopicPartition) -> Result<(), LogManagerError> {
        if future_folder(partition, Uuid::nil()).len() > MAX_NAME_BYTES {
            return Err(LogManagerError::NameTooLong(partition.clone()));
        }
        Ok(())
    }

    /// The log directory of that path, absolute as DescribeLogDirs tells it.
    pub fn directory_at(&self, path: &str) -> Result<DirectoryId, LogManagerError> {
        let is_at = |known: &Path| crate::io::absolute(known).to_str() == Some(path);
        if let Some(directory) = self.directories.iter().find(|directory| is_at(directory.path())) {
            let id = directory.base.id();
            return if directory.is_online() { Ok(id) } else { Err(LogManagerError::DirectoryOffline(id)) };
        }
        if self.failed.iter().any(|(failed, _)| is_at(failed)) {
            return Err(LogManagerError::DirectoryOffline(DirectoryId::default()));
        }
        Err(LogManagerError::UnknownDirectory(path.to_owned()))
    }

    /// Where the log of a partition shall be created once it is; nothing happens where there is one. Remembered until
    /// the process ends.
    pub fn prefer_directory(&self, partition: &TopicPartition, directory: DirectoryId) {
        if self.logs.read().contains_key(partition) {
            return;
        }
        let mut preferred = self.preferred.lock();
        if preferred.len() < MAX_PREFERENCES || preferred.contains_key(partition) {
            preferred.insert(partition.clone(), directory);
        }
    }

    /// Begins to move a log, goes on with the move that is under way there, or, where `to` is the directory that it
    /// lies in, ends any move.
    pub fn begin_move(&self, partition: &TopicPartition, to: DirectoryId) -> Result<(), LogManagerError> {
        let _one_change_at_a_time = self.changes.lock();
        let Some(current) = self.logs.read().get(partition).cloned() else {
            return Err(LogManagerError::Unknown(partition.clone()));
        };
        let at = self.online_at(to)?;
        if self.future_of(partition).is_some_and(|future| future.directory != at) {
            self.discard_future(partition);
        }
        if current.directory == at || self.future_of(partition).is_some() {
            return Ok(());
        }
        if self.offline_directory_count() > 0 {
            return Err(LogManagerError::MayBeOffline(partition.clone()));
        }
        Self::check_movable(partition)?;
        let name = future_folder(partition, (self.options.new_uuid)());
        let new = NewLog {
            topic_partition: partition.clone(),
            topic_id: current.topic_id.unwrap_or_default(),
            config: current.log.config(),
            directory: Some(to),
            is_new: true,
        };
        // Nothing may be cleaned away between what the copy has read and what it is yet to read.
        current.log.pause_cleaning();
        let future = self.create_in(at, &new, &name).inspect_err(|_| current.log.resume_cleaning())?;
        let from = self.directories[current.directory].path();
        tracing::info!(%partition, from = %from.display(), to = %self.directories[at].path().display(), "log moves");
        let hosted = Hosted { log: future, topic_id: current.topic_id, directory: at, is_intact: true };
        self.futures.write().insert(partition.clone(), hosted);
        Ok(())
    }

    /// The moves under way.
    pub fn moves(&self) -> Vec<Move> {
        let futures = self.futures.read();
        let moves = futures.iter();
        moves
            .map(|(partition, future)| Move { partition: partition.clone(), future: Arc::clone(&future.log) })
            .collect()
    }

    /// The copies in the making, by the directory that they lie in.
    pub fn futures(&self) -> Vec<(Arc<PartitionLog>, PathBuf)> {
        let futures = self.futures.read();
        let place = |future: &Hosted| self.directories[future.directory].path().to_owned();
        futures.values().map(|future| (Arc::clone(&future.log), place(future))).collect()
    }

    /// Ends the move of a log; its copy is removed.
    pub fn cancel_move(&self, partition: &TopicPartition) {
        let _one_change_at_a_time = self.changes.lock();
        self.discard_future(partition);
    }

    /// Puts the copy in the log's place. To be called while nothing is appended and the copy has everything; waits
    /// for the device. Says where the log lies now.
    pub fn finish_move(&self, partition: &TopicPartition) -> Result<DirectoryId, LogManagerError> {
        let _one_change_at_a_time = self.changes.lock();
        let unknown = || LogManagerError::Unknown(partition.clone());
        let future = self.future_of(partition).ok_or_else(unknown)?;
        let current = self.logs.read().get(partition).cloned().ok_or_else(unknown)?;
        let now_ms = self.clock.now_ms();
        future.log.checkpoint(now_ms)?;
        self.write_offsets(future.directory)?;

        let (source, destination) = (&self.directories[current.directory], &self.directories[future.directory]);
        let gone = source.path().join(renamed_folder(partition, (self.options.new_uuid)().simple(), "delete"));
        let place = destination.path().join(partition.to_string());
        let rename = |hosted: &Hosted, to: &Path| -> io::Result<()> {
            let base = &self.directories[hosted.directory].base;
            hosted.log.directory().rename(to.to_owned())?;
            base.disk().sync_directory(base.path())
        };
        rename(&current, &gone).map_err(|error| self.judge_rename(current.directory, partition, error))?;
        rename(&future, &place).map_err(|error| self.judge_rename(future.directory, partition, error))?;
        let due_ms = now_ms.saturating_add(current.log.config().file_delete_delay_ms);
        source.expired.lock().push(ExpiredFolder { path: gone, due_ms });
        self.futures.write().remove(partition);
        let place = (current.directory, future.directory);
        self.logs.write().insert(partition.clone(), future);
        self.carry_cleaned_up_to(partition, place.0, place.1);
        tracing::info!(%partition, to = %destination.path().display(), "log has moved");
        Ok(destination.base.id())
    }

    fn judge_rename(&self, at: usize, partition: &TopicPartition, source: io::Error) -> LogManagerError {
        let directory = &self.directories[at];
        directory.base.health().fail(format_args!("renaming the folder of {partition}: {source}"));
        FileError::Io { path: directory.path().to_owned(), source }.into()
    }

    pub(super) fn future_of(&self, partition: &TopicPartition) -> Option<Hosted> {
        self.futures.read().get(partition).cloned()
    }

    /// Takes a copy out; its folder goes with the next removal.
    pub(super) fn discard_future(&self, partition: &TopicPartition) {
        let Some(future) = self.futures.write().remove(partition) else { return };
        if let Some(log) = self.get(partition) {
            log.resume_cleaning();
        }
        self.discard(partition, &future);
    }

    fn discard(&self, partition: &TopicPartition, future: &Hosted) {
        future.log.mark_deleted();
        let directory = &self.directories[future.directory];
        let path = directory.path().join(renamed_folder(partition, (self.options.new_uuid)().simple(), "delete"));
        match future.log.directory().rename(path.clone()) {
            Ok(()) => directory.expired.lock().push(ExpiredFolder { path, due_ms: self.clock.now_ms() }),
            Err(error) => tracing::warn!(%partition, %error, "an unfinished copy can't be removed"),
        }
    }

    /// After loading: copies without a log become the log, copies of logs go on, what is of no use goes.
    pub(super) fn settle_futures(&self, found: Vec<(TopicPartition, Hosted)>) {
        for (partition, future) in found {
            let current = self.logs.read().get(&partition).cloned();
            match current {
                None if self.offline_directory_count() > 0 => {
                    tracing::warn!(%partition, "its log may lie in a directory that is offline: the copy waits");
                }
                None => self.promote(partition, future),
                Some(current) => {
                    let is_same_topic = current.topic_id.is_none_or(|id| future.topic_id.is_none_or(|own| own == id));
                    let is_of_use = is_same_topic
                        && current.directory != future.directory
                        && self.future_of(&partition).is_none();
                    if is_of_use {
                        tracing::info!(%partition, "the move of the log goes on");
                        current.log.pause_cleaning();
                        self.futures.write().insert(partition, future);
                    } else {
                        self.discard(&partition, &future);
                    }
                }
            }
        }
    }

    /// A crash came between the two renames of a move.
    fn promote(&self, partition: TopicPartition, future: Hosted) {
        let directory = &self.directories[future.directory];
        let place = directory.path().join(partition.to_string());
        let renamed = future.log.directory().rename(place);
        match renamed.and_then(|()| directory.base.disk().sync_directory(directory.path())) {
            Ok(()) => {
                tracing::info!(%partition, "the move of the log is completed");
                self.logs.write().insert(partition, future);
            }
            Err(error) => drop(self.judge_rename(future.directory, &partition, error)),
        }
    }
}

fn future_folder(partition: &TopicPartition, unique: Uuid) -> String {
    format!("{partition}.{}-future", unique.simple())
}
