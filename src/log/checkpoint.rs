//! Checkpoints: all that recovery would otherwise have to read again goes to the device.
//!
//! ```text
//!  append lock          this thread                                      then, the log manager
//!  index tails ──▶ producer snapshot ──▶ epochs, sync of all files ──▶ recovery point
//!  to their files
//! ```
//! Everything here waits for the device, so it runs on threads of its own; appends and reads go on meanwhile. A full
//! device fails a checkpoint, which is tried again with the next one; a failed sync takes the directory offline.

use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::directory::FileKind;
use super::errors::StorageError;
use super::leader_epochs::LEADER_EPOCH_CHECKPOINT;
use super::partition_log::{PartitionLog, Writer};
use super::segment::Segment;
use crate::ids::Offset;
use crate::io::OpenMode;
use crate::time::TimestampMs;

/// What a checkpoint has to bring to the device, collected under the append lock.
struct Collected {
    log_end_offset: Offset,
    generation: u64,
    closed: Vec<Arc<Segment>>,
    active: Arc<Segment>,
    snapshots: Vec<Offset>,
    /// The content of the epoch file, where it has changed.
    epochs: Option<String>,
}

impl PartitionLog {
    /// Brings log, indexes, producer state and epochs to the device, and says up to which offset: the recovery point
    /// that may now be written down. Waits for the device.
    pub fn checkpoint(&self, now_ms: TimestampMs) -> Result<Offset, StorageError> {
        self.check_online()?;
        let collected = {
            let mut writer = self.lock_writer();
            if self.is_checkpointed(&writer) {
                return Ok(self.recovery_point());
            }
            self.collect(&mut writer)?
        };
        self.bring_to_device(collected, now_ms)
    }

    /// The last checkpoint: the time index of the active segment ends with its largest timestamp, as Kafka leaves it.
    /// Nothing may be appended any more.
    pub fn close(&self, now_ms: TimestampMs) -> Result<Offset, StorageError> {
        self.check_online()?;
        let collected = {
            let mut writer = self.lock_writer();
            writer.active.close_indexes()?;
            self.collect(&mut writer)?
        };
        self.bring_to_device(collected, now_ms)
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

    fn collect(&self, writer: &mut Writer) -> io::Result<Collected> {
        let log_end_offset = self.log_end_offset();
        writer.active.write_indexes()?;
        if self.recovery_point() != log_end_offset {
            self.write_producer_snapshot(writer, log_end_offset)?;
            if writer.checkpoint_snapshots.last() != Some(&log_end_offset) {
                writer.checkpoint_snapshots.push(log_end_offset);
            }
        }
        Ok(Collected {
            log_end_offset,
            generation: self.group_commit.generation(),
            closed: mem::take(&mut writer.unsynced_closed),
            active: Arc::clone(&writer.active),
            snapshots: mem::take(&mut writer.unsynced_snapshots),
            epochs: mem::take(&mut writer.epochs_changed).then(|| writer.leader_epochs.encode()),
        })
    }

    fn bring_to_device(&self, collected: Collected, now_ms: TimestampMs) -> Result<Offset, StorageError> {
        if let Err(error) = self.write_epochs(&collected) {
            let mut writer = self.lock_writer();
            writer.epochs_changed = true;
            writer.unsynced_closed.extend(collected.closed);
            writer.unsynced_snapshots.extend(collected.snapshots);
            return Err(error.into());
        }
        if let Err(error) = self.sync_collected(&collected) {
            self.fail_directory(format_args!("checkpoint of {}: {error}", self.topic_partition));
            return Err(error.into());
        }
        let Collected { log_end_offset, generation, .. } = collected;
        if self.group_commit.advance(log_end_offset, generation, Some(now_ms)) {
            self.recovery_point.store(log_end_offset.0, Ordering::Release);
            self.group_commit.tell(Ok(self.flushed_offset()));
        }
        Ok(self.recovery_point())
    }

    fn write_epochs(&self, collected: &Collected) -> io::Result<()> {
        let Some(epochs) = &collected.epochs else { return Ok(()) };
        self.directory
            .disk()
            .write_atomically(&self.directory.path().join(LEADER_EPOCH_CHECKPOINT), epochs.as_bytes())
    }

    fn sync_collected(&self, collected: &Collected) -> io::Result<()> {
        for file in self.files_between(self.flushed_offset(), collected.log_end_offset) {
            file.sync()?;
        }
        for segment in collected.closed.iter().chain([&collected.active]) {
            for index in segment.take_unsynced_indexes() {
                index.sync()?;
            }
        }
        for &offset in &collected.snapshots {
            match self.directory.open(FileKind::ProducerSnapshot, offset, OpenMode::ReadWrite) {
                Ok(snapshot) => snapshot.sync()?,
                // Its segment was deleted meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        self.group_commit.files_created(false);
        let folders = self.group_commit.changed_folders(self.directory.path());
        for folder in &folders.paths {
            self.directory.disk().sync_directory(folder)?;
        }
        self.group_commit.folders_synced(folders.changes);
        Ok(())
    }
}
