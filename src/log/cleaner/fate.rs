//! What becomes of a batch and of a record. Pure: Kafka's rules, one by one.
//!
//! ```text
//!  data     aborted: its records go           the rest: latest of its key stays, a tombstone until its horizon
//!  marker   while there is data: stays        the data is gone: gets a delete horizon, then goes
//!  either   last batch of its producer, or of the round: stays as a batch, if need be without a record
//! ```

use std::collections::HashMap;

use super::offset_map::OffsetMap;
use crate::ids::{Offset, ProducerEpoch, ProducerId};
use crate::protocol::batch::BatchHeader;
use crate::protocol::records::Record;
use crate::time::TimestampMs;

/// The newest that a partition knows of a producer: what a restart has to find in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LastRecord {
    /// Of its last data batch in its present epoch; `None`: there is only a marker.
    pub(super) data_offset: Option<Offset>,
    pub(super) epoch: ProducerEpoch,
}

/// What holds for all batches of one round of cleaning.
#[derive(Debug)]
pub(super) struct RoundRules {
    pub(super) now_ms: TimestampMs,
    pub(super) delete_retention_ms: i64,
    /// The first uncleanable offset: where the round would end if the map had room for everything.
    pub(super) end_offset: Offset,
}

/// What becomes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BatchFate {
    /// It stays even if none of its records does.
    pub(super) keeps_empty: bool,
    /// None of its records stays.
    pub(super) drops_records: bool,
    /// A marker that has outlived its transaction: its delete horizon runs.
    pub(super) is_outlived_marker: bool,
}

impl RoundRules {
    /// `is_discardable`: data of an aborted transaction, or a marker that has outlived its transaction.
    pub(super) fn fate_of(
        &self,
        header: &BatchHeader,
        is_discardable: bool,
        last_records: &HashMap<ProducerId, LastRecord>,
    ) -> BatchFate {
        BatchFate {
            keeps_empty: is_last_of_producer(header, last_records) || header.next_offset() == self.end_offset,
            drops_records: is_discardable && (!header.is_control() || self.is_past_horizon(header)),
            is_outlived_marker: is_discardable && header.is_control(),
        }
    }

    /// Whether a record of a data batch that is not discarded stays.
    pub(super) fn keeps_record(&self, header: &BatchHeader, record: &Record<'_>, map: &OffsetMap) -> bool {
        let offset = record.offset(header);
        if offset > map.latest_offset() {
            return true;
        }
        // Without a key nothing would ever replace it: it has no business in a compacted log.
        let Some(key) = record.key else { return false };
        let is_latest = map.get(key).is_none_or(|latest| offset >= latest);
        is_latest && (record.value.is_some() || !self.is_past_horizon(header))
    }

    /// The horizon that a batch of which something stays gets now.
    pub(super) fn new_delete_horizon_ms(
        &self,
        header: &BatchHeader,
        fate: &BatchFate,
        has_tombstone: bool,
    ) -> Option<TimestampMs> {
        let wants = (has_tombstone || fate.is_outlived_marker) && header.delete_horizon_ms().is_none();
        wants.then(|| self.now_ms.saturating_add(self.delete_retention_ms))
    }

    fn is_past_horizon(&self, header: &BatchHeader) -> bool {
        header.delete_horizon_ms().is_some_and(|horizon_ms| horizon_ms <= self.now_ms)
    }
}

/// The batch with the producer's last sequence number; where there is none in its epoch, a marker of that epoch, which
/// fences the earlier ones.
fn is_last_of_producer(header: &BatchHeader, last_records: &HashMap<ProducerId, LastRecord>) -> bool {
    if !header.has_producer_id() {
        return false;
    }
    last_records.get(&header.producer_id).is_some_and(|last| match last.data_offset {
        Some(offset) => header.last_offset() == offset,
        None => header.is_control() && header.producer_epoch == last.epoch,
    })
}
