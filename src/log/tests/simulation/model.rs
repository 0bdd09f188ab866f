//! What the log of one partition should hold.

use std::collections::{BTreeMap, BTreeSet};

use super::reading::{Batch, Record};
use crate::ids::{Offset, ProducerId};
use crate::log::append::aborted_txn;
use crate::log::producer_state::{ProducerStateConfig, ProducerStateManager};
use crate::log::txn_index::AbortedTxn;
use crate::protocol::records::TransactionOutcome;
use crate::time::TimestampMs;

/// One partition: what was appended to it, and what was promised of that.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) is_compacted: bool,
    /// Grows with every topic of this name.
    pub(super) topic_id: u128,
    /// As they were appended, also those that were deleted or compacted away since.
    pub(super) batches: Vec<Batch>,
    /// Their append failed, or they were cut off: a crash may bring them back nevertheless.
    maybe: Vec<Batch>,
    /// Where it goes on.
    pub(super) end: Offset,
    /// Promised to survive anything.
    pub(super) flushed: Offset,
    /// The log begins here at least, for that was written down.
    pub(super) start_floor: Offset,
    /// And here at most, for nobody has deleted more.
    pub(super) start_ceiling: Offset,
    pub(super) leader_epoch: i32,
    /// Records that compaction has taken away for good.
    pub(super) removed: BTreeSet<Offset>,
    pub(super) producers: ProducerStateManager,
    pub(super) aborted: Vec<AbortedTxn>,
}

impl Model {
    pub(super) fn new(is_compacted: bool, topic_id: u128) -> Self {
        Self {
            is_compacted,
            topic_id,
            batches: Vec::new(),
            maybe: Vec::new(),
            end: Offset::ZERO,
            flushed: Offset::ZERO,
            start_floor: Offset::ZERO,
            start_ceiling: Offset::ZERO,
            leader_epoch: 0,
            removed: BTreeSet::new(),
            producers: ProducerStateManager::new(ProducerStateConfig::default()),
            aborted: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, batch: Batch) {
        take_in(&batch, &mut self.producers, &mut self.aborted);
        self.end = batch.header.next_offset();
        self.batches.push(batch);
    }

    pub(super) fn push_failed(&mut self, batch: Batch) {
        self.maybe.push(batch);
    }

    /// The batches from `offset` on are cut off for good; or they may be, where that has failed.
    pub(super) fn truncate(&mut self, offset: Offset, is_done: bool) {
        let kept = self.batches.partition_point(|batch| batch.header.last_offset() < offset);
        let cut = self.batches.split_off(kept);
        self.end = cut.first().map_or(offset, |first| first.header.base_offset.min(offset));
        self.flushed = self.flushed.min(self.end);
        if is_done {
            // Before it was cut off it may have failed to be appended, and lies no longer where that was.
            self.maybe.clear();
        } else {
            self.maybe.extend(cut);
        }
        self.replay();
    }

    /// The last batch of a producer.
    pub(super) fn last_of(&self, producer: ProducerId) -> Option<&Batch> {
        self.batches.iter().rev().find(|batch| batch.header.producer_id == producer && batch.marker.is_none())
    }

    /// Takes for true what a restart has found: what was promised is there, and nothing was made up.
    pub(super) fn adopt(&mut self, found: &[Batch], end: Offset) {
        assert!(end >= self.flushed, "the log ends at {end}, and was flushed up to {}", self.flushed);
        let promised = self.batches.partition_point(|batch| batch.header.last_offset() < self.flushed);
        let rest: Vec<_> = self.batches.drain(promised..).chain(self.maybe.drain(..)).collect();
        let first = found.partition_point(|batch| batch.header.base_offset < self.flushed);
        for batch in &found[first..] {
            let at = batch.header.base_offset;
            assert!(rest.contains(batch), "at {at} lies what nobody appended");
            self.batches.push(batch.clone());
        }
        self.end = end;
        self.flushed = end;
        self.replay();
    }

    /// The records that are neither aborted nor undecided, of all that was ever appended.
    pub(super) fn committed(&self) -> BTreeMap<Offset, &Record> {
        let mut open: BTreeMap<ProducerId, Vec<&Record>> = BTreeMap::new();
        let mut committed = BTreeMap::new();
        for batch in &self.batches {
            let id = batch.header.producer_id;
            match batch.marker {
                Some(marker) => {
                    let ended = open.remove(&id).unwrap_or_default();
                    if marker.outcome == TransactionOutcome::Commit {
                        committed.extend(ended.into_iter().map(|record| (record.offset, record)));
                    }
                }
                None if batch.header.is_transactional() => open.entry(id).or_default().extend(&batch.records),
                None => committed.extend(batch.records.iter().map(|record| (record.offset, record))),
            }
        }
        committed
    }

    fn replay(&mut self) {
        self.producers = ProducerStateManager::new(ProducerStateConfig::default());
        self.aborted.clear();
        for batch in &self.batches {
            take_in(batch, &mut self.producers, &mut self.aborted);
        }
    }
}

/// A moment at which no producer expires.
const SEEN_MS: TimestampMs = 0;

fn take_in(batch: &Batch, producers: &mut ProducerStateManager, aborted: &mut Vec<AbortedTxn>) {
    match &batch.marker {
        None => producers.update(&batch.header, SEEN_MS),
        Some(marker) => {
            let completed = producers.update_marker(&batch.header, marker, SEEN_MS);
            aborted.extend(completed.filter(|completed| completed.is_aborted).as_ref().map(aborted_txn));
        }
    }
}
