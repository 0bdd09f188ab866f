//! Which log is cleaned next, which are being cleaned, and which cannot be.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;

use super::super::log_manager::LogManager;
use super::super::partition_log::{PartitionLog, Segments};
use super::super::replacement::History;
use super::super::segment::Segment;
use super::cleanable::{CleanableRange, LogFacts, SegmentFacts, compaction_delay_ms};
use crate::ids::{Offset, TopicPartition};
use crate::io::absolute;
use crate::time::{Clock, TimestampMs};

/// What the threads share.
#[derive(Debug)]
pub(super) struct Registry {
    logs: Arc<LogManager>,
    clock: Arc<dyn Clock>,
    /// One thread chooses at a time, so that no two choose the same.
    choosing: Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    in_progress: HashSet<TopicPartition>,
    uncleanable: BTreeMap<TopicPartition, Weak<PartitionLog>>,
    max_dirty_ratio: f64,
    last_chosen: Duration,
}

/// A log that is to be cleaned, and that no other thread will choose as long as this lives.
#[derive(Debug)]
pub(super) struct Task<'a> {
    registry: &'a Registry,
    pub(super) log: Arc<PartitionLog>,
    pub(super) history: History,
    pub(super) range: CleanableRange,
    /// The longest by which compaction of any log is overdue.
    pub(super) max_compaction_delay_ms: i64,
}

/// Logs of one directory that are no longer cleaned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uncleanable {
    pub partitions: usize,
    /// What could be cleaned of them.
    pub bytes: u64,
}

impl Registry {
    pub(super) fn new(logs: Arc<LogManager>, clock: Arc<dyn Clock>) -> Self {
        let state = State { last_chosen: clock.monotonic(), ..State::default() };
        Self { logs, clock, choosing: Mutex::new(()), state: Mutex::new(state) }
    }

    /// The dirtiest of the logs that are due; `None`: there is nothing to do.
    pub(super) fn choose(&self) -> Option<Task<'_>> {
        let _one_at_a_time = self.choosing.lock();
        let now_ms = self.clock.now_ms();
        let mut dirtiest: Option<(f64, Task<'_>)> = None;
        let (mut max_dirty_ratio, mut max_compaction_delay_ms) = (0.0_f64, 0);
        for compacted in self.logs.compacted_logs().into_iter().filter(|compacted| self.is_free(&compacted.log)) {
            let log = compacted.log;
            let history = log.history();
            if !log.is_cleanable(history) {
                continue;
            }
            let (facts, segments) = facts_of(&log, compacted.cleaned_up_to);
            let config = log.config();
            let range = facts.cleanable(&config, now_ms);
            if range.resets_checkpoint {
                self.reset(&log, history, &range, compacted.cleaned_up_to);
            }
            let dirty = &segments[facts.closed_places_from(range.first_dirty_offset)];
            let delay_ms = match compaction_delay(dirty, config.max_compaction_lag_ms, now_ms) {
                Ok(delay_ms) => delay_ms,
                Err(error) => {
                    self.mark_uncleanable(&log, &error);
                    continue;
                }
            };
            max_compaction_delay_ms = max_compaction_delay_ms.max(delay_ms);
            let ratio = range.dirty_ratio();
            max_dirty_ratio = max_dirty_ratio.max(ratio);
            let is_dirtier = dirtiest.as_ref().is_none_or(|(most, _)| ratio > *most);
            if is_dirtier && range.is_due(config.min_cleanable_dirty_ratio, delay_ms) {
                let task = Task { registry: self, log, history, range, max_compaction_delay_ms: 0 };
                dirtiest = Some((ratio, task));
            }
        }
        let mut state = self.state.lock();
        state.max_dirty_ratio = max_dirty_ratio;
        state.last_chosen = self.clock.monotonic();
        let (_, mut task) = dirtiest?;
        state.in_progress.insert(task.log.topic_partition().clone());
        task.max_compaction_delay_ms = max_compaction_delay_ms;
        Some(task)
    }

    /// The log is passed over from now on, until the broker starts anew or the log is another one.
    pub(super) fn mark_uncleanable(&self, log: &Arc<PartitionLog>, reason: &dyn Display) {
        let partition = log.topic_partition();
        tracing::error!(%partition, %reason, "the log cannot be cleaned, and is passed over from now on");
        let mut state = self.state.lock();
        state.uncleanable.retain(|_, log| log.strong_count() > 0);
        state.uncleanable.insert(partition.clone(), Arc::downgrade(log));
    }

    /// The round of this task has come to its end.
    pub(super) fn finished(&self, task: &Task<'_>, end_offset: Offset) {
        self.logs.set_cleaned_up_to(&task.log, task.history, end_offset);
    }

    /// The dirtiest log's share of dirty bytes (0 to 1), as of the last choice.
    pub(super) fn max_dirty_ratio(&self) -> f64 {
        self.state.lock().max_dirty_ratio
    }

    pub(super) fn since_last_choice(&self) -> Duration {
        let last = self.state.lock().last_chosen;
        self.clock.monotonic().saturating_sub(last)
    }

    /// For every log directory that could be opened, those that are not cleaned any more.
    pub(super) fn uncleanable(&self) -> BTreeMap<PathBuf, Uncleanable> {
        let known: Vec<_> = self.state.lock().uncleanable.values().filter_map(Weak::upgrade).collect();
        let directories = self.logs.directory_paths().map(absolute);
        let mut sums: BTreeMap<_, _> = directories.map(|path| (path, Uncleanable::default())).collect();
        if known.is_empty() {
            return sums;
        }
        let now_ms = self.clock.now_ms();
        for compacted in self.logs.compacted_logs() {
            if known.iter().any(|log| Arc::ptr_eq(log, &compacted.log)) {
                let folder = compacted.log.directory().path();
                let directory = folder.parent().map(absolute).unwrap_or_default();
                let (facts, _) = facts_of(&compacted.log, compacted.cleaned_up_to);
                let sum = sums.entry(directory).or_default();
                sum.partitions += 1;
                sum.bytes += facts.cleanable(&compacted.log.config(), now_ms).cleanable_bytes;
            }
        }
        sums
    }

    fn is_free(&self, log: &Arc<PartitionLog>) -> bool {
        let state = self.state.lock();
        let known = state.uncleanable.get(log.topic_partition()).and_then(Weak::upgrade);
        !state.in_progress.contains(log.topic_partition()) && known.is_none_or(|known| !Arc::ptr_eq(&known, log))
    }

    fn reset(&self, log: &Arc<PartitionLog>, history: History, range: &CleanableRange, found: Option<Offset>) {
        let partition = log.topic_partition();
        // With retention at work, the start of the log passes by all the time.
        if !log.config().cleanup_policy.delete {
            let (found, start) = (found.unwrap_or(Offset::NONE), range.first_dirty_offset);
            tracing::warn!(%partition, %found, %start, "where cleaning had ended is outside of the log; it begins anew");
        }
        self.logs.set_cleaned_up_to(log, history, range.first_dirty_offset);
    }
}

impl Drop for Task<'_> {
    fn drop(&mut self) {
        self.registry.state.lock().in_progress.remove(self.log.topic_partition());
    }
}

/// What is known of a log now, and the segments that this is about.
pub(super) fn facts_of(log: &PartitionLog, cleaned_up_to: Option<Offset>) -> (LogFacts, Arc<Segments>) {
    // The stable offset first: the segments then reach at least there.
    let last_stable_offset = log.last_stable_offset();
    let segments = log.segments.load_full();
    let fact = |segment: &Arc<Segment>| SegmentFacts {
        base_offset: segment.base_offset(),
        size_bytes: segment.size_bytes(),
        largest_timestamp: segment.retention_timestamp(),
    };
    let facts = LogFacts {
        segments: segments.iter().map(fact).collect(),
        log_start_offset: log.log_start_offset(),
        log_end_offset: log.log_end_offset(),
        last_stable_offset,
        cleaned_up_to,
    };
    (facts, segments)
}

fn compaction_delay(dirty: &[Arc<Segment>], max_compaction_lag_ms: i64, now_ms: TimestampMs) -> io::Result<i64> {
    // By far most logs have no such limit, and need not be read for it.
    if max_compaction_lag_ms == i64::MAX {
        return Ok(0);
    }
    let timestamps: io::Result<Vec<_>> = dirty.iter().map(|segment| segment.first_batch_timestamp()).collect();
    Ok(compaction_delay_ms(timestamps?.into_iter(), max_compaction_lag_ms, now_ms))
}
