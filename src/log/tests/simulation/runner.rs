//! One run: lives of a broker, interrupted where the case says, and after every start a look at what is there.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::case::{Case, Trouble};
use super::checks;
use super::machine::{Machine, is_compacted, partition};
use super::model::Model;
use super::reading::{self, Batch};
use super::script::{self, Action, Draft, End, FIRST_TRANSACTIONAL, Life, PARTITIONS};
use crate::check::{Finding, Kind, Level};
use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use crate::log::append::{AppendContext, Appended};
use crate::log::cleaner::testing::clean_one;
use crate::log::errors::AppendError;
use crate::log::log_manager::LogManager;
use crate::log::partition_log::PartitionLog;
use crate::log::producer_state::{AppendOrigin, ProducerStateEntry};
use crate::protocol::batch::Compression;
use crate::protocol::records::{EndTransactionMarker, NewRecord, RecordBatchBuilder, TransactionOutcome};

/// Starts that fail one after the other, until something else must be wrong.
const MAX_STARTS: usize = 50;

pub(super) struct Simulation {
    machine: Machine,
    models: Vec<Model>,
    rng: StdRng,
    case: Case,
    /// Records so far: no two have the same value.
    records: u64,
    /// Failures of the disk before this life.
    failures_before: u64,
    /// The power fails once more, so many steps after it came back.
    next_cut: Option<u64>,
    /// The last life has ended in good order.
    was_clean: bool,
    has_to_end: bool,
}

/// What a run was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) steps: u64,
    pub(super) trace: u64,
}

impl Simulation {
    pub(super) fn new(case: &Case) -> Self {
        let machine = Machine::new(case.seed);
        let step = case.trouble.step();
        let mut rng = StdRng::seed_from_u64(case.seed ^ (step.unwrap_or(0) << 32));
        let next_cut = (step.is_some() && rng.random_range(0..3) > 0).then(|| rng.random_range(0..60));
        match case.trouble {
            Trouble::None => {}
            Trouble::PowerCut { step } => machine.disk.cut_power_at(step),
            Trouble::Fault { step, steps, fault } => machine.disk.fail_steps(step..step + steps, fault),
        }
        let models = (0..PARTITIONS).map(|at| Model::new(is_compacted(at), 1)).collect();
        Self {
            machine,
            models,
            rng,
            case: case.clone(),
            records: 0,
            failures_before: 0,
            next_cut,
            was_clean: false,
            has_to_end: false,
        }
    }

    pub(super) fn keep_journal(&self) {
        self.machine.disk.keep_journal();
    }

    pub(super) fn take_journal(&self) -> Vec<String> {
        self.machine.disk.take_journal()
    }

    pub(super) fn run(&mut self) -> Outcome {
        for life in script::lives(self.case.seed, self.case.actions) {
            self.live(&life);
        }
        self.finish();
        Outcome { steps: self.machine.disk.steps(), trace: self.machine.disk.trace() }
    }

    fn live(&mut self, life: &Life) {
        let manager = self.start();
        (self.was_clean, self.has_to_end) = (false, false);
        for action in &life.actions {
            self.remark(|| format!("{action:?}"));
            self.act(&manager, action);
            self.note_flushed(&manager);
            if self.machine.disk.is_powerless() || manager.offline_directory_count() > 0 || self.has_to_end {
                break;
            }
        }
        let mut end = life.end;
        if let End::Shutdown { is_crash } = end {
            self.remark(|| "shutdown".to_owned());
            manager.shutdown(None);
            self.note_flushed(&manager);
            end = if is_crash { End::Crash } else { End::Kill };
            self.was_clean = true;
        }
        // A process that dies in the midst of a step, as a machine does.
        if self.machine.disk.is_powerless() {
            end = if self.rng.random_range(0..4) == 0 { End::Kill } else { End::Crash };
        }
        self.stop(manager, end);
    }

    /// The broker is no more.
    fn stop(&mut self, manager: Arc<LogManager>, end: End) {
        drop(manager);
        self.lose_power_or_process(end);
    }

    fn lose_power_or_process(&mut self, end: End) {
        let seed = self.rng.random();
        self.remark(|| format!("{end:?}"));
        self.machine.disk.heal();
        if end == End::Crash {
            self.machine.disk.crash(seed);
        } else {
            self.machine.disk.kill();
        }
        if self.machine.disk.failures() > 0
            && let Some(steps) = self.next_cut.take()
        {
            self.machine.disk.cut_power_at(self.machine.disk.steps() + steps);
        }
    }

    /// A stop in good order, as often as it takes.
    fn finish(&mut self) {
        for _ in 0..MAX_STARTS {
            self.next_cut = None;
            let manager = self.start();
            self.remark(|| "shutdown".to_owned());
            manager.shutdown(None);
            self.note_flushed(&manager);
            if self.is_calm() {
                drop(manager);
                self.machine.disk.kill();
                let report = self.machine.check();
                assert!(report.findings.iter().all(is_nothing), "after a clean stop:\n{report}");
                return;
            }
            self.stop(manager, End::Crash);
        }
        panic!("the broker can't be stopped");
    }

    /// Starts until the logs are there; holds them against the models; starts once more, and finds the same.
    fn start(&mut self) -> Arc<LogManager> {
        for _ in 0..MAX_STARTS {
            if let Some(manager) = self.try_start()
                && let Some(manager) = self.start_again(manager)
            {
                self.failures_before = self.machine.disk.failures();
                return manager;
            }
        }
        panic!("the logs can't be loaded");
    }

    /// One start; `None`: it was interrupted, and the machine is off.
    fn try_start(&mut self) -> Option<Arc<LogManager>> {
        self.remark(|| "start".to_owned());
        let failures = self.machine.disk.failures();
        let manager = self.machine.start();
        let is_troubled = self.machine.disk.failures() > failures;
        assert!(is_troubled || manager.is_some(), "the logs can't be loaded");
        let is_up = manager.as_ref().is_some_and(|manager| manager.offline_directory_count() == 0);
        if self.machine.disk.is_powerless() || !is_up {
            assert!(is_troubled, "the directory is offline");
            drop(manager);
            let end = if self.rng.random() { End::Kill } else { End::Crash };
            self.lose_power_or_process(end);
            return None;
        }
        if is_troubled {
            self.machine.disk.heal();
        }
        let manager = manager?;
        self.settle(&manager);
        if self.machine.disk.is_powerless() || manager.offline_directory_count() > 0 {
            self.stop(manager, End::Crash);
            return None;
        }
        self.check_logs(&manager);
        Some(manager)
    }

    /// Recovery has left a directory in which there is nothing to be found, and nothing to be recovered.
    fn start_again(&mut self, manager: Arc<LogManager>) -> Option<Arc<LogManager>> {
        if self.machine.disk.failures() > self.failures_before {
            // What could not be written is written by a later start.
            return Some(manager);
        }
        let before = self.machine.files();
        drop(manager);
        self.machine.disk.kill();
        let report = self.machine.check();
        assert!(report.findings.iter().all(is_left_by_recovery), "after recovery:\n{report}");
        let manager = self.try_start()?;
        let after = self.machine.files();
        // What was closed in good order has an entry more in the last time index than recovery puts there; and a producer
        // snapshot depends on the one before: it may know of a marker that the log no longer has.
        if !self.was_clean {
            let paths: BTreeSet<_> = before.keys().chain(after.keys()).collect();
            let is_snapshot = |path: &Path| path.extension().is_some_and(|kind| kind == "snapshot");
            for path in paths.into_iter().filter(|path| !is_snapshot(path)) {
                assert_eq!(before.get(path), after.get(path), "the second recovery has changed {}", path.display());
            }
        }
        Some(manager)
    }

    /// Sets aside what is of topics that there are no more, and opens the others, as a start of the broker does.
    fn settle(&mut self, manager: &LogManager) {
        for (found, id) in manager.partitions() {
            let Some(at) = (0..PARTITIONS).find(|at| partition(*at) == found) else { continue };
            if id.is_none_or(|id| id.0.as_u128() == self.models[at].topic_id) {
                drop(self.log(manager, at));
            } else {
                drop(manager.set_aside(&found));
            }
        }
    }

    fn check_logs(&mut self, manager: &LogManager) {
        for at in 0..PARTITIONS {
            let Some(log) = manager.get(&partition(at)) else {
                let model = &self.models[at];
                assert_eq!(
                    (model.flushed, model.start_floor),
                    (Offset::ZERO, Offset::ZERO),
                    "{} is gone",
                    partition(at)
                );
                self.models[at] = Model::new(model.is_compacted, model.topic_id);
                continue;
            };
            let found = reading::batches(&log);
            self.models[at].adopt(&found, log.log_end_offset());
            checks::check(&log, &found, &self.models[at], &mut self.rng);
            assert!(
                self.machine.disk.failures() > self.failures_before || log.flushed_offset() == log.log_end_offset()
            );
            let model = &mut self.models[at];
            model.flushed = log.flushed_offset();
            // A new registration takes a new epoch.
            let latest = log.latest_epoch().map_or(0, |latest| latest.0);
            model.leader_epoch = model.leader_epoch.max(latest) + 1;
        }
    }

    fn note_flushed(&mut self, manager: &LogManager) {
        for (at, model) in self.models.iter_mut().enumerate() {
            if let Some(log) = manager.get(&partition(at)) {
                model.flushed = model.flushed.max(log.flushed_offset());
                model.start_ceiling = model.start_ceiling.max(log.log_start_offset());
            }
        }
    }

    /// Nothing has failed in this life: everything has to work.
    fn is_calm(&self) -> bool {
        self.machine.disk.failures() == self.failures_before
    }

    fn act(&mut self, manager: &Arc<LogManager>, action: &Action) {
        let now_ms = self.machine.now_ms();
        match action {
            Action::Append { partition, producer, records, codec } => {
                self.append(manager, *partition, *producer, records, *codec);
            }
            Action::Resend { partition, producer } => self.resend(manager, *partition, *producer),
            Action::EndTransaction { partition, producer, outcome, is_fencing } => {
                self.end_transaction(manager, *partition, *producer, *outcome, *is_fencing);
            }
            Action::Flush { partition } => self.with_log(manager, *partition, |_, log| log.flush()),
            Action::RunSync { place } => {
                self.machine.disk.run_sync(*place);
            }
            Action::RunSyncs => self.machine.disk.run_syncs(),
            Action::AdvanceHighWatermark { partition } => {
                self.with_log(manager, *partition, |_, log| {
                    log.set_high_watermark(log.flushed_offset());
                });
            }
            Action::Roll { partition } => self.with_log(manager, *partition, |_, log| drop(log.roll(now_ms))),
            Action::Checkpoint => self.checkpoint(manager),
            Action::CheckpointHighWatermarks => manager.checkpoint_high_watermarks(),
            Action::DeleteRecords { partition, per_mille } => {
                self.with_log(manager, *partition, |_, log| {
                    let (start, end) = (log.log_start_offset().0, log.high_watermark().0);
                    drop(log.delete_records(Offset(start + (end - start) * per_mille / 1000)));
                });
            }
            Action::Retention => {
                manager.run_retention(now_ms);
            }
            Action::RemoveFiles => {
                manager.delete_expired_files(now_ms);
            }
            Action::NewEpoch { partition } => {
                self.with_log(manager, *partition, |model, log| {
                    model.leader_epoch += 1;
                    log.assign_leader_epoch(LeaderEpoch(model.leader_epoch));
                });
            }
            Action::Truncate { partition, per_mille } => self.truncate(manager, *partition, *per_mille),
            Action::Clean { keys } => self.clean(manager, *keys),
            Action::DeleteTopic { partition } => self.delete_topic(manager, *partition),
            Action::Wait { ms } => {
                self.machine.clock.advance_ms(*ms);
                manager.look_after_space(self.machine.now_ms());
            }
        }
    }

    fn with_log(&mut self, manager: &LogManager, at: usize, act: impl FnOnce(&mut Model, &Arc<PartitionLog>)) {
        if let Some(log) = self.log(manager, at) {
            act(&mut self.models[at], &log);
        }
    }

    /// The log of a partition, which comes to be when it is needed.
    fn log(&mut self, manager: &LogManager, at: usize) -> Option<Arc<PartitionLog>> {
        let log = self.machine.log(manager, at, self.models[at].topic_id);
        assert!(log.is_ok() || !self.is_calm(), "{log:?}");
        log.ok()
    }

    fn append(&mut self, manager: &LogManager, at: usize, producer: i64, drafts: &[Draft], codec: Compression) {
        let model = &self.models[at];
        let known = model.producers.entry(ProducerId(producer));
        let epoch = known.map_or(ProducerEpoch(0), |known| known.epoch);
        let sequence = known.map_or(-1, ProducerStateEntry::last_sequence) + 1;
        let mut builder = RecordBatchBuilder::new(Offset::ZERO).compression(codec, None);
        if producer >= 0 {
            builder = builder.producer(ProducerId(producer), epoch, sequence);
        }
        if producer >= FIRST_TRANSACTIONAL {
            builder = builder.transactional();
        }
        for draft in drafts {
            self.records += 1;
            let value = draft.value_bytes.map(|bytes| format!("{} {}", self.records, "x".repeat(bytes)).into_bytes());
            builder.append(&NewRecord {
                timestamp_ms: self.machine.now_ms() + draft.later_ms,
                key: Some(&[draft.key]),
                value: value.as_deref(),
                headers: &[],
            });
        }
        self.append_batch(manager, at, builder.build().expect("a batch"), AppendOrigin::Client);
    }

    fn end_transaction(
        &mut self,
        manager: &LogManager,
        at: usize,
        producer: i64,
        outcome: TransactionOutcome,
        is_fencing: bool,
    ) {
        let id = ProducerId(producer);
        let epoch = self.models[at].producers.entry(id).map_or(0, |known| known.epoch.0);
        let epoch = ProducerEpoch(epoch + i16::from(is_fencing));
        let marker = EndTransactionMarker { outcome, coordinator_epoch: 0 };
        let batch = marker.batch(Offset::ZERO, LeaderEpoch::NONE, self.machine.now_ms(), id, epoch);
        self.append_batch(manager, at, batch, AppendOrigin::Coordinator);
    }

    fn append_batch(&mut self, manager: &LogManager, at: usize, mut bytes: Vec<u8>, origin: AppendOrigin) {
        let Some(log) = self.log(manager, at) else { return };
        let base_offset = log.log_end_offset();
        let appended = self.try_append(&log, at, &bytes, origin);
        let model = &mut self.models[at];
        // As it is stored.
        bytes[..8].copy_from_slice(&base_offset.0.to_be_bytes());
        bytes[12..16].copy_from_slice(&model.leader_epoch.to_be_bytes());
        let batch = Batch::read(&bytes);
        match appended {
            Ok(appended) => {
                assert_eq!(appended.base_offset, model.end, "offsets go on without a hole");
                assert!(!appended.is_duplicate);
                model.push(batch);
            }
            Err(_) => model.push_failed(batch),
        }
    }

    fn try_append(
        &self,
        log: &PartitionLog,
        at: usize,
        bytes: &[u8],
        origin: AppendOrigin,
    ) -> Result<Appended, AppendError> {
        let leader_epoch = LeaderEpoch(self.models[at].leader_epoch);
        let context = AppendContext { leader_epoch, origin, now_ms: self.machine.now_ms() };
        let appended = log.append_as_leader(&Bytes::copy_from_slice(bytes), &context);
        assert!(appended.is_ok() || !self.is_calm(), "{appended:?}");
        appended
    }

    fn resend(&mut self, manager: &LogManager, at: usize, producer: i64) {
        let Some(log) = self.log(manager, at) else { return };
        let model = &self.models[at];
        let id = ProducerId(producer);
        let Some(last) = model.last_of(id) else { return };
        let header = last.header;
        // What was deleted may be forgotten, and what was fenced is refused.
        let is_current = model.producers.entry(id).is_some_and(|known| known.epoch == header.producer_epoch);
        if header.base_offset < log.log_start_offset() || !is_current {
            return;
        }
        let mut bytes = last.bytes.clone();
        bytes[..8].fill(0);
        if let Ok(again) = self.try_append(&log, at, &bytes, AppendOrigin::Client) {
            assert!(again.is_duplicate && again.base_offset == header.base_offset, "{again:?} of {header:?}");
        }
    }

    fn checkpoint(&mut self, manager: &LogManager) {
        manager.look_after_space(self.machine.now_ms());
        let failures = self.machine.disk.failures();
        manager.checkpoint_now();
        if self.machine.disk.failures() > failures {
            return;
        }
        for (at, model) in self.models.iter_mut().enumerate() {
            if let Some(log) = manager.get(&partition(at)) {
                model.start_floor = log.log_start_offset();
            }
        }
    }

    fn truncate(&mut self, manager: &LogManager, at: usize, per_mille: i64) {
        let now_ms = self.machine.now_ms();
        let Some(log) = self.log(manager, at) else { return };
        let (high_watermark, end) = (log.high_watermark().0, log.log_end_offset().0);
        let offset = Offset(end - (end - high_watermark) * per_mille / 1000);
        let truncated = log.truncate_to(offset, now_ms);
        assert!(truncated.is_ok() || !self.is_calm(), "{truncated:?}");
        let model = &mut self.models[at];
        model.truncate(offset, truncated.is_ok());
        // Another leader goes on.
        model.leader_epoch += 1;
        if truncated.is_ok() {
            assert_eq!(log.log_end_offset(), model.end);
            // Without that, nothing may be appended.
            self.has_to_end = manager.checkpoint_truncated(&partition(at)).is_err();
        }
    }

    fn clean(&mut self, manager: &Arc<LogManager>, keys: u64) {
        let at = PARTITIONS - 1;
        let Some(log) = self.log(manager, at) else { return };
        let Some((cleaned, end)) = clean_one(manager, &self.machine.clock(), keys) else { return };
        assert_eq!(cleaned, partition(at));
        if self.machine.disk.is_powerless() || log.health().is_offline() {
            return;
        }
        let found = reading::batches(&log);
        let model = &mut self.models[at];
        let seen = checks::check_consumer(&log, &found, model);
        let mut keys: Vec<_> = seen.range(..end).map(|(_, record)| &record.key).collect();
        keys.sort_unstable();
        assert!(keys.windows(2).all(|pair| pair[0] != pair[1]), "a key is there twice below {end}");
        let is_there =
            |offset: Offset| found.iter().flat_map(|batch| &batch.records).any(|there| there.offset == offset);
        let all = model.batches.iter().flat_map(|batch| &batch.records).map(|record| record.offset);
        model.removed = all.filter(|offset| *offset < end && !is_there(*offset)).collect();
    }

    /// The metadata has forgotten the topic; its log follows. The next one of its name is another topic.
    fn delete_topic(&mut self, manager: &LogManager, at: usize) {
        let model = &self.models[at];
        self.models[at] = Model::new(model.is_compacted, model.topic_id + 1);
        drop(manager.delete(&partition(at)));
    }

    fn remark(&self, text: impl FnOnce() -> String) {
        self.machine.disk.remark(text);
    }
}

/// An empty log is not waited for: its indexes are written with its first records.
fn is_left_by_recovery(finding: &Finding) -> bool {
    let of_index = matches!(finding.kind, Kind::OffsetIndex | Kind::TimeIndex | Kind::TxnIndex);
    is_nothing(finding) || finding.level == Level::Crash && of_index
}

/// Checkpoints may name partitions that are no more; a torn snapshot stays until its time is over, and is passed over.
fn is_nothing(finding: &Finding) -> bool {
    finding.level == Level::Note && finding.kind == Kind::Checkpoint || finding.kind == Kind::ProducerSnapshot
}
