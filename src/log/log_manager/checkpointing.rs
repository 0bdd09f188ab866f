//! The checkpoints of a log directory, and closing it in good order.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::super::checkpoint_text::FileError;
use super::super::checkpoints::{
    self, CLEANER_OFFSET_CHECKPOINT, LOG_START_OFFSET_CHECKPOINT, OffsetCheckpoint, RECOVERY_POINT_CHECKPOINT,
    REPLICATION_OFFSET_CHECKPOINT,
};
use super::super::clean_shutdown;
use super::super::directory::PartitionDirectory;
use super::super::errors::StorageError;
use super::super::partition_log::PartitionLog;
use super::super::partition_metadata::PARTITION_METADATA_FILE;
use super::super::recovery::Syncs;
use super::{Directory, Hosted, LogManager};
use crate::ids::{BrokerEpoch, Offset, TopicPartition};
use crate::io::{OpenMode, WholeSync};
use crate::time::TimestampMs;

/// A directory is checkpointed this often, so that recovery has little to check.
const CHECKPOINT_INTERVAL_MS: i64 = 5_000;
/// And as soon as its logs have grown by this much.
const CHECKPOINT_BYTES: u64 = 256 << 20;

/// What stands in the checkpoint files of a directory.
#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    pub(super) recovery_points: OffsetCheckpoint,
    pub(super) log_start_offsets: OffsetCheckpoint,
    pub(super) high_watermarks: OffsetCheckpoint,
    pub(super) cleaner_offsets: OffsetCheckpoint,
    /// Folders whose `partition.metadata` was written since the last checkpoint; the file does not stay open meanwhile.
    pub(super) unsynced_topic_ids: Vec<Arc<PartitionDirectory>>,
    last_ms: TimestampMs,
    last_size_bytes: u64,
}

impl LogManager {
    /// Checkpoints the directories for which it is time; to be called every second or so. Waits for the device.
    pub fn checkpoint_due(&self, now_ms: TimestampMs) {
        for (at, directory) in self.online() {
            let size_bytes = self.size_bytes_in(at);
            let is_due = {
                let checkpoints = directory.checkpoints.lock();
                now_ms.saturating_sub(checkpoints.last_ms) >= CHECKPOINT_INTERVAL_MS
                    || size_bytes.saturating_sub(checkpoints.last_size_bytes) >= CHECKPOINT_BYTES
            };
            if is_due {
                self.checkpoint_directory(at, now_ms);
            }
        }
    }

    /// Brings all logs to the device and writes down that recovery need not look at what is there now. Waits for the
    /// device. What fails is logged; a directory that fails goes offline.
    pub fn checkpoint_now(&self) {
        let now_ms = self.clock.now_ms();
        for at in 0..self.directories.len() {
            self.checkpoint_directory(at, now_ms);
        }
    }

    /// Writes down the high watermarks.
    pub fn checkpoint_high_watermarks(&self) {
        for (at, directory) in self.online() {
            let offsets = self.offsets_of(at, PartitionLog::high_watermark);
            let written = directory.write_checkpoint(REPLICATION_OFFSET_CHECKPOINT, offsets);
            directory.judge(written.map(drop));
        }
    }

    /// Writes down the recovery point and the beginning of a log that was truncated, before anything is appended to
    /// it: what is written anew below the old recovery point must not be trusted after a crash.
    pub fn checkpoint_truncated(&self, partition: &TopicPartition) -> Result<(), FileError> {
        let hosted = self.logs.read().get(partition).cloned();
        let Some(Hosted { log, directory, .. }) = hosted else { return Ok(()) };
        self.lower_cleaned_up_to(directory, partition, log.log_end_offset());
        self.write_offsets(directory)
    }

    /// Closes all directories in good order: nothing may be appended any more. The markers come last.
    pub fn shutdown(&self, broker_epoch: Option<BrokerEpoch>) {
        if self.awaits_first_write() {
            return;
        }
        let now_ms = self.clock.now_ms();
        thread::scope(|scope| {
            for (at, _) in self.online() {
                scope.spawn(move || self.close_directory(at, broker_epoch, now_ms));
            }
        });
    }

    fn close_directory(&self, at: usize, broker_epoch: Option<BrokerEpoch>, now_ms: TimestampMs) {
        let directory = &self.directories[at];
        let logs = self.logs_in(at);
        let all_closed = match self.whole_sync(at, logs.len()) {
            Some(whole) => directory.close_together(whole, &logs, now_ms),
            None => self.close_each(&logs, now_ms),
        };
        let closed = directory.sync_topic_ids().and_then(|()| self.write_offsets(at).map_err(FileError::into_io));
        let watermarks = self.offsets_of(at, PartitionLog::high_watermark);
        let closed = closed.and_then(|()| {
            directory.write_checkpoint(REPLICATION_OFFSET_CHECKPOINT, watermarks).map_err(FileError::into_io)
        });
        match closed.map(drop) {
            Ok(()) if all_closed && directory.is_online() => {
                let marked = clean_shutdown::write(&**directory.base.disk(), directory.path(), broker_epoch);
                if let Err(error) = marked {
                    tracing::error!(directory = %directory.path().display(), %error, "clean marker can't be written");
                }
            }
            Ok(()) => {}
            Err(error) => {
                tracing::error!(directory = %directory.path().display(), %error, "directory can't be closed");
            }
        }
    }

    /// Says whether all are closed.
    fn close_each(&self, logs: &[(TopicPartition, Arc<PartitionLog>)], now_ms: TimestampMs) -> bool {
        let next = AtomicUsize::new(0);
        let all_closed = AtomicBool::new(true);
        let work = || {
            while let Some((partition, log)) = logs.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Err(error) = log.close(now_ms) {
                    all_closed.store(false, Ordering::Relaxed);
                    tracing::error!(%partition, %error, "log can't be closed: it will be recovered at the next start");
                }
            }
        };
        let threads = self.options.recovery_threads_per_directory.clamp(1, logs.len().max(1));
        thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
        all_closed.into_inner()
    }

    pub(super) fn checkpoint_directory(&self, at: usize, now_ms: TimestampMs) {
        let directory = &self.directories[at];
        if !directory.is_online() {
            return;
        }
        let mut logs = self.logs_in(at);
        logs.retain(|(_, log)| log.wants_checkpoint());
        match self.whole_sync(at, logs.len()) {
            Some(whole) => directory.checkpoint_together(whole, &logs, now_ms),
            None => directory.checkpoint_each(&logs, now_ms),
        }
        if !directory.is_online() {
            return;
        }
        let written = directory.sync_topic_ids().map_err(FileError::io(directory.path()));
        directory.judge(written.and_then(|()| self.write_offsets(at)));
        let size_bytes = self.size_bytes_in(at);
        let mut checkpoints = directory.checkpoints.lock();
        checkpoints.last_ms = now_ms;
        checkpoints.last_size_bytes = size_bytes;
    }

    /// After loading: a log that ends below its recovery point is about to grow over it again.
    pub(super) fn write_lowered_recovery_points(&self, at: usize) {
        let directory = &self.directories[at];
        let logs = self.logs_in(at);
        let is_lowered = {
            let checkpoints = directory.checkpoints.lock();
            let written = |partition| checkpoints.recovery_points.get(partition).copied().unwrap_or(Offset::ZERO);
            logs.iter().any(|(partition, log)| log.recovery_point() < written(partition))
        };
        if is_lowered && directory.is_online() {
            directory.judge(self.write_offsets(at));
        }
    }

    /// Recovery points and beginnings, of the logs that are there now.
    pub(super) fn write_offsets(&self, at: usize) -> Result<(), FileError> {
        let directory = &self.directories[at];
        let mut starts = self.offsets_of(at, PartitionLog::log_start_offset);
        starts.retain(|_, offset| *offset > Offset::ZERO);
        // The beginnings first: a log that begins beyond its recovery point is one that was deleted up to there.
        directory.write_checkpoint(LOG_START_OFFSET_CHECKPOINT, starts)?;
        let recovery_points = self.offsets_of(at, PartitionLog::recovery_point);
        if !directory.write_checkpoint(RECOVERY_POINT_CHECKPOINT, recovery_points.clone())? {
            return Ok(());
        }
        for (partition, log) in self.logs_in(at) {
            let Some(&written) = recovery_points.get(&partition) else { continue };
            if let Err(error) = log.recovery_point_written(written) {
                tracing::warn!(%partition, %error, "an old producer snapshot stays");
            }
        }
        Ok(())
    }

    fn offsets_of(&self, at: usize, offset: impl Fn(&PartitionLog) -> Offset) -> OffsetCheckpoint {
        self.logs_in(at).into_iter().map(|(partition, log)| (partition, offset(&log))).collect()
    }
}

impl Directory {
    /// Replaces a checkpoint file, unless it says the same already: says whether it did.
    pub(super) fn write_checkpoint(&self, name: &str, offsets: OffsetCheckpoint) -> Result<bool, FileError> {
        let mut checkpoints = self.checkpoints.lock();
        let written = match name {
            RECOVERY_POINT_CHECKPOINT => &mut checkpoints.recovery_points,
            LOG_START_OFFSET_CHECKPOINT => &mut checkpoints.log_start_offsets,
            CLEANER_OFFSET_CHECKPOINT => &mut checkpoints.cleaner_offsets,
            _ => &mut checkpoints.high_watermarks,
        };
        if *written == offsets {
            return Ok(false);
        }
        checkpoints::write(&**self.base.disk(), self.path(), name, &offsets)?;
        *written = offsets;
        Ok(true)
    }

    fn checkpoint_each(&self, logs: &[(TopicPartition, Arc<PartitionLog>)], now_ms: TimestampMs) {
        for (partition, log) in logs {
            if let Err(error) = log.checkpoint(now_ms)
                && !self.goes_on_after(partition, error)
            {
                return;
            }
        }
    }

    fn checkpoint_together(
        &self,
        whole: &Arc<dyn WholeSync>,
        logs: &[(TopicPartition, Arc<PartitionLog>)],
        now_ms: TimestampMs,
    ) {
        self.checkpoints.lock().unsynced_topic_ids.clear();
        let mut begun = Vec::with_capacity(logs.len());
        for (partition, log) in logs {
            match log.begin_checkpoint(Syncs::Together) {
                Ok(Some(of_log)) => begun.push((log, of_log)),
                Ok(None) => {}
                Err(error) => {
                    if !self.goes_on_after(partition, error) {
                        break;
                    }
                }
            }
        }
        if let Err(error) = whole.sync() {
            return self.base.health().fail(format_args!("checkpoint: {error}"));
        }
        for (log, of_log) in begun {
            if let Err(error) = log.finish_checkpoint(&of_log, now_ms) {
                tracing::warn!(partition = %log.topic_partition(), %error, "log can't be checkpointed");
            }
        }
    }

    /// Whether there is any use in checkpointing other logs after one has failed.
    fn goes_on_after(&self, partition: &TopicPartition, error: StorageError) -> bool {
        match error {
            _ if !self.is_online() => false,
            // The others would not find room either.
            StorageError::Io(error) if self.base.health().write_failed(&error) => false,
            // Its recovery point stays where it is.
            error => {
                tracing::warn!(%partition, %error, "log can't be checkpointed");
                true
            }
        }
    }

    /// Says whether all are closed.
    fn close_together(
        &self,
        whole: &Arc<dyn WholeSync>,
        logs: &[(TopicPartition, Arc<PartitionLog>)],
        now_ms: TimestampMs,
    ) -> bool {
        let mut all_closed = true;
        let mut fails = |partition: &TopicPartition, error: StorageError| {
            all_closed = false;
            tracing::error!(%partition, %error, "log can't be closed: it will be recovered at the next start");
        };
        let mut begun = Vec::with_capacity(logs.len());
        for (partition, log) in logs {
            match log.begin_close(Syncs::Together) {
                Ok(of_log) => begun.push((partition, log, of_log)),
                Err(error) => fails(partition, error),
            }
        }
        self.checkpoints.lock().unsynced_topic_ids.clear();
        if let Err(error) = whole.sync() {
            self.base.health().fail(format_args!("closing logs: {error}"));
            return false;
        }
        for (partition, log, of_log) in begun {
            if let Err(error) = log.finish_checkpoint(&of_log, now_ms) {
                fails(partition, error);
            }
        }
        all_closed
    }

    fn sync_topic_ids(&self) -> io::Result<()> {
        let folders = std::mem::take(&mut self.checkpoints.lock().unsynced_topic_ids);
        folders.iter().try_for_each(|folder| {
            match folder.disk().open(&folder.path().join(PARTITION_METADATA_FILE), OpenMode::ReadWrite) {
                Ok(file) => file.sync(),
                // The partition was deleted meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                Err(error) => Err(error),
            }
        })
    }

    /// A disk that is full or read-only may pass; any other failure takes the directory offline.
    pub(super) fn judge(&self, written: Result<(), FileError>) {
        match written {
            Ok(()) => {}
            Err(FileError::Io { path, source }) if self.base.health().write_failed(&source) => {
                tracing::warn!(path = %path.display(), %source, "a checkpoint waits");
            }
            Err(error) => self.base.health().fail(error),
        }
    }
}

impl From<FileError> for StorageError {
    fn from(error: FileError) -> Self {
        error.into_io().into()
    }
}
