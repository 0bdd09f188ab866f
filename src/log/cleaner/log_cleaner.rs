//! The cleaner threads: each takes the dirtiest log, cleans it, and rests where there is nothing to do.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::super::health::WriteState;
use super::super::log_manager::LogManager;
use super::super::partition_log::PartitionLog;
use super::registry::{Registry, Task, Uncleanable};
use super::round::{Pacer, Round, RoundError, RoundLimits, RoundStats};
use super::throttle::Throttle;
use crate::config::CleanerConfig;
use crate::io::{is_device_failure, is_out_of_descriptors};
use crate::time::Clock;

/// The least that is read or written at a time, however many threads share `log.cleaner.io.buffer.size`.
const MIN_BUFFER_BYTES: usize = 16 << 10;

/// The threads that clean the compacted logs of this broker.
#[derive(Debug)]
pub struct LogCleaner {
    shared: Arc<Shared>,
}

/// What the cleaner is like, for metrics. Of rounds, the last one of each thread.
#[derive(Clone, Debug, Default)]
pub struct CleanerReadings {
    /// Percent.
    pub max_buffer_utilization: f64,
    /// Percent of the bytes read that were written again.
    pub recopy: f64,
    pub max_clean_time: Duration,
    pub max_compaction_delay_ms: i64,
    pub dead_threads: usize,
    /// Percent.
    pub max_dirty: f64,
    pub since_last_run: Duration,
    /// By log directory.
    pub uncleanable: BTreeMap<PathBuf, Uncleanable>,
}

#[derive(Debug)]
struct Shared {
    registry: Registry,
    clock: Arc<dyn Clock>,
    /// Mixed into the hashes of keys.
    hash_seed: u64,
    control: Mutex<Control>,
    /// Tells that `control` has changed.
    changed: Condvar,
    throttle: Mutex<Throttle>,
    last_rounds: Mutex<BTreeMap<usize, LastRound>>,
}

#[derive(Debug)]
struct Control {
    config: CleanerConfig,
    is_stopping: bool,
    /// Those that have not ended in good order.
    threads: HashMap<usize, JoinHandle<()>>,
}

/// What a thread did last.
#[derive(Clone, Copy, Debug)]
struct LastRound {
    stats: RoundStats,
    max_compaction_delay_ms: i64,
}

impl LogCleaner {
    /// Starts the threads.
    pub fn start(
        logs: Arc<LogManager>,
        clock: Arc<dyn Clock>,
        config: CleanerConfig,
        hash_seed: u64,
    ) -> io::Result<Arc<Self>> {
        let shared = Arc::new(Shared {
            registry: Registry::new(logs, Arc::clone(&clock)),
            clock,
            hash_seed,
            control: Mutex::new(Control { config, is_stopping: false, threads: HashMap::new() }),
            changed: Condvar::new(),
            throttle: Mutex::default(),
            last_rounds: Mutex::default(),
        });
        shared.start_missing(&mut shared.control.lock())?;
        Ok(Arc::new(Self { shared }))
    }

    /// Puts other settings in force: threads come and go, a round under way goes on with the memory it has. Threads
    /// that have failed are started anew.
    pub fn reconfigure(&self, config: CleanerConfig) {
        let mut control = self.shared.control.lock();
        if control.config == config {
            return;
        }
        tracing::info!(?config, "the cleaner is configured anew");
        self.shared.throttle.lock().forgive();
        control.config = config;
        if let Err(error) = self.shared.start_missing(&mut control) {
            tracing::error!(%error, "a cleaner thread can't be started");
        }
        self.shared.changed.notify_all();
    }

    /// Ends the threads and waits for them: a round under way is given up within a batch or two.
    pub fn stop(&self) {
        let threads = {
            let mut control = self.shared.control.lock();
            control.is_stopping = true;
            self.shared.changed.notify_all();
            std::mem::take(&mut control.threads)
        };
        for (id, thread) in threads {
            if thread.join().is_err() {
                tracing::error!(id, "a cleaner thread had failed");
            }
        }
    }

    pub fn readings(&self) -> CleanerReadings {
        let rounds: Vec<_> = self.shared.last_rounds.lock().values().copied().collect();
        let sum = |bytes: fn(&RoundStats) -> u64| rounds.iter().map(|round| bytes(&round.stats)).sum::<u64>();
        let (read, written) = (sum(|stats| stats.bytes_read), sum(|stats| stats.bytes_written));
        let utilization = rounds.iter().map(|round| round.stats.map_utilization).fold(0.0, f64::max);
        CleanerReadings {
            max_buffer_utilization: 100.0 * utilization,
            recopy: 100.0 * written as f64 / read.max(1) as f64,
            max_clean_time: rounds.iter().map(|round| round.stats.elapsed).max().unwrap_or_default(),
            max_compaction_delay_ms: rounds.iter().map(|round| round.max_compaction_delay_ms).max().unwrap_or(0),
            dead_threads: self.shared.control.lock().threads.values().filter(|thread| thread.is_finished()).count(),
            max_dirty: 100.0 * self.shared.registry.max_dirty_ratio(),
            since_last_run: self.shared.registry.since_last_choice(),
            uncleanable: self.shared.registry.uncleanable(),
        }
    }
}

impl Shared {
    fn start_missing(self: &Arc<Self>, control: &mut MutexGuard<'_, Control>) -> io::Result<()> {
        if control.is_stopping {
            return Ok(());
        }
        for id in 0..control.config.threads {
            if control.threads.get(&id).is_none_or(JoinHandle::is_finished) {
                let shared = Arc::clone(self);
                let name = format!("log-cleaner-{id}");
                let thread = std::thread::Builder::new().name(name).spawn(move || shared.run(id))?;
                control.threads.insert(id, thread);
            }
        }
        Ok(())
    }

    fn run(&self, id: usize) {
        while !self.has_left(id) {
            if !self.clean_one(id) {
                let backoff = self.control.lock().config.backoff;
                self.rest(id, backoff);
            }
        }
    }

    /// Whether this thread is to end. It then counts as gone: who wants it back starts another one.
    fn has_left(&self, id: usize) -> bool {
        let mut control = self.control.lock();
        let leaves = control.ends(id);
        if leaves && !control.is_stopping {
            control.threads.remove(&id);
            self.last_rounds.lock().remove(&id);
        }
        leaves
    }

    /// Waits, unless the thread is to end.
    fn rest(&self, id: usize, time: Duration) {
        let until = self.clock.monotonic().saturating_add(time);
        let mut control = self.control.lock();
        while !control.ends(id) {
            let left = until.saturating_sub(self.clock.monotonic());
            if left.is_zero() || !self.changed.wait_for(&mut control, left).timed_out() {
                // The settings have changed: whoever rests looks for himself.
                return;
            }
        }
    }

    /// Cleans the dirtiest log; false: there is none, or it was in vain and there is no use in trying again at once.
    fn clean_one(&self, id: usize) -> bool {
        let Some(task) = self.registry.choose() else { return false };
        let limits = self.limits();
        let pacer = ThreadPacer { shared: self, id };
        let round = Round::new(&task.log, task.history, task.range, limits, &pacer, &*self.clock);
        let partition = task.log.topic_partition();
        match round.run() {
            Ok((end_offset, stats)) => {
                self.registry.finished(&task, end_offset);
                report(&task, end_offset.0, &stats);
                let max_compaction_delay_ms = task.max_compaction_delay_ms;
                self.last_rounds.lock().insert(id, LastRound { stats, max_compaction_delay_ms });
                true
            }
            Err(error) if has_changed(&task.log, &error) => {
                tracing::info!(%partition, %error, "cleaning is given up");
                true
            }
            Err(RoundError::Segment { source, .. }) if Self::is_of_disk(&task, &source) => {
                tracing::warn!(%partition, error = %source, "cleaning waits for the disk");
                false
            }
            // Deleted meanwhile, or its directory is offline: then that has been said.
            Err(error) if !task.log.is_cleanable(task.history) => {
                tracing::info!(%partition, %error, "cleaning is given up");
                false
            }
            Err(error) => {
                self.registry.mark_uncleanable(&task.log, &error);
                false
            }
        }
    }

    /// Whether a round failed because of the disk and not because of what the log holds. A device that fails takes its
    /// directory offline, as in Kafka; a disk that is full or read-only may have room again.
    fn is_of_disk(task: &Task<'_>, error: &io::Error) -> bool {
        task.log.io_failed("cleaning", error);
        WriteState::after(error).is_some() || is_device_failure(error) || is_out_of_descriptors(error)
    }

    fn limits(&self) -> RoundLimits {
        let control = self.control.lock();
        let threads = control.config.threads.max(1);
        RoundLimits {
            map_bytes: control.config.dedupe_buffer_bytes / threads as u64,
            load_factor: control.config.load_factor,
            // One half is read into, the other is written from.
            buffer_bytes: (control.config.io_buffer_bytes / threads / 2).max(MIN_BUFFER_BYTES),
            hash_seed: self.hash_seed,
        }
    }
}

impl Control {
    fn ends(&self, id: usize) -> bool {
        self.is_stopping || id >= self.config.threads
    }
}

/// Keeps one thread to the rate that all of them share.
struct ThreadPacer<'a> {
    shared: &'a Shared,
    id: usize,
}

impl Pacer for ThreadPacer<'_> {
    fn moved(&self, bytes: u64) -> bool {
        let rate = self.shared.control.lock().config.io_max_bytes_per_second;
        let wait = self.shared.throttle.lock().book(bytes, rate, self.shared.clock.monotonic());
        if !wait.is_zero() {
            self.shared.rest(self.id, wait);
        }
        !self.shared.control.lock().ends(self.id)
    }
}

/// Whether a round ended because its log is no longer what it was: retention may have taken the files it was reading.
fn has_changed(log: &PartitionLog, error: &RoundError) -> bool {
    match error {
        RoundError::Stopped | RoundError::Changed => true,
        RoundError::Segment { segment, source } => {
            source.kind() == io::ErrorKind::NotFound && *segment < log.log_start_offset()
        }
    }
}

fn report(task: &Task<'_>, to: i64, stats: &RoundStats) {
    tracing::info!(
        partition = %task.log.topic_partition(),
        from = task.range.first_dirty_offset.0,
        to,
        mapped_bytes = stats.map_bytes_read,
        bytes_read = stats.bytes_read,
        bytes_written = stats.bytes_written,
        records_read = stats.records_read,
        records_kept = stats.records_kept,
        map_percent = (100.0 * stats.map_utilization).round(),
        mapping_ms = stats.mapping.as_millis() as u64,
        elapsed_ms = stats.elapsed.as_millis() as u64,
        "a log was cleaned"
    );
}
