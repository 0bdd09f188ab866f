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
        fate: BatchFate,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::LeaderEpoch;
    use crate::protocol::batch;
    use crate::protocol::records::{EndTransactionMarker, NewRecord, RecordBatchBuilder, TransactionOutcome};

    const RULES: RoundRules = RoundRules { now_ms: 1000, delete_retention_ms: 50, end_offset: Offset(100) };
    const DROPPED: BatchFate = BatchFate { keeps_empty: false, drops_records: true, is_outlived_marker: false };
    const KEPT: BatchFate = BatchFate { drops_records: false, ..DROPPED };

    /// Two records from `offset` on.
    fn data(offset: i64, producer: i64) -> BatchHeader {
        let mut builder = RecordBatchBuilder::new(Offset(offset)).producer(ProducerId(producer), ProducerEpoch(1), 0);
        builder.append(&NewRecord::default()).append(&NewRecord::default());
        BatchHeader::read(&builder.build().unwrap()).unwrap()
    }

    fn marker(offset: i64, delete_horizon_ms: Option<TimestampMs>) -> BatchHeader {
        let marker = EndTransactionMarker { outcome: TransactionOutcome::Abort, coordinator_epoch: 0 };
        let batch = marker.batch(Offset(offset), LeaderEpoch(0), 0, ProducerId(1), ProducerEpoch(1));
        let mut header = BatchHeader::read(&batch).unwrap();
        if let Some(horizon_ms) = delete_horizon_ms {
            header.attributes |= batch::DELETE_HORIZON_BIT;
            header.base_timestamp = horizon_ms;
        }
        header
    }

    fn known(data_offset: Option<i64>, epoch: i16) -> HashMap<ProducerId, LastRecord> {
        let last = LastRecord { data_offset: data_offset.map(Offset), epoch: ProducerEpoch(epoch) };
        HashMap::from([(ProducerId(1), last)])
    }

    #[test]
    fn aborted_data_goes_at_once_and_a_marker_at_its_horizon() {
        let nobody = HashMap::new();
        assert_eq!(RULES.fate_of(&data(10, 1), false, &nobody), KEPT);
        assert_eq!(RULES.fate_of(&data(10, 1), true, &nobody), DROPPED);
        assert_eq!(RULES.fate_of(&marker(10, None), false, &nobody), KEPT);
        let outlived = BatchFate { is_outlived_marker: true, ..KEPT };
        assert_eq!(RULES.fate_of(&marker(10, None), true, &nobody), outlived);
        assert_eq!(RULES.fate_of(&marker(10, Some(1001)), true, &nobody), outlived);
        assert_eq!(
            RULES.fate_of(&marker(10, Some(1000)), true, &nobody),
            BatchFate { drops_records: true, ..outlived }
        );
        assert_eq!(RULES.new_delete_horizon_ms(&marker(10, None), outlived, false), Some(1050));
        assert_eq!(RULES.new_delete_horizon_ms(&marker(10, Some(7)), outlived, false), None);
    }

    #[test]
    fn what_a_restart_must_find_stays() {
        let keeps = |header: &BatchHeader, known: &HashMap<_, _>| RULES.fate_of(header, true, known).keeps_empty;
        assert!(keeps(&data(10, 1), &known(Some(11), 1)));
        assert!(!keeps(&data(10, 1), &known(Some(13), 1)), "there is a later one");
        assert!(!keeps(&data(10, 2), &known(Some(11), 1)), "another producer");
        assert!(!keeps(&data(10, -1), &known(Some(11), 1)), "no producer at all");
        assert!(keeps(&marker(10, None), &known(None, 1)), "nothing but the marker tells of the epoch");
        assert!(!keeps(&marker(10, None), &known(None, 2)));
        assert!(!keeps(&marker(10, None), &known(Some(4), 1)));
        assert!(keeps(&data(98, 7), &HashMap::new()), "the end of the round");
        assert!(!keeps(&data(97, 7), &HashMap::new()));
    }
}
