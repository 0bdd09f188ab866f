//! Cutting the end off a log: what a follower does where its leader has another history.

use std::io;
use std::sync::Arc;

use super::directory::FileKind;
use super::errors::StorageError;
use super::partition_log::{PartitionLog, Segments, Writer};
use super::producer_rebuild::{rebuild_producer_state, snapshot_offsets};
use super::segment::Segment;
use crate::ids::Offset;
use crate::io::DiskFile;
use crate::time::TimestampMs;

impl PartitionLog {
    /// Cuts off the records from `offset` on, and the batch that holds it as a whole; says whether there were any.
    /// The recovery point may have gone back: it is to be written down before anything is appended.
    ///
    /// Durable when it returns: waits for the device. Whoever reads what goes may still see it; a follower's readers never
    /// come that far.
    pub fn truncate_to(&self, offset: Offset, now_ms: TimestampMs) -> Result<bool, StorageError> {
        let _gate = self.cleaning_gate.lock();
        let mut writer = self.lock_writer();
        self.check_online()?;
        if offset >= self.log_end_offset() {
            // An epoch may have begun here without a record of its own.
            writer.epochs_changed |= writer.leader_epochs.truncate_from_end(self.log_end_offset());
            return Ok(false);
        }
        let begins_at = self.segments.load().first().map_or(Offset::ZERO, |first| first.base_offset());
        let result = if offset < begins_at {
            self.restart(&mut writer, offset, offset, now_ms)
        } else {
            self.cut_at(&mut writer, offset, now_ms)
        };
        self.broken_on_error(result)?;
        Ok(true)
    }

    /// Drops all records; the log begins at `log_start_offset` and goes on at `offset`.
    pub fn truncate_fully_and_start_at(
        &self,
        offset: Offset,
        log_start_offset: Offset,
        now_ms: TimestampMs,
    ) -> Result<(), StorageError> {
        let _gate = self.cleaning_gate.lock();
        let mut writer = self.lock_writer();
        self.check_online()?;
        let result = self.restart(&mut writer, log_start_offset.min(offset), offset, now_ms);
        self.broken_on_error(result)
    }

    /// Half a truncation leaves files and state apart.
    fn broken_on_error(&self, result: io::Result<()>) -> Result<(), StorageError> {
        if let Err(error) = &result {
            self.mark_broken(error);
        }
        Ok(result?)
    }

    fn cut_at(&self, writer: &mut Writer, offset: Offset, now_ms: TimestampMs) -> io::Result<()> {
        let segments = self.segments.load_full();
        let kept = segments.partition_point(|segment| segment.base_offset() <= offset).max(1);
        let active = &segments[kept - 1];
        // A batch goes as a whole, so the log may end before `offset`.
        let end_offset = active.find_batch(offset)?.map_or(offset, |batch| batch.header.base_offset.min(offset));
        self.publish_truncation(writer, end_offset);
        self.group_commit.truncated_to(end_offset);
        self.recent.lock().clear();
        self.damage.truncated_to(end_offset);
        active.truncate_to(offset, now_ms)?;
        self.publish_segments(writer, segments[..kept].to_vec());
        self.retire(&segments[kept..], now_ms)?;
        // A crash must not bring back what was cut off: it would stand where others are appended from now on, and these
        // may lie in a later segment, whose syncs do not cover this one.
        active.log_file().sync().inspect_err(|error| {
            self.fail_directory(format_args!("sync of the truncated {}: {error}", self.topic_partition));
        })?;
        self.sync_folder()?;
        self.forget_from(writer, end_offset, now_ms)
    }

    fn restart(
        &self,
        writer: &mut Writer,
        log_start_offset: Offset,
        offset: Offset,
        now_ms: TimestampMs,
    ) -> io::Result<()> {
        let old = self.segments.load_full();
        self.publish_restart(writer, log_start_offset, offset);
        self.group_commit.restarted_at(offset);
        self.recent.lock().clear();
        self.damage.truncated_to(Offset::ZERO);
        self.retire(&old, now_ms)?;
        let segments: Segments = vec![Arc::new(Segment::create(&self.directory, offset, now_ms)?)];
        self.sync_folder()?;
        self.publish_segments(writer, segments);
        writer.leader_epochs.clear();
        writer.epochs_changed = true;
        for snapshot in snapshot_offsets(&self.directory)? {
            self.directory.disk().remove_file(&self.directory.file(FileKind::ProducerSnapshot, snapshot))?;
        }
        writer.unsynced_snapshots.clear();
        writer.checkpoint_snapshots.clear();
        writer.producer_state.truncate_fully_and_start_at(offset);
        self.publish_first_unstable_offset(writer);
        Ok(())
    }

    /// Epochs and producers are those of the records that are left.
    fn forget_from(&self, writer: &mut Writer, offset: Offset, now_ms: TimestampMs) -> io::Result<()> {
        writer.epochs_changed |= writer.leader_epochs.truncate_from_end(offset);
        for snapshot in snapshot_offsets(&self.directory)?.into_iter().filter(|&snapshot| snapshot > offset) {
            self.directory.disk().remove_file(&self.directory.file(FileKind::ProducerSnapshot, snapshot))?;
        }
        writer.unsynced_snapshots.retain(|&snapshot| snapshot <= offset);
        writer.checkpoint_snapshots.retain(|&snapshot| snapshot <= offset);
        let segments = self.segments.load_full();
        let log_start_offset = self.log_start_offset();
        let producers = &mut writer.producer_state;
        rebuild_producer_state(&self.directory, &segments, log_start_offset, offset, producers, now_ms)?;
        self.publish_first_unstable_offset(writer);
        self.write_producer_snapshot(writer, offset)?;
        writer.checkpoint_snapshots.push(offset);
        Ok(())
    }
}
