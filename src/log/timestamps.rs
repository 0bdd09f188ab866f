//! From a point in time to an offset (ListOffsets).

use std::sync::Arc;

use super::batch_check::records_limit_bytes;
use super::batch_scan::{self, PlacedBatch};
use super::errors::StorageError;
use super::partition_log::PartitionLog;
use super::segment::Segment;
use super::time_index::NO_TIMESTAMP;
use crate::ids::{LeaderEpoch, Offset};
use crate::protocol::records::BatchRecords;
use crate::time::TimestampMs;

/// A record that was found by its timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampedOffset {
    pub timestamp: TimestampMs,
    pub offset: Offset,
    pub leader_epoch: LeaderEpoch,
}

impl PartitionLog {
    /// The first record whose timestamp is `target` or later; `None`: there is none. Timestamps need not ascend.
    ///
    /// Reads batches, from the device perhaps, and decompresses them: not for a thread that must not wait.
    pub fn offset_for_timestamp(&self, target: TimestampMs) -> Result<Option<TimestampedOffset>, StorageError> {
        self.check_online()?;
        let log_start_offset = self.log_start_offset();
        for segment in self.segments.load_full().iter() {
            if segment.max_timestamp().timestamp < target {
                continue;
            }
            if let Some(found) = find_in_segment(segment, target, log_start_offset)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The record with the largest timestamp, the first of several (KIP-734); `None`: no record has a timestamp.
    pub fn offset_of_max_timestamp(&self) -> Result<Option<TimestampedOffset>, StorageError> {
        self.check_online()?;
        let segments = self.segments.load_full();
        let mut newest: Option<&Arc<Segment>> = None;
        for segment in segments.iter() {
            let timestamp = segment.max_timestamp().timestamp;
            if timestamp > newest.map_or(NO_TIMESTAMP, |newest| newest.max_timestamp().timestamp) {
                newest = Some(segment);
            }
        }
        let Some(newest) = newest else { return Ok(None) };
        find_in_segment(newest, newest.max_timestamp().timestamp, self.log_start_offset())
    }
}

/// The first record at or above `from` whose timestamp is `target` or later.
fn find_in_segment(
    segment: &Segment,
    target: TimestampMs,
    from: Offset,
) -> Result<Option<TimestampedOffset>, StorageError> {
    // Up to the offset of an entry below the target, all is older; an entry of the very target's is where it was
    // first seen.
    let hint = segment.time_index.lookup(target)?.offset.max(from);
    let mut scan = segment.scan_from(segment.offset_index.lookup(hint)?.position);
    while let Some(batch) = scan.next()? {
        if batch.header.max_timestamp < target || batch.header.last_offset() < from {
            continue;
        }
        if let Some(found) = find_in_batch(segment, &batch, target, from)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn find_in_batch(
    segment: &Segment,
    batch: &PlacedBatch,
    target: TimestampMs,
    from: Offset,
) -> Result<Option<TimestampedOffset>, StorageError> {
    let bytes = batch_scan::read_whole(&**segment.log_file(), batch)?;
    let records = BatchRecords::open(&bytes, records_limit_bytes(bytes.len())).map_err(not_readable)?;
    for record in records.walk() {
        let record = record.map_err(not_readable)?;
        let (timestamp, offset) = (record.timestamp_ms(&batch.header), record.offset(&batch.header));
        if timestamp >= target && offset >= from {
            return Ok(Some(TimestampedOffset { timestamp, offset, leader_epoch: batch.header.leader_epoch }));
        }
    }
    Ok(None)
}

fn not_readable(error: impl std::error::Error + Send + Sync + 'static) -> StorageError {
    StorageError::Io(std::io::Error::new(std::io::ErrorKind::InvalidData, error))
}
