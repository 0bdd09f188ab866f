//! Building state from records that are trusted: only their headers are read.

use std::io;

use super::super::leader_epochs::LeaderEpochs;
use super::super::producer_rebuild;
use super::super::producer_state::ProducerStateManager;
use super::super::segment::Segment;
use crate::ids::Offset;
use crate::time::TimestampMs;

/// Takes in the batches between the producers' own end and `up_to`.
pub(super) fn replay(
    producers: &mut ProducerStateManager,
    segments: &[Segment],
    up_to: Offset,
    now_ms: TimestampMs,
) -> io::Result<()> {
    let from = producers.map_end_offset();
    if from >= up_to {
        return Ok(());
    }
    let first = segments.partition_point(|segment| segment.base_offset() <= from).saturating_sub(1);
    for segment in &segments[first..] {
        producer_rebuild::replay(segment, producers.map_end_offset(), up_to, producers, now_ms)?;
    }
    Ok(())
}

/// Takes in the epochs of the batches from `from` to below `up_to`.
pub(super) fn rebuild_epochs(
    epochs: &mut LeaderEpochs,
    segments: &[Segment],
    from: Offset,
    up_to: Offset,
) -> io::Result<()> {
    let first = segments.partition_point(|segment| segment.base_offset() <= from).saturating_sub(1);
    for segment in &segments[first..] {
        let Some(start) = segment.find_batch(from)? else { continue };
        let mut scan = segment.scan_from(start.position);
        while let Some(batch) = scan.next()? {
            if batch.header.base_offset >= up_to {
                return Ok(());
            }
            if epochs.latest_epoch().is_none_or(|latest| batch.header.leader_epoch > latest) {
                epochs.assign(batch.header.leader_epoch, batch.header.base_offset);
            }
        }
    }
    Ok(())
}
