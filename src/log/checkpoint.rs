//! Checkpoints: all that recovery would otherwise have to read again goes to the device.
//!
//! ```text
//!  append lock          this thread                                      then, the log manager
//!  index tails ──▶ producer snapshot ──▶ epochs, sync of all files ──▶ recovery point
//!  to their files
//! ```
//! Everything here waits for the device, so it runs on threads of its own; appends and reads go on meanwhile. A full
//! device fails a checkpoint, which is tried again with the next one; a failed sync takes the directory offline.

use std::io::{self, IoSlice};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::directory::{FileKind, PartitionDirectory};
use super::errors::StorageError;
use super::leader_epochs::LEADER_EPOCH_CHECKPOINT;
use super::partition_log::{PartitionLog, Writer};
use super::recovery::Syncs;
use super::segment::Segment;
use crate::ids::Offset;
use crate::io::{OpenMode, temporary_path};
use crate::time::TimestampMs;

/// A producer snapshot is taken once the log has grown by this many index intervals since the last one: a few more
/// headers to read at the next start cost less than a file for every checkpoint of every log that hardly grows.
const SNAPSHOT_INDEX_INTERVALS: u64 = 8;

/// What a checkpoint has to bring to the device, collected under the append lock.
pub(super) struct Collected {
    log_end_offset: Offset,
    generation: u64,
    closed: Vec<Arc<Segment>>,
    active: Arc<Segment>,
    snapshots: Vec<Offset>,
    /// A snapshot as of the log's end, where it is time for one, and by how much the log grew since the last.
    new_snapshot: Option<(Vec<u8>, u64)>,
    /// The content of the epoch file, where it has changed.
    epochs: Option<String>,
    /// Changes of names that a sync of everything covers.
    folder_changes: u64,
}

impl Collected {
    fn segments(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.closed.iter().chain([&self.active])
    }
}

impl PartitionLog {
    /// Brings log, indexes, producer state and epochs to the device, and says up to which offset: the recovery point
    /// that may now be written down. Waits for the device.
    pub fn checkpoint(&self, now_ms: TimestampMs) -> Result<Offset, StorageError> {
        match self.begin_checkpoint(Syncs::Each)? {
            Some(begun) => self.complete(&begun, now_ms),
            None => Ok(self.recovery_point()),
        }
    }

    /// Whether a checkpoint would have something to do.
    pub(super) fn wants_checkpoint(&self) -> bool {
        !self.is_checkpointed(&self.lock_writer())
    }

    /// The first half of a checkpoint: writes what is to be synced. `None`: there is nothing.
    pub(super) fn begin_checkpoint(&self, syncs: Syncs) -> Result<Option<Collected>, StorageError> {
        self.check_online()?;
        let collected = {
            let mut writer = self.lock_writer();
            if self.is_checkpointed(&writer) {
                return Ok(None);
            }
            let interval_bytes = self.config.load().index_interval_bytes.max(1) as u64;
            let collected = self.collect(&mut writer, interval_bytes * SNAPSHOT_INDEX_INTERVALS);
            collected.inspect_err(|error| self.io_failed("a checkpoint", error))?
        };
        self.write_collected(collected, syncs).map(Some)
    }

    /// The last checkpoint: the time index of the active segment ends with its largest timestamp, as Kafka leaves it.
    /// Nothing may be appended any more.
    pub fn close(&self, now_ms: TimestampMs) -> Result<Offset, StorageError> {
        let begun = self.begin_close(Syncs::Each)?;
        self.complete(&begun, now_ms)
    }

    /// The first half of [`PartitionLog::close`].
    pub(super) fn begin_close(&self, syncs: Syncs) -> Result<Collected, StorageError> {
        self.check_online()?;
        let collected = {
            let mut writer = self.lock_writer();
            writer.active.close_indexes()?;
            self.collect(&mut writer, 0)?
        };
        self.write_collected(collected, syncs)
    }

    /// The recovery point is written down as `written`: producer snapshots from before the one that recovery would
    /// then begin with are of no use any more. Those at the beginnings of segments go with the segments.
    pub fn recovery_point_written(&self, written: Offset) -> io::Result<()> {
        let replaced: Vec<_> = {
            let snapshots = &mut self.lock_writer().checkpoint_snapshots;
            let kept_from = snapshots.partition_point(|offset| *offset <= written).saturating_sub(1);
            snapshots.drain(..kept_from).collect()
        };
        let segments = self.segments.load();
        for offset in replaced {
            if !segments.iter().any(|segment| segment.base_offset() == offset) {
                self.directory.disk().remove_file(&self.directory.file(FileKind::ProducerSnapshot, offset))?;
            }
        }
        Ok(())
    }

    fn is_checkpointed(&self, writer: &Writer) -> bool {
        self.recovery_point() == self.log_end_offset()
            && !writer.epochs_changed
            && writer.unsynced_closed.is_empty()
            && writer.unsynced_snapshots.is_empty()
    }

    /// Under the append lock, so nothing here creates a file: that may wait for the journal.
    fn collect(&self, writer: &mut Writer, snapshot_bytes: u64) -> io::Result<Collected> {
        writer.active.write_indexes()?;
        let grown_bytes = writer.bytes_since_snapshot;
        let is_due = grown_bytes > 0 && grown_bytes >= snapshot_bytes;
        Ok(Collected {
            log_end_offset: self.log_end_offset(),
            new_snapshot: is_due.then(|| (writer.producer_state.encode_snapshot(), grown_bytes)),
            generation: self.group_commit.generation(),
            closed: mem::take(&mut writer.unsynced_closed),
            active: Arc::clone(&writer.active),
            snapshots: mem::take(&mut writer.unsynced_snapshots),
            epochs: mem::take(&mut writer.epochs_changed).then(|| writer.leader_epochs.encode()),
            folder_changes: 0,
        })
    }

    fn write_collected(&self, mut collected: Collected, syncs: Syncs) -> Result<Collected, StorageError> {
        let written = match &collected.epochs {
            Some(epochs) => write_epochs(&self.directory, epochs, syncs),
            None => Ok(()),
        };
        if let Err(error) = written.and_then(|()| self.write_new_snapshot(&collected)) {
            let mut writer = self.lock_writer();
            writer.epochs_changed |= collected.epochs.is_some();
            writer.unsynced_closed.extend(collected.closed);
            writer.unsynced_snapshots.extend(collected.snapshots);
            self.io_failed("a checkpoint", &error);
            return Err(error.into());
        }
        if syncs == Syncs::Together {
            // They are closed here: ten thousand logs would have too many open until the sync.
            let closed = collected.segments().try_for_each(|segment| segment.take_unsynced_indexes().map(drop));
            closed.inspect_err(|error| {
                self.fail_directory(format_args!("checkpoint of {}: {error}", self.topic_partition));
            })?;
            collected.folder_changes = self.group_commit.changed_folders(self.directory.path()).changes;
        }
        Ok(collected)
    }

    /// Syncs what a checkpoint has written, file by file.
    fn complete(&self, begun: &Collected, now_ms: TimestampMs) -> Result<Offset, StorageError> {
        if let Err(error) = self.sync_collected(begun) {
            self.fail_directory(format_args!("checkpoint of {}: {error}", self.topic_partition));
            return Err(error.into());
        }
        self.finish_checkpoint(begun, now_ms)
    }

    /// The second half of a checkpoint: what it has written is on the device.
    pub(super) fn finish_checkpoint(
        &self,
        collected: &Collected,
        now_ms: TimestampMs,
    ) -> Result<Offset, StorageError> {
        let &Collected { log_end_offset, generation, folder_changes, .. } = collected;
        self.group_commit.folders_synced(folder_changes);
        self.take_in_new_snapshot(collected)?;
        if self.group_commit.advance(log_end_offset, generation, Some(now_ms)) {
            self.recovery_point.store(log_end_offset.0, Ordering::Release);
            self.group_commit.tell(Ok(self.flushed_offset()));
        }
        Ok(self.recovery_point())
    }

    fn write_new_snapshot(&self, collected: &Collected) -> io::Result<()> {
        match &collected.new_snapshot {
            Some((content, _)) => self.write_snapshot_file(collected.log_end_offset, content),
            None => Ok(()),
        }
    }

    fn take_in_new_snapshot(&self, collected: &Collected) -> io::Result<()> {
        let Some((_, grown_bytes)) = collected.new_snapshot else { return Ok(()) };
        let offset = collected.log_end_offset;
        let mut writer = self.lock_writer();
        if self.group_commit.generation() != collected.generation {
            // The log was truncated meanwhile: its history at this offset is another one now.
            return self.directory.disk().remove_file(&self.directory.file(FileKind::ProducerSnapshot, offset));
        }
        writer.bytes_since_snapshot = writer.bytes_since_snapshot.saturating_sub(grown_bytes);
        if writer.checkpoint_snapshots.last().is_none_or(|last| *last < offset) {
            writer.checkpoint_snapshots.push(offset);
        }
        Ok(())
    }

    fn sync_collected(&self, collected: &Collected) -> io::Result<()> {
        for file in self.files_between(self.flushed_offset(), collected.log_end_offset)? {
            file.sync()?;
        }
        let mut has_new_names = false;
        for segment in collected.segments() {
            for index in segment.take_unsynced_indexes()? {
                index.sync()?;
                has_new_names = true;
            }
        }
        let new_snapshot = collected.new_snapshot.as_ref().map(|_| collected.log_end_offset);
        for offset in collected.snapshots.iter().copied().chain(new_snapshot) {
            has_new_names = true;
            match self.directory.open(FileKind::ProducerSnapshot, offset, OpenMode::ReadWrite) {
                Ok(snapshot) => snapshot.sync()?,
                // Its segment was deleted meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        if has_new_names {
            self.group_commit.files_created(false);
        }
        let folders = self.group_commit.changed_folders(self.directory.path());
        for folder in &folders.paths {
            self.directory.disk().sync_directory(folder)?;
        }
        self.group_commit.folders_synced(folders.changes);
        Ok(())
    }
}

/// Replaces the file of the epochs. One that a crash has torn before everything was synced is built anew from the log.
pub(super) fn write_epochs(directory: &PartitionDirectory, content: &str, syncs: Syncs) -> io::Result<()> {
    let (disk, path) = (directory.disk(), directory.path().join(LEADER_EPOCH_CHECKPOINT));
    if syncs == Syncs::Each {
        return disk.write_atomically(&path, content.as_bytes());
    }
    let temporary = temporary_path(&path);
    let file = disk.open(&temporary, OpenMode::Create)?;
    file.set_size_bytes(0)?;
    file.write_all_at(&[IoSlice::new(content.as_bytes())], 0)?;
    disk.rename(&temporary, &path)
}
