//! Random histories with crashes in them: what was flushed is there, nothing else is made up, and the log goes on.

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::ids::{LeaderEpoch, ProducerEpoch, ProducerId};
use crate::io::sim::{SimFault, SimOperation};
use crate::log::append::AppendContext;
use crate::log::producer_state::{
    AppendOrigin, EndTxnMarker, ProducerStateConfig, ProducerStateEntry, ProducerStateManager,
};
use crate::log::txn_index::AbortedTxn;
use crate::protocol::batch::BatchHeader;
use crate::protocol::records::{EndTransactionMarker, NewRecord, RecordBatchBuilder, TransactionOutcome};

const PARTITIONS: usize = 2;
/// Ids from [`FIRST_TRANSACTIONAL`] on write in transactions.
const PRODUCERS: i64 = 5;
const FIRST_TRANSACTIONAL: i64 = 3;
const STARTS: usize = 4;
const STEPS: usize = 40;

/// What one partition should hold.
#[derive(Default)]
struct Model {
    /// As they lie in the log, offsets and epochs patched.
    batches: Vec<Vec<u8>>,
    /// Those whose append failed: a crash can bring them back nevertheless.
    failed: Vec<Vec<u8>>,
    leader_epoch: i32,
    log_start_offset: i64,
}

impl Model {
    fn headers(&self) -> impl DoubleEndedIterator<Item = BatchHeader> {
        self.batches.iter().map(|batch| BatchHeader::read(batch).unwrap())
    }

    fn end(&self) -> Offset {
        self.headers().next_back().map_or(Offset(0), |last| last.next_offset())
    }

    /// Takes for true what the log has kept: nothing below `flushed` has changed, and nothing was made up.
    fn adopt(&mut self, kept: Vec<Vec<u8>>, end: Offset, flushed: Offset) {
        for batch in &kept {
            let offset = BatchHeader::read(batch).unwrap().base_offset;
            let may_be_there = self.batches.contains(batch) || (offset >= flushed && self.failed.contains(batch));
            assert!(may_be_there, "at {offset} lies what nobody appended");
        }
        let start = kept.first().map_or(end, |first| BatchHeader::read(first).unwrap().base_offset);
        self.batches.retain(|batch| BatchHeader::read(batch).unwrap().base_offset < start);
        self.batches.extend(kept);
        self.failed.clear();
        assert_eq!(self.end(), end, "the log ends with a batch that was appended");
    }

    fn producers(&self) -> ProducerStateManager {
        self.replayed().0
    }

    /// What all batches make of the producers, and the transactions that were aborted.
    fn replayed(&self) -> (ProducerStateManager, Vec<AbortedTxn>) {
        let mut producers = ProducerStateManager::new(ProducerStateConfig::default());
        let mut aborted = Vec::new();
        for batch in &self.batches {
            let header = BatchHeader::read(batch).unwrap();
            if !header.is_control() {
                producers.update(&header, NOW_MS);
                continue;
            }
            let marker = EndTxnMarker::read(&header, batch).unwrap().unwrap();
            let completed = producers.update_marker(&header, &marker, NOW_MS);
            aborted.extend(completed.filter(|completed| completed.is_aborted).map(|completed| AbortedTxn {
                producer_id: completed.producer_id,
                first_offset: completed.first_offset,
                last_offset: completed.last_offset,
                last_stable_offset: completed.last_stable_offset,
            }));
        }
        (producers, aborted)
    }

    fn bytes_from(&self, offset: Offset) -> Vec<u8> {
        let wanted = self.batches.iter().filter(|batch| BatchHeader::read(batch).unwrap().last_offset() >= offset);
        wanted.flatten().copied().collect()
    }
}

fn batches(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut batches = Vec::new();
    while !bytes.is_empty() {
        let (batch, rest) = bytes.split_at(BatchHeader::read(bytes).unwrap().size_bytes());
        batches.push(batch.to_vec());
        bytes = rest;
    }
    batches
}

struct History {
    machine: Machine,
    rng: StdRng,
    models: Vec<Model>,
}

impl History {
    fn new(seed: u64) -> Self {
        let models = (0..PARTITIONS).map(|_| Model::default()).collect();
        Self { machine: Machine::new(seed, small_segments()), rng: StdRng::seed_from_u64(seed), models }
    }

    fn run(&mut self) {
        for _ in 0..STARTS {
            let run = self.machine.start();
            self.check(&run);
            for _ in 0..self.rng.random_range(0..STEPS) {
                self.step(&run);
            }
            self.stop(run);
        }
        let run = self.machine.start();
        self.check(&run);
    }

    fn log(&self, run: &Run, at: usize) -> Arc<PartitionLog> {
        run.log(&self.machine.config, at as i32)
    }

    fn step(&mut self, run: &Run) {
        let at = self.rng.random_range(0..PARTITIONS);
        let log = self.log(run, at);
        match self.rng.random_range(0..100) {
            0..47 => self.append(&log, at),
            47..55 => self.end_transaction(&log, at),
            55..65 => log.flush(),
            65..75 => {
                let place = self.rng.random_range(0..3);
                self.machine.disk.run_sync(place);
            }
            75..82 => self.machine.disk.run_syncs(),
            82..86 => drop(log.roll(NOW_MS)),
            86..91 => {
                run.manager.look_after_space(NOW_MS);
                run.manager.checkpoint_now();
            }
            91..93 => run.manager.checkpoint_high_watermarks(),
            93..96 => {
                log.set_high_watermark(log.flushed_offset());
                let before = Offset(self.rng.random_range(0..=log.high_watermark().0));
                if log.delete_records(before).is_ok() {
                    self.models[at].log_start_offset = self.models[at].log_start_offset.max(before.0);
                    run.manager.run_retention(NOW_MS);
                }
            }
            96..98 => {
                self.models[at].leader_epoch += 1;
                log.assign_leader_epoch(LeaderEpoch(self.models[at].leader_epoch));
            }
            _ => self.break_something(),
        }
    }

    /// Most of the time an append in sequence; at times one that comes again, or one that leaves a gap.
    fn append(&mut self, log: &PartitionLog, at: usize) {
        let producers = self.models[at].producers();
        let producer_id = self.rng.random_range(-1..PRODUCERS);
        let last_sequence = producers.entry(ProducerId(producer_id)).map_or(-1, ProducerStateEntry::last_sequence);
        let context = AppendContext {
            leader_epoch: LeaderEpoch(self.models[at].leader_epoch),
            origin: AppendOrigin::Client,
            now_ms: NOW_MS,
        };
        if producer_id >= 0 && self.rng.random_range(0..8) == 0 {
            let of_producer = |batch: &&Vec<u8>| BatchHeader::read(batch).unwrap().producer_id.0 == producer_id;
            let Some(sent) = self.models[at].batches.iter().rev().find(of_producer) else { return };
            let header = BatchHeader::read(sent).unwrap();
            if let Ok(again) = log.append_as_leader(&Bytes::copy_from_slice(sent), &context) {
                assert!(again.is_duplicate && again.base_offset == header.base_offset, "{again:?}");
            }
            return;
        }
        let count = self.rng.random_range(1..6);
        let mut builder = RecordBatchBuilder::new(Offset(0)).leader_epoch(context.leader_epoch);
        if producer_id >= 0 {
            builder = builder.producer(ProducerId(producer_id), ProducerEpoch(0), last_sequence + 1);
        }
        if producer_id >= FIRST_TRANSACTIONAL {
            builder = builder.transactional();
        }
        let value: Vec<u8> = (0..self.rng.random_range(0..200)).map(|_| self.rng.random()).collect();
        for _ in 0..count {
            let timestamp_ms = NOW_MS + self.rng.random_range(-1000..1000);
            builder.append(&NewRecord { timestamp_ms, key: None, value: Some(&value), headers: &[] });
        }
        self.append_new(log, at, builder.build().unwrap(), &context);
    }

    fn append_new(&mut self, log: &PartitionLog, at: usize, mut batch: Vec<u8>, context: &AppendContext) {
        let model = &mut self.models[at];
        let appended = log.append_as_leader(&Bytes::copy_from_slice(&batch), context);
        batch[..8].copy_from_slice(&model.end().0.to_be_bytes());
        match appended {
            Ok(appended) => {
                assert_eq!(appended.base_offset, model.end(), "offsets go on without a hole");
                model.batches.push(batch);
            }
            Err(_) => model.failed.push(batch),
        }
    }

    fn end_transaction(&mut self, log: &PartitionLog, at: usize) {
        let producer_id = ProducerId(self.rng.random_range(FIRST_TRANSACTIONAL..PRODUCERS));
        let outcome = [TransactionOutcome::Abort, TransactionOutcome::Commit][self.rng.random_range(0..2)];
        let leader_epoch = LeaderEpoch(self.models[at].leader_epoch);
        let marker = EndTransactionMarker { outcome, coordinator_epoch: 0 };
        let batch = marker.batch(Offset(0), leader_epoch, NOW_MS, producer_id, ProducerEpoch(0));
        let context = AppendContext { leader_epoch, origin: AppendOrigin::Coordinator, now_ms: NOW_MS };
        self.append_new(log, at, batch, &context);
    }

    fn break_something(&mut self) {
        let operation = [SimOperation::Write, SimOperation::Sync][self.rng.random_range(0..2)];
        let fault = [SimFault::Io, SimFault::NoSpace][self.rng.random_range(0..2)];
        if self.rng.random() {
            self.machine.disk.fail_after(operation, self.rng.random_range(0..20), fault);
        } else {
            self.machine.disk.heal();
        }
    }

    /// Ends a run in one of the ways in which a run ends, and says what the next one has to find.
    fn stop(&mut self, run: Run) {
        let logs: Vec<_> = (0..PARTITIONS).map(|at| run.manager.get(&partition(at as i32))).collect();
        let flushed: Vec<_> =
            logs.iter().map(|log| log.as_ref().map_or(Offset(0), |log| log.flushed_offset())).collect();
        let way = self.rng.random_range(0..10);
        if way < 2 {
            run.manager.shutdown(None);
        }
        drop((logs, run));
        self.machine.disk.heal();
        let crash_seed = self.rng.random();
        if way == 0 || way > 3 {
            self.machine.disk.crash(crash_seed);
        } else {
            self.machine.disk.kill();
        }
        // Recovery may be interrupted as well, any number of times.
        while self.rng.random_range(0..4) == 0 {
            let crash_seed = self.rng.random();
            self.machine.disk.fail_after(SimOperation::Write, self.rng.random_range(0..12), SimFault::Io);
            self.try_start();
            self.machine.disk.heal();
            self.machine.disk.crash(crash_seed);
        }
        let run = self.machine.start();
        for (at, flushed) in flushed.into_iter().enumerate() {
            let log = run.manager.get(&partition(at as i32));
            let end = log.as_ref().map_or(Offset(0), |log| log.log_end_offset());
            assert!(end >= flushed, "partition {at} ends at {end}, and was flushed up to {flushed}");
            self.models[at].adopt(log.map_or(Vec::new(), |log| batches(&all_bytes(&log))), end, flushed);
        }
        drop(run);
        self.machine.disk.kill();
    }

    /// A start on a failing disk; whatever comes of it is dropped.
    fn try_start(&self) {
        let disk: Arc<dyn Disk> = Arc::clone(&self.machine.disk) as _;
        let Ok(directories) = LogDirectories::open(&disk, &["data".into()], BrokerId(1), |_, _| {}) else { return };
        let options = self.machine.options();
        let config_of = |_: &TopicPartition| Some(Arc::clone(&self.machine.config));
        drop(LogManager::load(directories, options, Arc::clone(&self.machine.clock) as _, &config_of));
    }

    /// Everything that can be asked of a log that was just opened.
    fn check(&mut self, run: &Run) {
        for at in 0..PARTITIONS {
            let log = self.log(run, at);
            let model = &self.models[at];
            let (start, end) = offsets(&log);
            assert_eq!(end, model.end());
            assert!(start.0 <= model.log_start_offset, "nothing is deleted that nobody deleted");
            assert_eq!(log.flushed_offset(), end);
            assert!(start <= log.high_watermark() && log.high_watermark() <= end);
            assert_eq!(all_bytes(&log), model.bytes_from(start));
            check_lookups(&log, model, &mut self.rng);
            check_producers(&log, model);
            check_epochs(&log, model);
            check_transactions(&log, model);
            if let Some(latest) = log.latest_epoch() {
                self.models[at].leader_epoch = self.models[at].leader_epoch.max(latest.0);
            }
            // A new registration takes a new epoch.
            self.models[at].leader_epoch += 1;
        }
    }
}

fn check_lookups(log: &PartitionLog, model: &Model, rng: &mut StdRng) {
    let (start, end) = offsets(log);
    if start == end {
        return;
    }
    for _ in 0..3 {
        let offset = Offset(rng.random_range(start.0..end.0));
        let expected = model.headers().find(|header| header.last_offset() >= offset).unwrap();
        let read = log.read(offset, 1, true, end).unwrap();
        assert_eq!(read.next_offset, expected.next_offset());

        let timestamp = NOW_MS + rng.random_range(-1000..1000);
        let found = log.offset_for_timestamp(timestamp).unwrap();
        let expected =
            model.headers().find(|header| header.max_timestamp >= timestamp && header.last_offset() >= start);
        match (found, expected) {
            (Some(found), Some(expected)) => {
                assert!(found.offset >= expected.base_offset, "{found:?} {expected:?}");
                if expected.base_offset >= start {
                    assert!(found.offset <= expected.last_offset(), "{found:?} {expected:?}");
                }
            }
            (None, None) => {}
            // The batch that the log begins within may have its newest record below the beginning.
            (found, Some(expected)) => {
                assert!(found.is_none() && expected.base_offset < start, "{start} to {end}: {found:?} {expected:?}");
            }
            (found, None) => panic!("{found:?}"),
        }
    }
}

/// Of each producer the last batches are known, as far as their records are there. The last one's timestamp may be a
/// marker's: a snapshot has one place for both.
fn check_producers(log: &PartitionLog, model: &Model) {
    let start = log.log_start_offset();
    let batches_of = |entry: &ProducerStateEntry| -> Vec<_> {
        let there = entry.batches().iter().filter(|batch| batch.first_offset() >= start);
        there.map(|batch| (batch.last_sequence, batch.last_offset, batch.offset_delta)).collect()
    };
    let expected = model.producers();
    let found = log.producers();
    assert!(found.iter().all(|entry| expected.entry(entry.producer_id).is_some()));
    for expected in expected.active_producers() {
        let found = found.iter().find(|entry| entry.producer_id == expected.producer_id);
        assert_eq!(found.map_or(Vec::new(), batches_of), batches_of(expected));
        let first_offset = expected.current_txn_first_offset.filter(|first_offset| *first_offset >= start);
        if first_offset.is_some() {
            assert_eq!(found.and_then(|found| found.current_txn_first_offset), first_offset);
        }
    }
}

/// Where `read_committed` consumers stop, and what they leave out.
fn check_transactions(log: &PartitionLog, model: &Model) {
    let (start, end) = offsets(log);
    let (producers, aborted) = model.replayed();
    let undecided = producers.first_undecided_offset().unwrap_or(end);
    if undecided >= start {
        log.set_high_watermark(end);
        assert_eq!(log.last_stable_offset(), undecided);
    }
    // Of one that began before the log does, the beginning may be forgotten.
    let is_there = |txn: &&AbortedTxn| txn.first_offset >= start;
    let places = |txn: &AbortedTxn| (txn.producer_id, txn.first_offset, txn.last_offset);
    let expected: Vec<_> = aborted.iter().filter(is_there).map(places).collect();
    let is_known = |txn: &&AbortedTxn| expected.iter().any(|(_, _, last_offset)| *last_offset == txn.last_offset);
    let found = log.aborted_transactions(start, end).unwrap();
    assert!(found.iter().all(|txn| aborted.iter().any(|aborted| aborted.last_offset == txn.last_offset)));
    assert_eq!(found.iter().filter(is_known).map(places).collect::<Vec<_>>(), expected);
}

fn check_epochs(log: &PartitionLog, model: &Model) {
    for header in model.headers().filter(|header| header.base_offset >= log.log_start_offset()) {
        let found = log.epoch_for_offset(header.base_offset);
        assert_eq!(found, Some(header.leader_epoch), "at {}: {:?}", header.base_offset, log.leader_epochs());
    }
    assert!(
        log.leader_epochs().iter().all(|entry| entry.start_offset < log.log_end_offset() || model.batches.is_empty())
    );
}

fn trace_of(seed: u64) -> u64 {
    let mut history = History::new(seed);
    history.run();
    history.machine.disk.trace()
}

#[test]
fn the_same_seed_is_the_same_history() {
    for seed in 0..5 {
        assert_eq!(trace_of(seed), trace_of(seed), "seed {seed}");
    }
    assert_ne!(trace_of(1), trace_of(2));
}

/// `CRASH_SEEDS=from..to` chooses others.
#[test]
fn no_flushed_record_is_lost() {
    let (from, to) = seeds();
    for seed in from..to {
        let outcome = std::panic::catch_unwind(|| History::new(seed).run());
        if let Err(panic) = outcome {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

fn seeds() -> (u64, u64) {
    let chosen = std::env::var("CRASH_SEEDS").ok();
    let chosen = chosen.as_deref().and_then(|seeds| seeds.split_once(".."));
    chosen.map_or((0, 200), |(from, to)| (from.parse().unwrap(), to.parse().unwrap()))
}
