//! Going on in a new segment.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, IoSlice};
use std::sync::Arc;

use super::directory::FileKind;
use super::errors::StorageError;
use super::partition_log::{PartitionLog, Segments, Writer};
use super::segment::Segment;
use crate::config::LogConfig;
use crate::ids::Offset;
use crate::io::OpenMode;
use crate::time::TimestampMs;

impl PartitionLog {
    /// Closes the active segment and begins a new one at the end of the log; an empty one stays.
    pub fn roll(&self, now_ms: TimestampMs) -> Result<(), StorageError> {
        let mut writer = self.lock_writer();
        self.check_online()?;
        let next_offset = self.log_end_offset();
        let rolled = self.roll_at(&mut writer, next_offset, now_ms);
        Ok(rolled.inspect_err(|error| self.io_failed("a roll", error))?)
    }

    /// As [`PartitionLog::roll`], the next record having `next_offset`. On an error the log goes on in the old one.
    pub(super) fn roll_at(&self, writer: &mut Writer, next_offset: Offset, now_ms: TimestampMs) -> io::Result<()> {
        let closing = Arc::clone(&writer.active);
        if closing.base_offset() == next_offset {
            // An index without room for a single entry asks for it; a new segment would have no more.
            return Ok(());
        }
        closing.close_indexes()?;
        // Recovery of the new segment begins with this; without it, it would begin further back.
        writer.producer_state.set_map_end_offset(next_offset);
        self.write_producer_snapshot(writer, next_offset)?;
        let opened = Segment::create(&self.directory, next_offset, now_ms).inspect_err(|_| {
            // An empty file would hide from a restart what the old segment goes on to take. If it can't be removed
            // either, recovery does it.
            drop(self.directory.disk().remove_file(&self.directory.file(FileKind::Log, next_offset)));
        })?;
        let opened = Arc::new(opened);
        self.group_commit.files_created(false);

        let mut segments = Segments::clone(&self.segments.load());
        segments.push(opened);
        self.publish_segments(writer, segments);
        writer.unsynced_closed.push(closing);
        tracing::debug!(partition = %self.topic_partition, base_offset = %next_offset, "rolled a new segment");
        Ok(())
    }

    /// Writes the state of all producers below `offset`; a checkpoint syncs it.
    pub(super) fn write_producer_snapshot(&self, writer: &mut Writer, offset: Offset) -> io::Result<()> {
        self.write_snapshot_file(offset, &writer.producer_state.encode_snapshot())?;
        writer.bytes_since_snapshot = 0;
        if !writer.unsynced_snapshots.contains(&offset) {
            writer.unsynced_snapshots.push(offset);
        }
        Ok(())
    }

    /// A torn one fails its own checksum.
    pub(super) fn write_snapshot_file(&self, offset: Offset, content: &[u8]) -> io::Result<()> {
        let file = self.directory.open(FileKind::ProducerSnapshot, offset, OpenMode::Create)?;
        file.set_size_bytes(0)?;
        file.write_all_at(&[IoSlice::new(content)], 0)
    }

    /// By how much a segment rolls earlier than `segment.ms`, so that many partitions do not roll at once. It follows
    /// from the segment's name: spread is wanted, not surprise.
    pub(super) fn roll_jitter_ms(&self, base_offset: Offset, config: &LogConfig) -> i64 {
        let bound_ms = config.segment_jitter_ms.min(config.segment_ms);
        if bound_ms <= 0 {
            return 0;
        }
        let mut hasher = DefaultHasher::new();
        (&self.topic_partition, base_offset).hash(&mut hasher);
        (hasher.finish() % bound_ms as u64) as i64
    }
}
