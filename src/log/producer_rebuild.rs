//! The producer state as of an offset: from the newest snapshot at or below it, and the batches since.

use std::io;
use std::sync::Arc;

use super::batch_scan::{self, PlacedBatch};
use super::directory::{FileKind, PartitionDirectory};
use super::producer_state::{EndTxnMarker, ProducerStateManager};
use super::segment::Segment;
use crate::ids::Offset;
use crate::time::TimestampMs;

/// A snapshot is 46 bytes for each of up to 5 batches of each producer.
pub(crate) const MAX_SNAPSHOT_BYTES: u64 = 256 << 20;
/// A control batch holds one small record.
pub(crate) const MAX_CONTROL_BATCH_BYTES: usize = 1 << 20;

/// The offsets of the producer snapshots in a folder, in ascending order.
pub fn snapshot_offsets(directory: &PartitionDirectory) -> io::Result<Vec<Offset>> {
    let mut offsets = Vec::new();
    for entry in directory.disk().list(&directory.path())? {
        if let Some((FileKind::ProducerSnapshot, offset)) = FileKind::parse(&entry.name) {
            offsets.push(offset);
        }
    }
    offsets.sort_unstable();
    Ok(offsets)
}

/// Loads the newest sound snapshot at or below `up_to`, and says which one; `None` leaves `producers` empty. One that
/// is not sound was torn by a crash; an older one does as well, with more to read behind it. Not one from below
/// `first_offset`, where the segments begin: what came between is deleted, and a producer that wrote there would be
/// told that it left a gap.
pub fn load_snapshot(
    directory: &PartitionDirectory,
    first_offset: Offset,
    up_to: Offset,
    producers: &mut ProducerStateManager,
    now_ms: TimestampMs,
) -> io::Result<Option<Offset>> {
    let range = first_offset..=up_to;
    for offset in snapshot_offsets(directory)?.into_iter().rev().filter(|offset| range.contains(offset)) {
        let path = directory.file(FileKind::ProducerSnapshot, offset);
        let content = directory.disk().read(&path, MAX_SNAPSHOT_BYTES)?;
        match ProducerStateManager::decode_snapshot(&content) {
            Ok(entries) => {
                producers.load(entries, offset, now_ms);
                return Ok(Some(offset));
            }
            Err(error) => tracing::warn!(path = %path.display(), %error, "producer snapshot passed over"),
        }
    }
    Ok(None)
}

/// Sets `producers` to the state of all records that are left below `up_to`. The segments hold sound
/// batches: only headers and markers are read.
pub fn rebuild_producer_state(
    directory: &PartitionDirectory,
    segments: &[Arc<Segment>],
    log_start_offset: Offset,
    up_to: Offset,
    producers: &mut ProducerStateManager,
    now_ms: TimestampMs,
) -> io::Result<()> {
    let first_offset = segments.first().map_or(log_start_offset, |first| first.base_offset());
    if load_snapshot(directory, first_offset, up_to, producers, now_ms)?.is_none() {
        producers.truncate_fully_and_start_at(first_offset);
    }
    for (index, segment) in segments.iter().enumerate() {
        let from = producers.map_end_offset();
        let ends_below = segments.get(index + 1).is_some_and(|next| next.base_offset() <= from);
        if ends_below || segment.base_offset() >= up_to {
            continue;
        }
        replay(segment, from, up_to, producers, now_ms)?;
    }
    producers.set_map_end_offset(up_to);
    Ok(())
}

/// Takes in the batches of one segment from the one that holds `from` on, up to `up_to`.
pub(super) fn replay(
    segment: &Segment,
    from: Offset,
    up_to: Offset,
    producers: &mut ProducerStateManager,
    now_ms: TimestampMs,
) -> io::Result<()> {
    let Some(first) = segment.find_batch(from)? else { return Ok(()) };
    let mut scan = segment.scan_from(first.position);
    while let Some(batch) = scan.next()? {
        if batch.header.base_offset >= up_to {
            break;
        }
        let marker = read_marker(segment, &batch)?;
        producers.replay(&batch.header, marker.as_ref(), now_ms);
    }
    Ok(())
}

/// The end of a transaction that a batch holds, if it is such a batch.
pub(super) fn read_marker(segment: &Segment, batch: &PlacedBatch) -> io::Result<Option<EndTxnMarker>> {
    if !batch.header.is_control() || batch.header.size_bytes() > MAX_CONTROL_BATCH_BYTES {
        return Ok(None);
    }
    let bytes = batch_scan::read_whole(&**segment.log_file(), batch)?;
    Ok(EndTxnMarker::read(&batch.header, &bytes).unwrap_or_else(|error| {
        tracing::warn!(offset = %batch.header.base_offset, %error, "a control record that means nothing is passed over");
        None
    }))
}
