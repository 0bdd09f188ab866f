//! From a point in time to an offset (ListOffsets).

use std::sync::Arc;

use super::batch_scan::{self, PlacedBatch};
use super::errors::StorageError;
use super::open_records::open_records;
use super::partition_log::PartitionLog;
use super::segment::Segment;
use super::time_index::NO_TIMESTAMP;
use crate::ids::{LeaderEpoch, Offset};
use crate::protocol::records::{BatchRecords, RecordsError};
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
        let log_start_offset = self.log_start_offset();
        let Some((newest, timestamp)) =
            newest_of(segments.iter().map(|segment| Ok((segment, segment.max_timestamp().timestamp))))?
        else {
            return Ok(None);
        };
        if let Some(found) = find_in_segment(newest, timestamp, log_start_offset)? {
            return Ok(Some(found));
        }
        // That record is deleted: what is left of its segment has to be looked through.
        let visible = segments.iter().map(|segment| Ok((segment, visible_max_timestamp(segment, log_start_offset)?)));
        match newest_of(visible)? {
            Some((newest, timestamp)) => find_in_segment(newest, timestamp, log_start_offset),
            None => Ok(None),
        }
    }
}

/// The segment with the largest timestamp, the first of several; `None` where none has one.
fn newest_of<'a>(
    segments: impl Iterator<Item = Result<(&'a Arc<Segment>, TimestampMs), StorageError>>,
) -> Result<Option<(&'a Arc<Segment>, TimestampMs)>, StorageError> {
    let mut newest = None;
    for segment in segments {
        let (segment, timestamp) = segment?;
        if timestamp > newest.map_or(NO_TIMESTAMP, |(_, timestamp)| timestamp) {
            newest = Some((segment, timestamp));
        }
    }
    Ok(newest)
}

/// The largest timestamp of the records from `from` on.
fn visible_max_timestamp(segment: &Segment, from: Offset) -> Result<TimestampMs, StorageError> {
    if segment.base_offset() >= from {
        return Ok(segment.max_timestamp().timestamp);
    }
    let Some(first) = segment.find_batch(from)? else { return Ok(NO_TIMESTAMP) };
    let mut scan = segment.scan_from(first.position);
    let mut largest = NO_TIMESTAMP;
    while let Some(batch) = scan.next()? {
        if batch.header.base_offset >= from {
            largest = largest.max(batch.header.max_timestamp);
            continue;
        }
        visit_records(segment, &batch, |found| {
            if found.offset >= from {
                largest = largest.max(found.timestamp);
            }
            false
        })?;
    }
    Ok(largest)
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
    visit_records(segment, batch, |found| found.timestamp >= target && found.offset >= from)
}

/// Shows the records of a batch in order until `visitor` says true; says for which.
fn visit_records(
    segment: &Segment,
    batch: &PlacedBatch,
    mut visitor: impl FnMut(&TimestampedOffset) -> bool,
) -> Result<Option<TimestampedOffset>, StorageError> {
    let bytes = batch_scan::read_whole(&**segment.log_file(), batch)?;
    let visit = |max_bytes| {
        for record in BatchRecords::open(&bytes, max_bytes)?.walk() {
            let record = record?;
            let found = TimestampedOffset {
                timestamp: record.timestamp_ms(&batch.header),
                offset: record.offset(&batch.header),
                leader_epoch: batch.header.leader_epoch,
            };
            if visitor(&found) {
                return Ok(Some(found));
            }
        }
        Ok::<_, RecordsError>(None)
    };
    open_records(bytes.len(), visit).map_err(not_readable)
}

fn not_readable(error: impl std::error::Error + Send + Sync + 'static) -> StorageError {
    StorageError::Io(std::io::Error::new(std::io::ErrorKind::InvalidData, error))
}
