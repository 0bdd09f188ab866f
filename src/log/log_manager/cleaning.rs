//! What the cleaner asks of the log manager: the compacted logs, and where their cleaning ended.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::super::checkpoints::{self, CLEANER_OFFSET_CHECKPOINT, OffsetCheckpoint};
use super::super::partition_log::PartitionLog;
use super::super::replacement::History;
use super::{Directory, LogManager};
use crate::ids::{Offset, TopicPartition};

/// A log whose `cleanup.policy` has `compact`.
pub(in crate::log) struct CompactedLog {
    pub(in crate::log) log: Arc<PartitionLog>,
    /// Where its last cleaning ended; `None`: it has never been cleaned.
    pub(in crate::log) cleaned_up_to: Option<Offset>,
}

impl LogManager {
    /// The compacted logs in directories that serve and are this broker's own. Copies of logs that move are cleaned once they are in their place.
    pub(in crate::log) fn compacted_logs(&self) -> Vec<CompactedLog> {
        let may_clean = |log: &PartitionLog| !log.health().is_offline() && !log.health().awaits_first_write();
        let is_compacted = |log: &PartitionLog| log.config().cleanup_policy.compact && may_clean(log);
        let hosted: Vec<_> = {
            let logs = self.logs.read();
            logs.values().filter(|hosted| is_compacted(&hosted.log)).cloned().collect()
        };
        let with_offset = |(directory, log): (usize, Arc<PartitionLog>)| {
            let checkpoints = self.directories[directory].checkpoints.lock();
            let cleaned_up_to = checkpoints.cleaner_offsets.get(log.topic_partition()).copied();
            CompactedLog { log, cleaned_up_to }
        };
        hosted.into_iter().map(|hosted| with_offset((hosted.directory, hosted.log))).collect()
    }

    /// Of the directories that could be opened at the start.
    pub(in crate::log) fn directory_paths(&self) -> impl Iterator<Item = &Path> {
        self.directories.iter().map(Directory::path)
    }

    /// Writes down where the cleaning of a log ended that was read in `history`. Nothing happens where the log was
    /// truncated since, begins to move, or is no longer there. Waits for the device.
    pub(in crate::log) fn set_cleaned_up_to(&self, log: &Arc<PartitionLog>, history: History, offset: Offset) {
        let hosted = self.logs.read().get(log.topic_partition()).cloned();
        let Some(hosted) = hosted.filter(|hosted| Arc::ptr_eq(&hosted.log, log)) else { return };
        self.change_cleaner_offsets(hosted.directory, |offsets| {
            // A truncation lowers what stands here only after its history has begun, and waits for us.
            if log.is_cleanable(history) {
                offsets.insert(log.topic_partition().clone(), offset);
            }
        });
    }

    /// A log was truncated: what comes to lie behind its end is dirty.
    pub(super) fn lower_cleaned_up_to(&self, directory: usize, partition: &TopicPartition, end: Offset) {
        self.change_cleaner_offsets(directory, |offsets| {
            if let Some(offset) = offsets.get_mut(partition) {
                *offset = (*offset).min(end);
            }
        });
    }

    /// A log has moved, and nothing was cleaned since the move began.
    pub(super) fn carry_cleaned_up_to(&self, partition: &TopicPartition, from: usize, to: usize) {
        let known = self.directories[from].checkpoints.lock().cleaner_offsets.get(partition).copied();
        let Some(offset) = known else { return };
        self.change_cleaner_offsets(to, |offsets| {
            offsets.insert(partition.clone(), offset);
        });
        self.change_cleaner_offsets(from, |offsets| {
            offsets.remove(partition);
        });
    }

    /// Where the disk is full the file stays behind: what it does not tell of is cleaned once more after a restart.
    fn change_cleaner_offsets(&self, at: usize, change: impl FnOnce(&mut OffsetCheckpoint)) {
        let directory = &self.directories[at];
        let present: BTreeSet<_> = self.logs_in(at).into_iter().map(|(partition, _)| partition).collect();
        let mut checkpoints = directory.checkpoints.lock();
        let mut offsets = checkpoints.cleaner_offsets.clone();
        offsets.retain(|partition, _| present.contains(partition));
        change(&mut offsets);
        if offsets == checkpoints.cleaner_offsets {
            return;
        }
        let disk = &**directory.base.disk();
        let written = checkpoints::write(disk, directory.path(), CLEANER_OFFSET_CHECKPOINT, &offsets);
        checkpoints.cleaner_offsets = offsets;
        drop(checkpoints);
        directory.judge(written);
    }
}
