//! One producer's state.

use crate::ids::{Offset, ProducerEpoch, ProducerId};
use crate::protocol::batch::BatchHeader;
use crate::time::TimestampMs;

use super::marker::EndTxnMarker;

/// A producer may have this many batches in flight (`max.in.flight.requests.per.connection` of an idempotent one),
/// so as many may come again.
pub const BATCHES_RETAINED: usize = 5;

/// The last sequence of a producer that has written nothing in its epoch.
pub(super) const NO_SEQUENCE: i32 = -1;

/// What identifies a batch that comes again, and what its producer is then told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchMetadata {
    pub last_sequence: i32,
    pub last_offset: Offset,
    pub offset_delta: i32,
    pub timestamp: TimestampMs,
}

impl BatchMetadata {
    pub fn first_offset(&self) -> Offset {
        self.last_offset + -i64::from(self.offset_delta)
    }

    /// Sequences wrap from `i32::MAX` to 0, backwards too.
    pub fn first_sequence(&self) -> i32 {
        let first = i64::from(self.last_sequence) - i64::from(self.offset_delta);
        first.rem_euclid(i64::from(i32::MAX) + 1) as i32
    }
}

/// The state of one producer id in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerStateEntry {
    pub producer_id: ProducerId,
    pub epoch: ProducerEpoch,
    /// Of the coordinator that wrote the last transaction marker; -1 before the first.
    pub coordinator_epoch: i32,
    /// The maximal timestamp of its last batch, or its last marker's.
    pub last_timestamp: TimestampMs,
    /// Where its open transaction begins.
    pub current_txn_first_offset: Option<Offset>,
    /// When it last wrote, by this broker's clock.
    pub(super) last_seen_ms: TimestampMs,
    /// Oldest first, `batch_count` of them: most producers of a busy broker are here, so no allocation each.
    batches: [BatchMetadata; BATCHES_RETAINED],
    batch_count: u8,
}

impl ProducerStateEntry {
    pub(super) fn empty(producer_id: ProducerId) -> Self {
        Self {
            producer_id,
            epoch: ProducerEpoch::NONE,
            coordinator_epoch: -1,
            last_timestamp: -1,
            current_txn_first_offset: None,
            last_seen_ms: 0,
            batches: Default::default(),
            batch_count: 0,
        }
    }

    /// Its last batches in this epoch, oldest first; none right after a new epoch began with a marker.
    pub fn batches(&self) -> &[BatchMetadata] {
        &self.batches[..usize::from(self.batch_count)]
    }

    pub fn last_sequence(&self) -> i32 {
        self.batches().last().map_or(NO_SEQUENCE, |batch| batch.last_sequence)
    }

    /// -1 where it has written nothing in this epoch.
    pub fn last_offset(&self) -> Offset {
        self.batches().last().map_or(Offset::NONE, |batch| batch.last_offset)
    }

    /// The batch of this epoch that has exactly these sequences.
    pub(super) fn find_duplicate(&self, header: &BatchHeader) -> Option<&BatchMetadata> {
        if header.producer_epoch != self.epoch {
            return None;
        }
        let (first, last) = (header.base_sequence, header.last_sequence());
        self.batches().iter().find(|known| known.first_sequence() == first && known.last_sequence == last)
    }

    pub(super) fn add_batch(&mut self, header: &BatchHeader) {
        self.begin_epoch(header.producer_epoch);
        self.push(BatchMetadata {
            last_sequence: header.last_sequence(),
            last_offset: header.last_offset(),
            offset_delta: header.last_offset_delta,
            timestamp: header.max_timestamp,
        });
        self.last_timestamp = header.max_timestamp;
    }

    /// Ends the open transaction and says where it began.
    pub(super) fn end_txn(&mut self, epoch: ProducerEpoch, marker: &EndTxnMarker) -> Option<Offset> {
        self.begin_epoch(epoch);
        self.coordinator_epoch = marker.coordinator_epoch;
        self.last_timestamp = marker.timestamp;
        self.current_txn_first_offset.take()
    }

    /// Takes in a later snapshot entry of the same producer.
    pub(super) fn continue_with(&mut self, later: &Self) {
        self.begin_epoch(later.epoch);
        for batch in later.batches() {
            self.push(*batch);
        }
        self.coordinator_epoch = later.coordinator_epoch;
        self.last_timestamp = later.last_timestamp;
        self.last_seen_ms = later.last_seen_ms;
        self.current_txn_first_offset = later.current_txn_first_offset;
    }

    pub(super) fn push(&mut self, batch: BatchMetadata) {
        if usize::from(self.batch_count) == BATCHES_RETAINED {
            self.batches.rotate_left(1);
            self.batch_count -= 1;
        }
        self.batches[usize::from(self.batch_count)] = batch;
        self.batch_count += 1;
    }

    /// Sequences of another epoch say nothing about this one's.
    fn begin_epoch(&mut self, epoch: ProducerEpoch) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.batch_count = 0;
        }
    }
}
