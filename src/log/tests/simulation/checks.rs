//! A log that was just opened, held against its model: everything that can be asked of it.

use std::collections::BTreeMap;

use rand::Rng;
use rand::rngs::StdRng;

use super::model::Model;
use super::reading::{self, Batch, Record};
use crate::ids::Offset;
use crate::log::partition_log::PartitionLog;
use crate::log::producer_state::ProducerStateEntry;
use crate::log::txn_index::AbortedTxn;

/// What lies in the log is what the model says, and all that was built from it agrees.
pub(super) fn check(log: &PartitionLog, found: &[Batch], model: &Model, rng: &mut StdRng) {
    check_offsets(log, found, model);
    check_content(found, model);
    check_producers(log, model);
    check_epochs(log, found);
    check_lookups(log, found, rng);
    check_transactions(log, model);
    check_consumer(log, found, model);
}

fn check_offsets(log: &PartitionLog, found: &[Batch], model: &Model) {
    let (start, end) = (log.log_start_offset(), log.log_end_offset());
    assert!(start >= model.start_floor, "the log begins at {start}, and {} was written down", model.start_floor);
    assert!(
        start <= model.start_ceiling,
        "the log begins at {start}, and nobody has deleted beyond {}",
        model.start_ceiling
    );
    assert!(start <= log.high_watermark() && log.high_watermark() <= end);
    let mut next = start;
    for batch in found {
        let header = &batch.header;
        let follows = header.base_offset == next || header.base_offset >= next && model.is_compacted;
        assert!(
            follows || next == start && header.base_offset < start,
            "a batch of {} follows {next}",
            header.base_offset
        );
        next = header.next_offset();
    }
    assert!(next == end || model.is_compacted && next <= end, "the log ends at {end}, and its last batch at {next}");
}

/// Nothing was changed; where nothing is compacted, nothing is missing either.
fn check_content(found: &[Batch], model: &Model) {
    for batch in found {
        let at = batch.header.base_offset;
        let place = model.batches.partition_point(|original| original.header.last_offset() < at);
        let original = model.batches.get(place).filter(|original| original.header.base_offset <= at);
        let original = original.unwrap_or_else(|| panic!("at {at} lies what nobody appended"));
        if !model.is_compacted {
            assert_eq!(batch.header, original.header, "at {at}");
            assert!(batch.bytes == original.bytes, "the batch at {at} was changed");
        }
        for record in &batch.records {
            assert!(original.records.contains(record), "nobody appended {record:?}");
            assert!(!model.removed.contains(&record.offset), "compaction had removed {record:?}");
        }
    }
}

/// Of each producer the last batches are known, as far as their records are there.
fn check_producers(log: &PartitionLog, model: &Model) {
    let start = log.log_start_offset();
    let batches_of = |entry: &ProducerStateEntry| -> Vec<_> {
        // Compaction leaves the last batch of a producer, and takes others.
        let kept = if model.is_compacted { 1 } else { entry.batches().len() };
        let there = entry.batches().iter().rev().take(kept).filter(|batch| batch.first_offset() >= start);
        there.map(|batch| (batch.last_sequence, batch.last_offset, batch.offset_delta)).collect()
    };
    let found = log.producers();
    let is_known = |entry: &ProducerStateEntry| model.producers.entry(entry.producer_id).is_some();
    assert!(found.iter().all(is_known), "a producer that has never written: {found:?}");
    for expected in model.producers.active_producers() {
        let id = expected.producer_id;
        let found = found.iter().find(|entry| entry.producer_id == id);
        let batches = batches_of(expected);
        assert_eq!(found.map_or(Vec::new(), batches_of), batches, "batches of producer {id}");
        if !batches.is_empty() {
            assert_eq!(found.map(|found| found.epoch), Some(expected.epoch), "epoch of producer {id}");
        }
        let first_offset = expected.current_txn_first_offset.filter(|first_offset| *first_offset >= start);
        if first_offset.is_some() {
            let found = found.and_then(|found| found.current_txn_first_offset);
            assert_eq!(found, first_offset, "open transaction of producer {id}");
        }
    }
}

fn check_epochs(log: &PartitionLog, found: &[Batch]) {
    let start = log.log_start_offset();
    for header in found.iter().map(|batch| &batch.header).filter(|header| header.base_offset >= start) {
        let (at, epoch) = (header.base_offset, header.leader_epoch);
        assert_eq!(log.epoch_for_offset(at), Some(epoch), "epoch at {at} of {:?}", log.leader_epochs());
    }
    let end = log.log_end_offset();
    let is_beyond = log.leader_epochs().iter().any(|entry| entry.start_offset > end);
    assert!(!is_beyond, "the log ends at {end}, and has epochs {:?}", log.leader_epochs());
}

/// Offsets and timestamps are found where they are.
fn check_lookups(log: &PartitionLog, found: &[Batch], rng: &mut StdRng) {
    let (start, end) = (log.log_start_offset(), log.log_end_offset());
    let Some((first, last)) = found.first().zip(found.last()) else { return };
    let headers = || found.iter().map(|batch| &batch.header);
    for _ in 0..2 {
        let offset = Offset(rng.random_range(start.0..=last.header.last_offset().0));
        let expected = headers().find(|header| header.last_offset() >= offset).expect("one of them has it");
        let read = log.read(offset, 1, true, end).expect("it can be read");
        assert_eq!(read.next_offset, expected.next_offset(), "a read of {offset}");
        let timestamp = first.header.base_timestamp + rng.random_range(-1000..2000);
        // Compaction leaves batches without records.
        let is_new = |batch: &&Batch| {
            let mut records = batch.records.iter();
            let has_newer = batch.marker.is_some() || records.any(|record| record.timestamp_ms >= timestamp);
            batch.header.max_timestamp >= timestamp && has_newer && batch.header.last_offset() >= start
        };
        let expected = found.iter().find(is_new).map(|batch| &batch.header);
        let found = log.offset_for_timestamp(timestamp).expect("it can be looked for");
        match (found, expected) {
            (Some(found), Some(expected)) if expected.base_offset >= start => {
                let is_there = (expected.base_offset..=expected.last_offset()).contains(&found.offset);
                assert!(is_there, "{timestamp} is at {found:?}, not in the batch of {}", expected.base_offset);
            }
            (None, None) => {}
            // The batch that the log begins within may have its newest record below the beginning.
            (_, Some(expected)) => assert!(expected.base_offset < start, "{timestamp} is not found in {expected:?}"),
            (Some(found), None) => panic!("{timestamp} is at {found:?}"),
        }
    }
}

/// Where `read_committed` consumers stop, and what they are told to leave out.
fn check_transactions(log: &PartitionLog, model: &Model) {
    let (start, end) = (log.log_start_offset(), log.log_end_offset());
    let undecided = model.producers.first_undecided_offset().unwrap_or(end);
    if undecided >= start {
        log.set_high_watermark(end);
        assert_eq!(log.last_stable_offset(), undecided);
    }
    let found = log.aborted_transactions(start, end).expect("transaction indexes");
    let places = |txn: &AbortedTxn| (txn.producer_id, txn.first_offset, txn.last_offset);
    for txn in &found {
        let is_known = model.aborted.iter().any(|known| known.last_offset == txn.last_offset);
        assert!(is_known, "{txn:?} was not aborted, or not there");
    }
    if model.is_compacted {
        return;
    }
    // Of one that began before the log does, the beginning may be forgotten.
    let expected: Vec<_> = model.aborted.iter().filter(|txn| txn.first_offset >= start).map(places).collect();
    let is_expected = |txn: &&AbortedTxn| expected.iter().any(|(_, _, last_offset)| *last_offset == txn.last_offset);
    assert_eq!(found.iter().filter(is_expected).map(places).collect::<Vec<_>>(), expected, "aborted transactions");
}

/// A `read_committed` consumer gets what was committed; of a compacted log, what comes to the same.
pub(super) fn check_consumer(log: &PartitionLog, found: &[Batch], model: &Model) -> BTreeMap<Offset, Record> {
    let stable = log.last_stable_offset();
    let seen = reading::committed(log, found);
    let committed = model.committed();
    for (offset, record) in &seen {
        assert_eq!(committed.get(offset), Some(&record), "what a consumer sees at {offset}");
    }
    let start = log.log_start_offset();
    if model.is_compacted {
        let expected = reading::table(committed.range(start..stable).map(|(_, record)| *record));
        assert_eq!(reading::table(seen.values()), expected, "the last value of every key");
    } else {
        let expected = committed.range(start..stable).count();
        assert_eq!(seen.len(), expected, "records that a consumer sees from {start} to {stable}");
    }
    seen
}
