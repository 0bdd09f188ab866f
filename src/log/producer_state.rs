//! What a partition remembers of the producers that wrote to it: enough to refuse gaps, to recognise a batch that is
//! sent twice, to fence old instances, and to know which transactions are open (KIP-98).
//!
//! Owns: [`ProducerStateManager`], the state of all producers of one partition, and the bytes of its snapshot.
//! Never does: I/O or ask for the time. Files are the log's, `now` comes in.
//!
//! ```text
//!   check(header)  ── before the append: New, Duplicate or an error; changes nothing
//!   update(header) ── after the append, and again when recovery replays the log behind a snapshot
//!   encode/load    ── `<offset>.snapshot`: the state as of all records below `offset`
//! ```

mod entry;
mod marker;
mod snapshot;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use crate::error::ErrorCode;
use crate::ids::{Offset, ProducerEpoch, ProducerId};
use crate::protocol::batch::BatchHeader;
use crate::protocol::records::TransactionOutcome;
use crate::time::TimestampMs;

pub use entry::{BATCHES_RETAINED, BatchMetadata, ProducerStateEntry};
pub use marker::{EndTxnMarker, MarkerError};
pub use snapshot::{SnapshotError, snapshot_file_name, snapshot_offset};

use entry::NO_SEQUENCE;

/// Who wrote a batch, which decides how far it is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendOrigin {
    /// A produce request: epoch and sequence are checked.
    Client,
    /// A coordinator of this broker: it numbers nothing, so only the epoch is checked.
    Coordinator,
    /// The leader has checked already; what it took is taken.
    Replication,
}

/// What is to be done with a batch that passed the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendCheck {
    New,
    /// The very batch is in the log already; the producer is told where.
    Duplicate {
        base_offset: Offset,
        last_offset: Offset,
        timestamp: TimestampMs,
    },
}

/// Why a producer's batch is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProducerError {
    #[error("producer {producer_id} sent sequence {first_sequence}, the last one known is {last_sequence}")]
    OutOfOrderSequence { producer_id: ProducerId, first_sequence: i32, last_sequence: i32 },
    #[error("producer {producer_id} began epoch {} with sequence {first_sequence}, not 0", epoch.0)]
    EpochBeganLate { producer_id: ProducerId, epoch: ProducerEpoch, first_sequence: i32 },
    #[error("epoch {} of producer {producer_id} is older than its epoch {} here", epoch.0, current.0)]
    InvalidEpoch { producer_id: ProducerId, epoch: ProducerEpoch, current: ProducerEpoch },
    #[error("producer {producer_id} wrote outside of its open transaction")]
    NotInTransaction { producer_id: ProducerId },
    #[error("epoch {epoch} of producer {producer_id}'s coordinator is older than its epoch {current} here")]
    CoordinatorFenced { producer_id: ProducerId, epoch: i32, current: i32 },
    #[error("producer {producer_id} sent epoch {} and sequence {first_sequence}", epoch.0)]
    Malformed { producer_id: ProducerId, epoch: ProducerEpoch, first_sequence: i32 },
}

impl ProducerError {
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::OutOfOrderSequence { .. } | Self::EpochBeganLate { .. } => ErrorCode::OutOfOrderSequenceNumber,
            Self::InvalidEpoch { .. } => ErrorCode::InvalidProducerEpoch,
            Self::NotInTransaction { .. } => ErrorCode::InvalidTxnState,
            Self::CoordinatorFenced { .. } => ErrorCode::TransactionCoordinatorFenced,
            Self::Malformed { .. } => ErrorCode::InvalidRecord,
        }
    }
}

/// A transaction that its marker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompletedTxn {
    pub producer_id: ProducerId,
    pub first_offset: Offset,
    /// The marker's own offset.
    pub last_offset: Offset,
    pub is_aborted: bool,
    /// The last stable offset once this transaction is done: what an aborted one is indexed with.
    pub last_stable_offset: Offset,
}

/// How long and how many producers are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerStateConfig {
    /// `producer.id.expiration.ms`: a producer idle for longer is forgotten, and may go on with any sequence.
    pub expiration_ms: i64,
    /// Past it the longest idle ones without an open transaction go early: ids are the client's to choose, memory is
    /// not.
    pub max_producers: usize,
}

impl Default for ProducerStateConfig {
    fn default() -> Self {
        Self { expiration_ms: 86_400_000, max_producers: 100_000 }
    }
}

/// A producer that comes back from disk counts as seen this long before its expiry, whatever its records' timestamps
/// say: clients may stamp the past, and a batch they retry across a restart is still a duplicate.
const GRACE_AFTER_LOAD_MS: i64 = 15 * 60 * 1000;

/// The producers of one partition as of [`ProducerStateManager::map_end_offset`].
#[derive(Clone, Debug)]
pub struct ProducerStateManager {
    config: ProducerStateConfig,
    producers: HashMap<ProducerId, ProducerStateEntry>,
    /// Open transactions by their first offset.
    ongoing_txns: BTreeMap<Offset, ProducerId>,
    /// First to last offset of those that ended at or above the high watermark: still unstable.
    unreplicated_txns: BTreeMap<Offset, Offset>,
    map_end_offset: Offset,
}

impl ProducerStateManager {
    pub fn new(config: ProducerStateConfig) -> Self {
        Self {
            config,
            producers: HashMap::new(),
            ongoing_txns: BTreeMap::new(),
            unreplicated_txns: BTreeMap::new(),
            map_end_offset: Offset::ZERO,
        }
    }

    pub fn set_expiration_ms(&mut self, expiration_ms: i64) {
        self.config.expiration_ms = expiration_ms;
    }

    /// Decides whether a data batch may be appended. Changes nothing: a batch that is not written leaves no trace.
    ///
    /// A producer that is not known here (its records were deleted, or it was idle beyond its expiry) may begin with
    /// any sequence, as since Kafka 2.4 (KIP-360): UNKNOWN_PRODUCER_ID is never the answer.
    pub fn check(
        &self,
        header: &BatchHeader,
        origin: AppendOrigin,
        now_ms: TimestampMs,
    ) -> Result<AppendCheck, ProducerError> {
        if !header.has_producer_id() || origin == AppendOrigin::Replication {
            return Ok(AppendCheck::New);
        }
        let BatchHeader { producer_id, producer_epoch: epoch, base_sequence: first_sequence, .. } = *header;
        if epoch.0 < 0 || (first_sequence < 0 && origin == AppendOrigin::Client) {
            return Err(ProducerError::Malformed { producer_id, epoch, first_sequence });
        }
        let Some(entry) = self.producers.get(&producer_id).filter(|entry| !self.is_expired(entry, now_ms)) else {
            return Ok(AppendCheck::New);
        };
        if origin == AppendOrigin::Client
            && let Some(known) = entry.find_duplicate(header)
        {
            return Ok(AppendCheck::Duplicate {
                base_offset: known.first_offset(),
                last_offset: known.last_offset,
                timestamp: known.timestamp,
            });
        }
        if epoch < entry.epoch {
            return Err(ProducerError::InvalidEpoch { producer_id, epoch, current: entry.epoch });
        }
        if origin == AppendOrigin::Client {
            check_sequence(entry, header)?;
        }
        if entry.current_txn_first_offset.is_some() && !header.is_transactional() {
            return Err(ProducerError::NotInTransaction { producer_id });
        }
        Ok(AppendCheck::New)
    }

    /// Decides whether a transaction's end may be written: neither producer nor coordinator may be a fenced one.
    pub fn check_marker(&self, header: &BatchHeader, marker: &EndTxnMarker) -> Result<(), ProducerError> {
        let BatchHeader { producer_id, producer_epoch: epoch, .. } = *header;
        let Some(entry) = self.producers.get(&producer_id) else { return Ok(()) };
        if epoch < entry.epoch {
            return Err(ProducerError::InvalidEpoch { producer_id, epoch, current: entry.epoch });
        }
        if marker.coordinator_epoch < entry.coordinator_epoch {
            let (epoch, current) = (marker.coordinator_epoch, entry.coordinator_epoch);
            return Err(ProducerError::CoordinatorFenced { producer_id, epoch, current });
        }
        Ok(())
    }

    /// Takes in a data batch that the log now holds, `header` with the offsets it got. `now_ms` is when the producer
    /// was heard: the expiry of a live producer runs from there, not from its records' own timestamps.
    pub fn update(&mut self, header: &BatchHeader, now_ms: TimestampMs) {
        self.map_end_offset = header.next_offset();
        if !header.has_producer_id() || header.is_control() {
            return;
        }
        let entry = self.entry_mut(header.producer_id, now_ms);
        entry.add_batch(header);
        entry.last_seen_ms = now_ms;
        if header.is_transactional() && entry.current_txn_first_offset.is_none() {
            entry.current_txn_first_offset = Some(header.base_offset);
            self.ongoing_txns.insert(header.base_offset, header.producer_id);
        }
    }

    /// Takes in a transaction's end that the log now holds. A transaction without data in this partition ends without
    /// a trace here: `None`.
    pub fn update_marker(
        &mut self,
        header: &BatchHeader,
        marker: &EndTxnMarker,
        now_ms: TimestampMs,
    ) -> Option<CompletedTxn> {
        self.map_end_offset = header.next_offset();
        if !header.has_producer_id() {
            return None;
        }
        let producer_id = header.producer_id;
        let entry = self.entry_mut(producer_id, now_ms);
        let first_offset = entry.end_txn(header.producer_epoch, marker);
        entry.last_seen_ms = now_ms;
        let first_offset = first_offset?;
        self.ongoing_txns.remove(&first_offset);
        let last_offset = header.base_offset;
        let last_stable_offset = self.first_undecided_offset().unwrap_or(last_offset.next());
        self.unreplicated_txns.insert(first_offset, last_offset);
        let is_aborted = marker.outcome == TransactionOutcome::Abort;
        Some(CompletedTxn { producer_id, first_offset, last_offset, is_aborted, last_stable_offset })
    }

    /// As [`Self::update`] or [`Self::update_marker`], for a batch that recovery reads back. When its producer was
    /// last heard is not known; the batch's timestamp stands for it as far as it is plausible.
    pub fn replay(
        &mut self,
        header: &BatchHeader,
        marker: Option<&EndTxnMarker>,
        now_ms: TimestampMs,
    ) -> Option<CompletedTxn> {
        let seen_ms = self.plausibly_seen_ms(header.max_timestamp, now_ms);
        if let Some(marker) = marker {
            return self.update_marker(header, marker, seen_ms);
        }
        self.update(header, seen_ms);
        None
    }

    /// Forgets what it knows and takes in a snapshot's producers; the state is then that of all records below
    /// `offset`. Several entries of one producer are its last batches, oldest first.
    pub fn load(&mut self, entries: Vec<ProducerStateEntry>, offset: Offset, now_ms: TimestampMs) {
        self.truncate_fully_and_start_at(offset);
        for mut entry in entries {
            entry.last_seen_ms = self.plausibly_seen_ms(entry.last_timestamp, now_ms);
            if let Some(known) = self.producers.get_mut(&entry.producer_id) {
                known.continue_with(&entry);
            } else {
                self.make_room();
                self.producers.insert(entry.producer_id, entry);
            }
        }
        for entry in self.producers.values() {
            if let Some(first_offset) = entry.current_txn_first_offset {
                self.ongoing_txns.insert(first_offset, entry.producer_id);
            }
        }
    }

    /// The content of a snapshot of the present state, to be kept as [`snapshot_file_name`] of
    /// [`Self::map_end_offset`].
    pub fn encode_snapshot(&self) -> Vec<u8> {
        let mut producers: Vec<_> = self.producers.values().collect();
        producers.sort_unstable_by_key(|entry| entry.producer_id);
        snapshot::encode(&producers)
    }

    /// The producers in a snapshot file's content.
    pub fn decode_snapshot(content: &[u8]) -> Result<Vec<ProducerStateEntry>, SnapshotError> {
        snapshot::decode(content)
    }

    /// Forgets producers that have been idle for too long; one with an open transaction stays.
    pub fn remove_expired(&mut self, now_ms: TimestampMs) {
        let expiration_ms = self.config.expiration_ms;
        self.producers.retain(|_, entry| !is_expired(entry, expiration_ms, now_ms));
    }

    /// Forgets the `count` producers that have been idle longest, and says how many went; one with an open transaction
    /// stays.
    pub fn forget_idlest(&mut self, count: usize) -> usize {
        if count == 0 {
            return 0;
        }
        let idle = |entry: &&ProducerStateEntry| entry.current_txn_first_offset.is_none();
        let mut idle: Vec<_> =
            self.producers.values().filter(idle).map(|entry| (entry.last_seen_ms, entry.producer_id)).collect();
        let count = count.min(idle.len());
        if count < idle.len() {
            idle.select_nth_unstable(count);
        }
        for (_, producer_id) in &idle[..count] {
            self.producers.remove(producer_id);
        }
        count
    }

    /// Forgets everything; the next record will have this offset.
    pub fn truncate_fully_and_start_at(&mut self, offset: Offset) {
        self.producers.clear();
        self.ongoing_txns.clear();
        self.unreplicated_txns.clear();
        self.map_end_offset = offset;
    }

    /// Records below `log_start_offset` are gone. Their producers stay known until they expire.
    pub fn on_log_start_offset_incremented(&mut self, log_start_offset: Offset) {
        self.forget_replicated(log_start_offset);
        self.map_end_offset = self.map_end_offset.max(log_start_offset);
    }

    /// Transactions that ended below the high watermark are stable from now on.
    pub fn on_high_watermark_updated(&mut self, high_watermark: Offset) {
        self.forget_replicated(high_watermark);
    }

    /// The first record whose transaction is undecided, or decided by a marker that is not yet replicated.
    pub fn first_unstable_offset(&self) -> Option<Offset> {
        let unreplicated = self.unreplicated_txns.keys().next().copied();
        match (self.first_undecided_offset(), unreplicated) {
            (Some(undecided), Some(unreplicated)) => Some(undecided.min(unreplicated)),
            (one, other) => one.or(other),
        }
    }

    /// The first record of the oldest open transaction.
    pub fn first_undecided_offset(&self) -> Option<Offset> {
        self.ongoing_txns.keys().next().copied()
    }

    /// Up to where `read_committed` consumers may read.
    pub fn last_stable_offset(&self, high_watermark: Offset) -> Offset {
        self.first_unstable_offset().map_or(high_watermark, |unstable| unstable.min(high_watermark))
    }

    /// All records below it are in this state.
    pub fn map_end_offset(&self) -> Offset {
        self.map_end_offset
    }

    /// For batches without a producer, which change nothing else.
    pub fn set_map_end_offset(&mut self, offset: Offset) {
        self.map_end_offset = offset;
    }

    pub fn producer_id_count(&self) -> usize {
        self.producers.len()
    }

    pub fn entry(&self, producer_id: ProducerId) -> Option<&ProducerStateEntry> {
        self.producers.get(&producer_id)
    }

    /// In no order.
    pub fn active_producers(&self) -> impl Iterator<Item = &ProducerStateEntry> {
        self.producers.values()
    }

    /// The last timestamp of the producer whose transaction has been open longest: a hanging one is found by it.
    pub fn oldest_txn_last_timestamp(&self) -> Option<TimestampMs> {
        let oldest = self.ongoing_txns.values().next()?;
        self.producers.get(oldest).map(|entry| entry.last_timestamp)
    }

    fn entry_mut(&mut self, producer_id: ProducerId, now_ms: TimestampMs) -> &mut ProducerStateEntry {
        // An expired entry may not have been swept yet, and what follows does not continue it.
        if self.producers.get(&producer_id).is_none_or(|entry| self.is_expired(entry, now_ms)) {
            self.make_room();
            self.producers.insert(producer_id, ProducerStateEntry::empty(producer_id));
        }
        self.producers.get_mut(&producer_id).expect("it was there or has just been inserted")
    }

    /// Where all places are taken, frees a sixteenth of them at once, so that the search costs little per producer.
    fn make_room(&mut self) {
        if self.producers.len() < self.config.max_producers {
            return;
        }
        self.forget_idlest((self.config.max_producers / 16).max(1));
    }

    fn forget_replicated(&mut self, below: Offset) {
        self.unreplicated_txns.retain(|_, last_offset| *last_offset >= below);
    }

    fn is_expired(&self, entry: &ProducerStateEntry, now_ms: TimestampMs) -> bool {
        is_expired(entry, self.config.expiration_ms, now_ms)
    }

    fn plausibly_seen_ms(&self, timestamp: TimestampMs, now_ms: TimestampMs) -> TimestampMs {
        let grace_ms = GRACE_AFTER_LOAD_MS.min(self.config.expiration_ms);
        let earliest_ms = now_ms.saturating_sub(self.config.expiration_ms).saturating_add(grace_ms);
        timestamp.max(earliest_ms).min(now_ms)
    }
}

fn is_expired(entry: &ProducerStateEntry, expiration_ms: i64, now_ms: TimestampMs) -> bool {
    entry.current_txn_first_offset.is_none() && now_ms.saturating_sub(entry.last_seen_ms) >= expiration_ms
}

/// A new epoch begins at 0; within an epoch, sequences have no gaps and wrap from `i32::MAX` to 0.
fn check_sequence(entry: &ProducerStateEntry, header: &BatchHeader) -> Result<(), ProducerError> {
    let BatchHeader { producer_id, producer_epoch: epoch, base_sequence: first_sequence, .. } = *header;
    if epoch != entry.epoch {
        if first_sequence != 0 && entry.epoch != ProducerEpoch::NONE {
            return Err(ProducerError::EpochBeganLate { producer_id, epoch, first_sequence });
        }
        return Ok(());
    }
    let last_sequence = entry.last_sequence();
    let expected = if last_sequence == NO_SEQUENCE { 0 } else { last_sequence.checked_add(1).unwrap_or(0) };
    if first_sequence == expected {
        return Ok(());
    }
    Err(ProducerError::OutOfOrderSequence { producer_id, first_sequence, last_sequence })
}
