//! Random histories: producers, transactions, tombstones, codecs, restarts; and after every round a reader's view.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::log::producer_state::ProducerStateEntry;

const STEPS: usize = 80;
const KEYS: u32 = 9;
/// Producers from here on write in transactions.
const FIRST_TRANSACTIONAL: i64 = 3;
const PRODUCERS: i64 = 6;
const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

/// What was appended, and what became of it.
pub(super) struct History {
    pub(super) bench: Bench,
    rng: StdRng,
    records: BTreeMap<i64, Seen>,
    /// Of open transactions, by producer.
    open: BTreeMap<i64, Vec<i64>>,
    aborted: Vec<i64>,
    sequences: BTreeMap<i64, i32>,
    /// When a round may first have come by a tombstone.
    tombstones_seen: BTreeMap<i64, TimestampMs>,
}

impl History {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            bench: Bench::new(seed),
            rng: StdRng::seed_from_u64(seed),
            records: BTreeMap::new(),
            open: BTreeMap::new(),
            aborted: Vec::new(),
            sequences: BTreeMap::new(),
            tombstones_seen: BTreeMap::new(),
        }
    }

    fn run(&mut self) {
        for _ in 0..STEPS {
            match self.rng.random_range(0..100) {
                0..85 => self.write(),
                85..92 => {
                    self.clean();
                    self.check();
                }
                92..96 => {
                    let later_ms = self.rng.random_range(0..2 * DELETE_RETENTION_MS);
                    self.bench.clock.advance_ms(later_ms);
                }
                _ => {
                    self.restart();
                    self.check();
                }
            }
        }
        self.finish();
    }

    /// Something that makes the log longer, or the part of it that can be cleaned.
    pub(super) fn write(&mut self) {
        match self.rng.random_range(0..10) {
            0..7 => self.append(),
            7..9 => self.end_transaction(),
            _ => self.bench.roll(),
        }
    }

    fn append(&mut self) {
        let producer = self.rng.random_range(-2..PRODUCERS);
        let count = self.rng.random_range(1..6);
        let is_keyless = self.rng.random_range(0..25) == 0;
        let texts: Vec<_> = (0..count)
            .map(|_| {
                let key = format!("key {}", self.rng.random_range(0..KEYS));
                let value =
                    format!("value {} {}", self.rng.random::<u64>(), "x".repeat(self.rng.random_range(0..90)));
                (key, (self.rng.random_range(0..4) > 0).then_some(value))
            })
            .collect();
        let records: Vec<_> =
            texts.iter().map(|(key, value)| ((!is_keyless).then_some(key.as_str()), value.as_deref())).collect();
        let sequence = self.sequences.entry(producer).or_insert(0);
        let spec = Spec {
            records: &records,
            producer: (producer >= 0).then_some((producer, *sequence)),
            is_transactional: producer >= FIRST_TRANSACTIONAL,
            compression: Some(CODECS[self.rng.random_range(0..CODECS.len())]),
        };
        *sequence += count;
        let plain = LogConfig { cleanup_policy: CleanupPolicy { delete: true, compact: false }, ..compacted() };
        self.bench.log.set_config(Arc::new(if is_keyless { plain } else { compacted() }));
        let base_offset = self.bench.append(&spec);
        self.bench.log.set_config(Arc::new(compacted()));
        for (at, (key, value)) in records.iter().enumerate() {
            let owned = |text: Option<&str>| text.map(|text| text.as_bytes().to_vec());
            let timestamp_ms = self.bench.now_ms() + at as i64;
            let offset = base_offset.0 + at as i64;
            self.records.insert(offset, Seen { timestamp_ms, key: owned(*key), value: owned(*value) });
            if spec.is_transactional {
                self.open.entry(producer).or_default().push(offset);
            }
        }
    }

    fn end_transaction(&mut self) {
        let producer = self.rng.random_range(FIRST_TRANSACTIONAL..PRODUCERS);
        // A producer that is not known yet has no transaction to end.
        if !self.sequences.contains_key(&producer) {
            return;
        }
        let outcome = [TransactionOutcome::Abort, TransactionOutcome::Commit][self.rng.random_range(0..2)];
        self.bench.end_transaction(producer, outcome);
        let offsets = self.open.remove(&producer).unwrap_or_default();
        if outcome == TransactionOutcome::Abort {
            self.aborted.extend(offsets);
        }
    }

    fn clean(&mut self) {
        if self.rng.random_range(0..3) == 0 {
            // Room for some of the keys only.
            self.bench.limits.map_bytes = self.rng.random_range(2..8) * super::super::offset_map::SLOT_BYTES;
        } else {
            self.bench.limits.map_bytes = 1 << 20;
        }
        self.clean_all();
    }

    /// As much as the map has room for.
    pub(super) fn clean_all(&mut self) {
        self.bench.log.set_high_watermark(self.bench.log.log_end_offset());
        self.bench.clean().unwrap();
        let now_ms = self.bench.now_ms();
        // Horizons are set in all of a segment, also behind the place where the map was full.
        let closed = self.bench.log.active_segment_base_offset().0;
        for (offset, record) in self.committed() {
            if record.value.is_none() && offset < closed {
                self.tombstones_seen.entry(offset).or_insert(now_ms);
            }
        }
    }

    /// A process that dies, and one that finds the log in good order up to some point.
    fn restart(&mut self) {
        let before = self.bench.log.producers();
        let end = self.bench.log.log_end_offset();
        let recovery_point =
            if self.rng.random() { self.bench.log.checkpoint(self.bench.now_ms()).unwrap() } else { Offset::ZERO };
        if recovery_point == Offset::ZERO {
            for name in self.bench.names().iter().filter(|name| name.ends_with(".snapshot")) {
                self.bench.disk.remove_file(&Path::new(FOLDER).join(name)).unwrap();
            }
        }
        self.bench.restart(recovery_point);
        assert_eq!(self.bench.log.log_end_offset(), end);
        let after = self.bench.log.producers();
        for expected in before {
            let last = |entry: &ProducerStateEntry| (entry.epoch, entry.last_sequence(), entry.last_offset());
            let found = after.iter().find(|entry| entry.producer_id == expected.producer_id);
            assert_eq!(found.map(last), Some(last(&expected)), "producer {}", expected.producer_id);
            assert_eq!(found.unwrap().current_txn_first_offset, expected.current_txn_first_offset);
        }
    }

    pub(super) fn end_all_transactions(&mut self) {
        for producer in std::mem::take(&mut self.open).into_keys() {
            self.bench.end_transaction(producer, TransactionOutcome::Commit);
        }
    }

    /// The records that are neither aborted nor undecided.
    fn committed(&self) -> Vec<(i64, Seen)> {
        let open: Vec<_> = self.open.values().flatten().copied().collect();
        let stable = self.bench.log.last_stable_offset().0;
        let is_committed =
            |offset: &i64| *offset < stable && !open.contains(offset) && !self.aborted.contains(offset);
        self.records
            .iter()
            .filter(|(offset, _)| is_committed(offset))
            .map(|(offset, seen)| (*offset, seen.clone()))
            .collect()
    }

    /// What is there is as it was appended, and comes to the same in the end.
    pub(super) fn check_reads(&self) -> BTreeMap<i64, Seen> {
        let by_offset: BTreeMap<_, _> = self.committed().into_iter().collect();
        let seen = self.bench.consume();
        for (offset, record) in &seen {
            assert_eq!(by_offset.get(offset), Some(record), "at {offset}");
        }
        assert_eq!(table(seen.values()), table(by_offset.values()));
        seen
    }

    /// And what a round had to remove is gone, and nothing else.
    pub(super) fn check(&self) {
        let seen = self.check_reads();
        let committed = self.committed();
        let by_offset: BTreeMap<_, _> = committed.iter().cloned().collect();
        let cleaned_up_to = self.bench.cleaned_up_to.map_or(0, |offset| offset.0);
        let mut latest: BTreeMap<&[u8], i64> = BTreeMap::new();
        for (offset, record) in committed.iter().filter(|(offset, _)| *offset < cleaned_up_to) {
            if let Some(key) = &record.key {
                latest.insert(key, *offset);
            }
        }
        for (offset, record) in seen.range(..cleaned_up_to) {
            let latest = record.key.as_deref().and_then(|key| latest.get(key));
            assert_eq!(latest, Some(offset), "{offset} is not the latest of its key below {cleaned_up_to}");
        }
        for offset in latest.values() {
            let record = &by_offset[offset];
            let is_young = |seen_ms: &TimestampMs| self.bench.now_ms() < seen_ms + DELETE_RETENTION_MS;
            let may_be_gone = record.value.is_none() && !self.tombstones_seen.get(offset).is_none_or(is_young);
            assert!(seen.contains_key(offset) || may_be_gone, "the latest record at {offset} is gone");
        }
        // Nothing beyond the round is touched.
        let beyond = |offset: &&i64| **offset >= cleaned_up_to;
        assert_eq!(seen.keys().filter(beyond).count(), by_offset.keys().filter(beyond).count());
    }

    /// All transactions end, all horizons pass; then another round changes nothing.
    fn finish(&mut self) {
        self.bench.limits.map_bytes = 1 << 20;
        self.end_all_transactions();
        let mut before = Vec::new();
        for _ in 0..6 {
            self.bench.roll();
            // Something has to be dirty; it replaces itself.
            let base = self.bench.append(&Spec { records: &[(Some("last"), Some("same"))], ..Spec::default() });
            let seen = Seen {
                timestamp_ms: self.bench.now_ms(),
                key: Some(b"last".to_vec()),
                value: Some(b"same".to_vec()),
            };
            self.records.insert(base.0, seen);
            self.bench.roll();
            self.clean_all();
            self.check();
            self.bench.clock.advance_ms(2 * DELETE_RETENTION_MS);
            before.push(self.bench.batches());
        }
        // Of what these rounds have added, the last batches stay as they were, if need be empty.
        let is_older = |batch: &&Vec<u8>| {
            records_of(batch).first().is_some_and(|(_, first)| first.key.as_deref() != Some(b"last"))
        };
        let others = |batches: &[Vec<u8>]| batches.iter().filter(is_older).cloned().collect::<Vec<_>>();
        assert_eq!(others(&before[4]), others(&before[5]), "nothing is left to be done");
        let tombstones = self.bench.consume().values().filter(|seen| seen.value.is_none()).count();
        assert_eq!(tombstones, 0, "all horizons have passed");
    }
}

/// `CLEANER_SEEDS=from..to` chooses others.
#[test]
fn a_reader_misses_nothing_and_sees_each_key_once() {
    for seed in seeds(100) {
        let outcome = std::panic::catch_unwind(|| History::new(seed).run());
        if let Err(panic) = outcome {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
