//! Whole rounds on the simulated disk, compared with what was appended.

mod crash;
mod history;
mod threads;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::cleaned_segment;
use super::registry::facts_of;
use super::round::{Pacer, Round, RoundError, RoundLimits, RoundStats};
use super::testing::Unhurried;
use crate::config::{CleanupPolicy, LogConfig};
use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, TopicPartition};
use crate::io::Disk;
use crate::io::sim::SimDisk;
use crate::log::append::AppendContext;
use crate::log::directory::{CLEANED_SUFFIX, PartitionDirectory, SWAP_SUFFIX};
use crate::log::health::DirectoryHealth;
use crate::log::partition_log::PartitionLog;
use crate::log::producer_state::{AppendOrigin, ProducerStateConfig};
use crate::log::recovery::{self, LoadRequest};
use crate::protocol::batch::{BatchHeader, Compression};
use crate::protocol::records::{
    BatchRecords, EndTransactionMarker, NewRecord, RecordBatchBuilder, TransactionOutcome,
};
use crate::time::{ManualClock, TimestampMs};

const NOW_MS: TimestampMs = 1_700_000_000_000;
const DELETE_RETENTION_MS: i64 = 10_000;
const FOLDER: &str = "data/topic-0";

fn compacted() -> LogConfig {
    LogConfig {
        cleanup_policy: CleanupPolicy { delete: false, compact: true },
        segment_bytes: 3000,
        index_interval_bytes: 300,
        segment_index_bytes: 4096,
        delete_retention_ms: DELETE_RETENTION_MS,
        file_delete_delay_ms: 0,
        ..LogConfig::default()
    }
}

/// A record as a consumer sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    timestamp_ms: TimestampMs,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
}

/// One log, and whoever cleans it.
struct Bench {
    disk: Arc<SimDisk>,
    clock: Arc<ManualClock>,
    log: Arc<PartitionLog>,
    cleaned_up_to: Option<Offset>,
    limits: RoundLimits,
}

/// What goes into one batch.
#[derive(Clone, Debug, Default)]
struct Spec<'a> {
    records: &'a [(Option<&'a str>, Option<&'a str>)],
    producer: Option<(i64, i32)>,
    is_transactional: bool,
    compression: Option<Compression>,
}

impl Bench {
    fn new(seed: u64) -> Self {
        // Every other one has few descriptors.
        let disk = SimDisk::with_open_files(seed, if seed.is_multiple_of(2) { usize::MAX } else { 3 });
        disk.create_directory(Path::new(FOLDER)).unwrap();
        disk.sync_directory(Path::new("")).unwrap();
        disk.sync_directory(Path::new("data")).unwrap();
        let clock = ManualClock::at(NOW_MS);
        let log = load(&disk, &clock, Offset::ZERO);
        let limits = RoundLimits { map_bytes: 1 << 20, load_factor: 0.9, buffer_bytes: 700, hash_seed: seed };
        Self { disk, clock, log, cleaned_up_to: None, limits }
    }

    fn now_ms(&self) -> TimestampMs {
        crate::time::Clock::now_ms(&*self.clock)
    }

    /// Appends one batch, and says which offset its first record got.
    fn append(&self, spec: &Spec<'_>) -> Offset {
        let mut builder = RecordBatchBuilder::new(Offset::ZERO);
        if let Some((id, sequence)) = spec.producer {
            builder = builder.producer(ProducerId(id), ProducerEpoch(0), sequence);
        }
        if spec.is_transactional {
            builder = builder.transactional();
        }
        builder = builder.compression(spec.compression.unwrap_or(Compression::None), None);
        for (at, (key, value)) in spec.records.iter().enumerate() {
            let headers: &[(&[u8], Option<&[u8]>)] = if at % 2 == 0 { &[] } else { &[(b"h", Some(b"x"))] };
            let record = NewRecord {
                timestamp_ms: self.now_ms() + at as i64,
                key: key.map(str::as_bytes),
                value: value.map(str::as_bytes),
                headers,
            };
            builder.append(&record);
        }
        self.append_batch(builder.build().unwrap(), AppendOrigin::Client)
    }

    fn append_batch(&self, batch: Vec<u8>, origin: AppendOrigin) -> Offset {
        let context = AppendContext { leader_epoch: LeaderEpoch(0), origin, now_ms: self.now_ms() };
        self.log.append_as_leader(&batch.into(), &context).unwrap().base_offset
    }

    fn put(&self, key: &str, value: Option<&str>) -> Offset {
        self.append(&Spec { records: &[(Some(key), value)], ..Spec::default() })
    }

    fn end_transaction(&self, producer: i64, outcome: TransactionOutcome) -> Offset {
        let marker = EndTransactionMarker { outcome, coordinator_epoch: 0 };
        let batch = marker.batch(Offset::ZERO, LeaderEpoch(0), self.now_ms(), ProducerId(producer), ProducerEpoch(0));
        self.append_batch(batch, AppendOrigin::Coordinator)
    }

    /// Closes the active segment, and lets all of the log be replicated.
    fn roll(&self) {
        self.log.roll(self.now_ms()).unwrap();
        self.log.set_high_watermark(self.log.log_end_offset());
    }

    /// One round, if there is anything dirty.
    fn clean(&mut self) -> Result<RoundStats, RoundError> {
        let history = self.log.history();
        let (facts, _) = facts_of(&self.log, self.cleaned_up_to);
        let range = facts.cleanable(&self.log.config(), self.now_ms());
        if range.cleanable_bytes == 0 {
            return Ok(RoundStats::default());
        }
        let round = Round::new(&self.log, history, range, self.limits, &Unhurried, &*self.clock);
        let (end_offset, stats) = round.run()?;
        assert!(end_offset > range.first_dirty_offset, "a round gets somewhere");
        self.cleaned_up_to = Some(end_offset);
        Ok(stats)
    }

    /// The process dies, and another one loads the log, of which all below `recovery_point` is trusted.
    fn restart(&mut self, recovery_point: Offset) {
        self.disk.kill();
        self.reload(recovery_point);
    }

    fn reload(&mut self, recovery_point: Offset) {
        self.log = load(&self.disk, &self.clock, recovery_point);
        self.log.set_high_watermark(self.log.log_end_offset());
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> =
            self.disk.list(Path::new(FOLDER)).unwrap().into_iter().map(|entry| entry.name).collect();
        names.sort();
        names
    }

    /// All batches, in order.
    fn batches(&self) -> Vec<Vec<u8>> {
        let log = &self.log;
        let mut batches = Vec::new();
        let mut from = log.log_start_offset();
        while from < log.log_end_offset() {
            let read = log.read(from, 1500, true, log.log_end_offset()).unwrap();
            let Some(slice) = read.slice else { break };
            let mut bytes = vec![0; slice.size_bytes];
            assert_eq!(slice.file.read_at(&mut bytes, slice.position).unwrap(), bytes.len());
            assert!(read.next_offset > from, "a read moves on");
            from = read.next_offset;
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (header, batch) = crate::protocol::batch::read_batch(rest).unwrap();
                batches.push(batch.to_vec());
                rest = &rest[header.size_bytes()..];
            }
        }
        batches
    }

    /// What a `read_committed` consumer sees, by offset.
    fn consume(&self) -> BTreeMap<i64, Seen> {
        let log = &self.log;
        let stable = log.last_stable_offset();
        let mut aborted = log.aborted_transactions(log.log_start_offset(), stable).unwrap();
        aborted.sort_by_key(|txn| txn.first_offset);
        let mut aborted = aborted.into_iter().peekable();
        let mut leaving_out = Vec::new();
        let mut seen = BTreeMap::new();
        for batch in self.batches() {
            let header = BatchHeader::read(&batch).unwrap();
            if header.base_offset >= stable {
                break;
            }
            while let Some(txn) = aborted.next_if(|txn| txn.first_offset <= header.last_offset()) {
                leaving_out.push(txn.producer_id);
            }
            if header.is_control() {
                leaving_out.retain(|id| *id != header.producer_id);
            } else if !(header.is_transactional() && leaving_out.contains(&header.producer_id)) {
                seen.extend(records_of(&batch));
            }
        }
        seen
    }

    /// The last value of every key, as a consumer has it in the end.
    fn table(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        table(self.consume().values())
    }
}

fn records_of(batch: &[u8]) -> Vec<(i64, Seen)> {
    let records = BatchRecords::open(batch, 1 << 20).unwrap();
    let owned = |field: Option<&[u8]>| field.map(<[u8]>::to_vec);
    let header = records.header;
    let records = records.walk().map(|record| {
        let record = record.unwrap();
        let seen =
            Seen { timestamp_ms: record.timestamp_ms(&header), key: owned(record.key), value: owned(record.value) };
        (record.offset(&header).0, seen)
    });
    records.collect()
}

fn table<'a>(records: impl Iterator<Item = &'a Seen>) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut table = BTreeMap::new();
    for Seen { key, value, .. } in records {
        let Some(key) = key.clone() else { continue };
        match value.clone() {
            Some(value) => table.insert(key, value),
            None => table.remove(&key),
        };
    }
    table
}

fn load(disk: &Arc<SimDisk>, clock: &ManualClock, recovery_point: Offset) -> Arc<PartitionLog> {
    let disk: Arc<dyn Disk> = Arc::clone(disk) as _;
    let request = LoadRequest {
        topic_partition: TopicPartition::new("topic", 0),
        directory: PartitionDirectory::new(disk, FOLDER.into()),
        health: DirectoryHealth::new("data".into(), Box::new(|_, _| {})),
        config: Arc::new(compacted()),
        producer_state: ProducerStateConfig::default(),
        was_clean: false,
        recovery_point,
        log_start_offset: Offset::ZERO,
        high_watermark: Offset::ZERO,
        syncs: recovery::Syncs::Each,
        now_ms: crate::time::Clock::now_ms(clock),
    };
    recovery::load(&request).unwrap().log
}

/// Those of the environment, or the first ones.
fn seeds(count: u64) -> std::ops::Range<u64> {
    let chosen = std::env::var("CLEANER_SEEDS").ok();
    let chosen = chosen.as_deref().and_then(|seeds| seeds.split_once(".."));
    chosen.map_or(0..count, |(from, to)| from.parse().unwrap()..to.parse().unwrap())
}

fn is_unfinished(name: &str) -> bool {
    [CLEANED_SUFFIX, SWAP_SUFFIX].iter().any(|suffix| name.ends_with(suffix))
}

#[test]
fn the_last_record_of_a_key_stays_at_its_offset() {
    let mut bench = Bench::new(1);
    for round in 0..3 {
        for key in ["a", "b", "c"] {
            bench.put(key, Some(&format!("{key}{round}")));
        }
    }
    bench.roll();
    bench.put("a", Some("still active"));
    bench.log.set_high_watermark(bench.log.log_end_offset());
    let before = bench.table();
    let stats = bench.clean().unwrap();
    assert_eq!((stats.records_read, stats.records_kept), (9, 3));
    assert!(stats.bytes_written < stats.bytes_read && stats.map_utilization > 0.0);
    let seen: Vec<_> = bench.consume().into_iter().map(|(offset, seen)| (offset, seen.value.unwrap())).collect();
    let text = |seen: &(i64, Vec<u8>)| (seen.0, String::from_utf8(seen.1.clone()).unwrap());
    let expected = [(6, "a2"), (7, "b2"), (8, "c2"), (9, "still active")];
    assert_eq!(seen.iter().map(text).collect::<Vec<_>>(), expected.map(|(offset, value)| (offset, value.to_owned())));
    assert_eq!(bench.table(), before);
    assert_eq!(bench.cleaned_up_to, Some(Offset(9)));
    assert!(!bench.names().iter().any(|name| is_unfinished(name)), "{:?}", bench.names());
}

#[test]
fn readers_of_the_old_files_go_on() {
    let mut bench = Bench::new(1);
    for at in 0..40 {
        bench.put("key", Some(&format!("value {at}")));
    }
    bench.roll();
    let log = &bench.log;
    let old = log.read(Offset(0), 200, true, Offset(40)).unwrap().slice.unwrap();
    let mut before = vec![0; old.size_bytes];
    old.file.read_at(&mut before, old.position).unwrap();
    let segments = log.segments.load_full();
    bench.clean().unwrap();
    // The indexes of what a reader still holds lead into its own file, until `file.delete.delay.ms` is over.
    assert_eq!(segments[0].find_batch(Offset(7)).unwrap().unwrap().header.base_offset, Offset(7));
    bench.log.remove_due_files(bench.now_ms()).unwrap();
    let mut after = vec![0; old.size_bytes];
    assert_eq!(old.file.read_at(&mut after, old.position).unwrap(), after.len());
    assert_eq!(before, after);
    assert_eq!(bench.log.read(Offset(7), 1, true, Offset(40)).unwrap().next_offset, Offset(40));
}

#[test]
fn a_tombstone_stays_until_its_horizon() {
    let mut bench = Bench::new(1);
    bench.put("kept", Some("value"));
    bench.put("gone", Some("value"));
    let tombstone = bench.put("gone", None);
    bench.roll();
    bench.clean().unwrap();
    let horizon_of = |bench: &Bench| {
        let batches = bench.batches();
        let headers = batches.iter().map(|batch| BatchHeader::read(batch).unwrap());
        headers.filter(|header| header.base_offset == tombstone).map(|header| header.delete_horizon_ms()).next()
    };
    assert_eq!(horizon_of(&bench), Some(Some(NOW_MS + DELETE_RETENTION_MS)));
    assert_eq!(bench.consume()[&tombstone.0].timestamp_ms, NOW_MS);
    for (later_ms, is_there) in [(DELETE_RETENTION_MS - 1, true), (1, false)] {
        bench.clock.advance_ms(later_ms);
        bench.put("kept", Some("again"));
        bench.roll();
        bench.clean().unwrap();
        assert_eq!(bench.consume().contains_key(&tombstone.0), is_there);
    }
    assert_eq!(bench.table().len(), 1);
}

#[test]
fn keyless_records_from_before_compaction_go() {
    let mut bench = Bench::new(1);
    let plain = LogConfig { cleanup_policy: CleanupPolicy { delete: true, compact: false }, ..compacted() };
    bench.log.set_config(Arc::new(plain));
    bench.append(&Spec { records: &[(None, Some("x")), (Some("key"), Some("y")), (None, None)], ..Spec::default() });
    bench.append(&Spec { records: &[(None, Some("z"))], ..Spec::default() });
    bench.roll();
    bench.log.set_config(Arc::new(compacted()));
    bench.clean().unwrap();
    assert_eq!(bench.consume().keys().copied().collect::<Vec<_>>(), [1]);
    // The last batch of the round tells where the segment ends, though it is empty.
    assert_eq!(bench.batches().len(), 2);
    bench.restart(Offset::ZERO);
    assert_eq!(bench.log.log_end_offset(), Offset(4));
}

#[test]
fn a_map_that_is_full_cleans_a_part() {
    let mut bench = Bench::new(1);
    bench.limits.map_bytes = 4 * super::offset_map::SLOT_BYTES;
    bench.limits.load_factor = 0.75;
    for round in 0..2 {
        for key in ["a", "b", "c", "d", "e", "f", "g"] {
            bench.put(key, Some(&format!("{key}{round}")));
        }
    }
    bench.roll();
    let before = bench.table();
    let mut ends = Vec::new();
    while ends.last() != Some(&14) {
        bench.clean().unwrap();
        ends.push(bench.cleaned_up_to.unwrap().0);
        assert_eq!(bench.table(), before);
    }
    assert_eq!(ends, [3, 6, 9, 12, 14]);
    assert_eq!(bench.consume().len(), 7);
}

#[test]
fn damage_is_found_and_left_as_it_is() {
    let mut bench = Bench::new(1);
    for at in 0..20 {
        bench.put("key", Some(&format!("value {at}")));
    }
    bench.roll();
    bench.disk.flip_bit(&Path::new(FOLDER).join("00000000000000000000.log"), 8 * 700).unwrap();
    let error = bench.clean().unwrap_err();
    assert!(
        matches!(&error, RoundError::Segment { segment: Offset(0), source } if source.kind() == std::io::ErrorKind::InvalidData),
        "{error}"
    );
    assert!(error.to_string().contains("segment 0: position"), "{error}");
    assert!(!bench.names().iter().any(|name| is_unfinished(name)));
}

#[test]
fn a_round_ends_when_its_log_changes() {
    let fill = || {
        let bench = Bench::new(1);
        for at in 0..20 {
            bench.put("key", Some(&format!("value {at}")));
        }
        bench.roll();
        bench
    };
    let check = |change: &dyn Fn(&Bench)| {
        struct Changes<'a>(&'a dyn Fn());
        impl Pacer for Changes<'_> {
            fn moved(&self, _bytes: u64) -> bool {
                (self.0)();
                true
            }
        }
        let bench = fill();
        let history = bench.log.history();
        let range = facts_of(&bench.log, None).0.cleanable(&bench.log.config(), bench.now_ms());
        let before = bench.batches();
        let pacer = Changes(&|| change(&bench));
        let round = Round::new(&bench.log, history, range, bench.limits, &pacer, &*bench.clock);
        assert!(matches!(round.run(), Err(RoundError::Changed)));
        assert!(!bench.names().iter().any(|name| is_unfinished(name)));
        (bench, before)
    };
    check(&|bench| bench.log.mark_deleted());
    let (bench, before) = check(&|bench| bench.log.pause_cleaning());
    assert_eq!(bench.batches(), before);
    bench.log.resume_cleaning();
    assert!(bench.log.is_cleanable(bench.log.history()));
    check(&|bench| {
        let plain = LogConfig { cleanup_policy: CleanupPolicy { delete: true, compact: false }, ..compacted() };
        bench.log.set_config(Arc::new(plain));
    });
    check(&|bench| {
        bench.log.truncate_to(Offset(10), NOW_MS).unwrap();
    });
}

#[test]
fn retention_and_cleaning_do_not_get_into_each_others_way() {
    struct Deletes<'a>(&'a PartitionLog);
    impl Pacer for Deletes<'_> {
        fn moved(&self, _bytes: u64) -> bool {
            self.0.delete_records(Offset(25)).unwrap();
            self.0.delete_old_segments(NOW_MS).unwrap();
            true
        }
    }
    let bench = Bench::new(1);
    let both = LogConfig { cleanup_policy: CleanupPolicy { delete: true, compact: true }, ..compacted() };
    bench.log.set_config(Arc::new(both));
    for at in 0..60 {
        bench.put(&format!("key {}", at % 20), Some(&format!("value {at}")));
        if at % 10 == 9 {
            bench.roll();
        }
    }
    let before = bench.table();
    let history = bench.log.history();
    let range = facts_of(&bench.log, None).0.cleanable(&bench.log.config(), bench.now_ms());
    let pacer = Deletes(&bench.log);
    let round = Round::new(&bench.log, history, range, bench.limits, &pacer, &*bench.clock);
    // The segments that were read first are gone when they should be replaced.
    assert!(matches!(round.run(), Err(RoundError::Changed)));
    assert_eq!(bench.log.log_start_offset(), Offset(25));
    assert_eq!(bench.table(), before);
    let mut bench = bench;
    bench.cleaned_up_to = Some(Offset(3));
    bench.clean().unwrap();
    assert_eq!(bench.table(), before);
    assert_eq!(bench.consume().len(), 20);
}

#[test]
fn what_is_of_no_use_is_removed_whatever_its_name() {
    let bench = Bench::new(1);
    for name in ["00000000000000000007.log.cleaned", "00000000000000000007.index.swap"] {
        bench.disk.write_atomically(&Path::new(FOLDER).join(name), b"x").unwrap();
    }
    cleaned_segment::discard(bench.log.directory(), Offset(7));
    assert!(!bench.names().iter().any(|name| is_unfinished(name)));
}
