//! The segment that a group of segments becomes, on its way: its files end with `.cleaned`.

use std::io::{self, IoSlice};

use super::super::directory::{CLEANED_SUFFIX, FileKind, PartitionDirectory, SWAP_SUFFIX};
use super::super::partition_log::PartitionLog;
use super::super::replacement::CleanedFiles;
use super::super::segment::{MAX_SEGMENT_BYTES, Segment};
use super::super::time_index::{NO_TIMESTAMP, TimestampOffset};
use super::super::txn_index::AbortedTxn;
use crate::ids::Offset;
use crate::io::DiskFile;
use crate::protocol::batch::BatchHeader;
use crate::time::TimestampMs;

/// A segment that only the cleaner knows.
pub(super) struct CleanedSegment {
    segment: Segment,
    /// Batches that are not written yet.
    buffer: Vec<u8>,
    buffer_bytes: usize,
    /// Bytes in the file.
    written_bytes: u64,
    index_interval_bytes: u64,
    last_indexed: u64,
    max_timestamp: TimestampOffset,
    has_aborted: bool,
}

impl CleanedSegment {
    /// A new one of that name. What an earlier try has left of it is emptied.
    pub(super) fn create(
        log: &PartitionLog,
        base_offset: Offset,
        buffer_bytes: usize,
        now_ms: TimestampMs,
    ) -> io::Result<Self> {
        let segment = Segment::create(&log.directory.suffixed(CLEANED_SUFFIX), base_offset, now_ms)?;
        Ok(Self {
            segment,
            buffer: Vec::new(),
            buffer_bytes,
            written_bytes: 0,
            index_interval_bytes: log.config.load().index_interval_bytes.max(0) as u64,
            last_indexed: 0,
            max_timestamp: TimestampOffset { timestamp: NO_TIMESTAMP, offset: base_offset },
            has_aborted: false,
        })
    }

    /// Adds a whole batch, of higher offsets than the one before.
    pub(super) fn push(&mut self, header: &BatchHeader, batch: &[u8]) -> io::Result<()> {
        let position = self.size_bytes();
        if position + batch.len() as u64 > MAX_SEGMENT_BYTES {
            let reason = format!("the cleaned segment would take more than {MAX_SEGMENT_BYTES} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        if header.max_timestamp > self.max_timestamp.timestamp {
            self.max_timestamp = TimestampOffset { timestamp: header.max_timestamp, offset: header.last_offset() };
        }
        if position - self.last_indexed > self.index_interval_bytes {
            self.segment.offset_index.append(header.last_offset(), position);
            self.segment.time_index.maybe_append(self.max_timestamp);
            self.last_indexed = position;
        }
        self.buffer.extend_from_slice(batch);
        if self.buffer.len() >= self.buffer_bytes { self.write_buffer() } else { Ok(()) }
    }

    /// Adds an entry to the transaction index: its marker is kept.
    pub(super) fn push_aborted(&mut self, transaction: &AbortedTxn) -> io::Result<()> {
        self.has_aborted = true;
        self.segment.txn_index.append(transaction)
    }

    pub(super) fn size_bytes(&self) -> u64 {
        self.written_bytes + self.buffer.len() as u64
    }

    /// Brings all of it to the device.
    pub(super) fn finish(mut self, log: &PartitionLog) -> io::Result<CleanedFiles> {
        self.write_buffer()?;
        self.segment.set_size_bytes(self.written_bytes);
        self.segment.state.lock().max_timestamp = self.max_timestamp;
        self.segment.close_indexes()?;
        let log_file = self.segment.log_file().to_sync()?;
        let files = log_file.into_iter().chain(self.segment.take_unsynced_indexes()?);
        files.into_iter().try_for_each(|file| file.sync()).inspect_err(|error| {
            log.fail_directory(format_args!("sync of a cleaned segment of {}: {error}", log.topic_partition()));
        })?;
        let kinds = FileKind::OF_SEGMENT.into_iter().filter(|kind| *kind != FileKind::TxnIndex || self.has_aborted);
        Ok(CleanedFiles { base_offset: self.segment.base_offset(), kinds: kinds.collect() })
    }

    fn write_buffer(&mut self) -> io::Result<()> {
        self.segment.log_file().write_all_at(&[IoSlice::new(&self.buffer)], self.written_bytes)?;
        self.written_bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// Removes the files of a cleaned segment that is of no use any more. What can't be removed, the next start removes.
pub(super) fn discard(directory: &PartitionDirectory, base_offset: Offset) {
    // The log last of those that count: as long as it is there, a restart would take it for what it is, a good one.
    for suffix in [CLEANED_SUFFIX, SWAP_SUFFIX] {
        let named = directory.suffixed(suffix);
        for kind in FileKind::OF_SEGMENT.into_iter().rev() {
            let path = named.file(kind, base_offset);
            if let Err(error) = directory.disk().remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "a cleaned file that is of no use stays");
            }
        }
    }
}
