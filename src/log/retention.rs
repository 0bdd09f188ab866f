//! What goes from the beginning of a log: by age, by size, and by request.

use std::io;
use std::sync::Arc;

use super::errors::StorageError;
use super::partition_log::{PartitionLog, Segments, Writer};
use super::segment::Segment;
use crate::config::LogConfig;
use crate::error::ErrorCode;
use crate::ids::Offset;
use crate::time::TimestampMs;

/// Why records are not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteRecordsError {
    #[error("cleanup.policy of the topic has no 'delete'")]
    NotDeletable,
    #[error("offset {offset} is not below the high watermark {high_watermark}")]
    OffsetOutOfRange { offset: Offset, high_watermark: Offset },
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl DeleteRecordsError {
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotDeletable => ErrorCode::PolicyViolation,
            Self::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
            Self::Storage(error) => error.code(),
        }
    }
}

impl PartitionLog {
    /// Makes the records below `before` unreadable (DeleteRecords), and says where the log begins now; -1 stands for
    /// the high watermark. Segments wholly below go with the next [`PartitionLog::delete_old_segments`].
    pub fn delete_records(&self, before: Offset) -> Result<Offset, DeleteRecordsError> {
        self.check_online()?;
        if !self.config.load().cleanup_policy.delete {
            return Err(DeleteRecordsError::NotDeletable);
        }
        let high_watermark = self.high_watermark();
        let before = if before == Offset::NONE { high_watermark } else { before };
        if before < Offset::ZERO || before > high_watermark {
            return Err(DeleteRecordsError::OffsetOutOfRange { offset: before, high_watermark });
        }
        self.health.begin_write().map_err(StorageError::from)?;
        self.increment_log_start_offset(before);
        Ok(self.log_start_offset())
    }

    /// Moves the log's beginning forward, not back. A follower learns it from its leader.
    pub fn increment_log_start_offset(&self, to: Offset) {
        self.move_start(&mut self.lock_writer(), to);
    }

    /// Removes the segments that the configuration has no use for any more, and says how many: those wholly below the
    /// log's beginning; where the policy says delete, also those that are too old or too many. Nothing at or above
    /// the high watermark goes.
    ///
    /// Their files are renamed; [`PartitionLog::remove_due_files`] removes them later.
    pub fn delete_old_segments(&self, now_ms: TimestampMs) -> Result<usize, StorageError> {
        self.check_online()?;
        let config = self.config();
        let _gate = self.cleaning_gate.lock();
        let removed = {
            let mut writer = self.lock_writer();
            let segments = self.segments.load_full();
            let count = self.count_deletable(&segments, &config, now_ms);
            if count == segments.len() {
                // There is always an active segment.
                self.roll_at(&mut writer, self.log_end_offset(), now_ms)?;
            }
            self.drop_first(&mut writer, count)
        };
        self.retire(&removed, now_ms)?;
        if let (Some(first), Some(last)) = (removed.first(), removed.last()) {
            let (first, last) = (first.base_offset(), last.base_offset());
            tracing::info!(partition = %self.topic_partition, segments = removed.len(), %first, %last, "deleted segments");
        }
        Ok(removed.len())
    }

    /// How many segments go, from the first on.
    fn count_deletable(&self, segments: &Segments, config: &LogConfig, now_ms: TimestampMs) -> usize {
        let (high_watermark, log_start_offset) = (self.high_watermark(), self.log_start_offset());
        let mut surplus_bytes =
            limit_of(config.retention_bytes).and_then(|limit| self.size_bytes().checked_sub(limit));
        let mut count = 0;
        for (index, segment) in segments.iter().enumerate() {
            let next_base = segments.get(index + 1).map(|next| next.base_offset());
            let end_offset = next_base.unwrap_or_else(|| self.log_end_offset());
            if end_offset > high_watermark || (next_base.is_none() && segment.size_bytes() == 0) {
                break;
            }
            let is_below_start = next_base.is_some_and(|next_base| next_base <= log_start_offset);
            let is_too_old = limit_of(config.retention_ms).is_some_and(|limit| age_ms(segment, now_ms) > limit);
            // Only what is too much in whole segments goes.
            let is_too_much = surplus_bytes.is_some_and(|surplus| surplus >= segment.size_bytes());
            if !is_below_start && !(config.cleanup_policy.delete && (is_too_old || is_too_much)) {
                break;
            }
            surplus_bytes = surplus_bytes.and_then(|surplus| surplus.checked_sub(segment.size_bytes()));
            count += 1;
        }
        count
    }

    /// Takes the first `count` segments out of the list.
    fn drop_first(&self, writer: &mut Writer, count: usize) -> Segments {
        let mut removed = Segments::clone(&self.segments.load());
        let count = count.min(removed.len() - 1);
        if count == 0 {
            return Segments::new();
        }
        let kept = removed.split_off(count);
        // The beginning moves first: nobody is to look for what is no longer there.
        self.move_start(writer, kept[0].base_offset());
        self.publish_segments(writer, kept);
        writer.unsynced_closed.retain(|segment| !removed.iter().any(|gone| Arc::ptr_eq(gone, segment)));
        removed
    }

    fn move_start(&self, writer: &mut Writer, to: Offset) {
        if to <= self.log_start_offset() {
            return;
        }
        self.publish_log_start_offset(writer, to);
        writer.epochs_changed |= writer.leader_epochs.truncate_from_start(to);
        writer.producer_state.on_log_start_offset_incremented(to);
        self.publish_first_unstable_offset(writer);
    }

    /// Renames the files of segments that are out of the list; they go after `file.delete.delay.ms`.
    pub(super) fn retire(&self, removed: &[Arc<Segment>], now_ms: TimestampMs) -> io::Result<()> {
        let due_ms = now_ms.saturating_add(self.config.load().file_delete_delay_ms);
        removed.iter().try_for_each(|segment| self.removals.retire(&self.directory, segment, due_ms))
    }
}

/// `None`: unlimited, which the configuration writes as -1.
fn limit_of(value: i64) -> Option<u64> {
    u64::try_from(value).ok()
}

fn age_ms(segment: &Segment, now_ms: TimestampMs) -> u64 {
    now_ms.saturating_sub(segment.retention_timestamp()).max(0) as u64
}
