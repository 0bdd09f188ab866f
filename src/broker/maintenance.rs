//! The thread that looks after the logs: checkpoints, retention, files whose time has come, metric windows.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::config::BrokerConfig;
use crate::log::log_manager::LogManager;
use crate::metrics::{Metrics, UPKEEP_INTERVAL};
use crate::time::Clock;

/// How often the thread looks whether something is due.
const TICK: Duration = Duration::from_millis(250);
/// How often all logs are looked at: with ten thousand of them that is felt.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// How often files are looked for whose `file.delete.delay.ms`, a minute by default, has passed.
const DELETION_INTERVAL: Duration = Duration::from_secs(5);
/// `replica.high.watermark.checkpoint.interval.ms`, Kafka's default.
const HIGH_WATERMARK_INTERVAL: Duration = Duration::from_secs(5);

/// Runs until it is stopped.
#[derive(Debug)]
pub(super) struct Maintenance {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl Maintenance {
    pub(super) fn start(
        logs: Arc<LogManager>,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
        config: &BrokerConfig,
        make_missing_logs: Box<dyn Fn() + Send>,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let worker = Worker {
            logs,
            metrics,
            make_missing_logs,
            runtime: Handle::current(),
            has_timed_flushes: true,
            sweep: Timer::every(SWEEP_INTERVAL),
            deletions: Timer::every(DELETION_INTERVAL),
            retention: Timer::every(Duration::from_millis(config.log_retention_check_interval_ms)),
            high_watermarks: Timer::every(HIGH_WATERMARK_INTERVAL),
            producers: Timer::every(Duration::from_millis(config.producer_id_expiration_check_interval_ms)),
            upkeep: Timer::every(UPKEEP_INTERVAL),
            clock,
        };
        let thread = std::thread::Builder::new()
            .name("log-maintenance".to_owned())
            .spawn(move || worker.run_until_stopped(&stopped))?;
        Ok(Self { stop, thread })
    }

    /// Ends the thread and waits for it. Blocks for as long as what it is doing.
    pub(super) fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the log maintenance thread had failed");
        }
    }
}

struct Worker {
    logs: Arc<LogManager>,
    metrics: Arc<Metrics>,
    /// For replicas that came here when no log could be made for them.
    make_missing_logs: Box<dyn Fn() + Send>,
    runtime: Handle,
    clock: Arc<dyn Clock>,
    /// Some log has `flush.ms` set, which asks for every tick.
    has_timed_flushes: bool,
    sweep: Timer,
    deletions: Timer,
    retention: Timer,
    high_watermarks: Timer,
    producers: Timer,
    upkeep: Timer,
}

impl Worker {
    fn run_until_stopped(mut self, stopped: &mpsc::Receiver<()>) {
        while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(TICK) {
            let now = self.clock.monotonic();
            let now_ms = self.clock.now_ms();
            if self.upkeep.is_due(now) {
                self.metrics.upkeep(now, Some(&self.runtime.metrics()));
            }
            if self.logs.awaits_first_write() {
                continue;
            }
            let sweeps = self.sweep.is_due(now);
            if sweeps || self.has_timed_flushes {
                self.has_timed_flushes = self.logs.request_due_flushes(now_ms);
            }
            if sweeps {
                self.logs.look_after_space(now_ms);
                self.logs.bound_producers();
                self.logs.checkpoint_due(now_ms);
            }
            if self.deletions.is_due(now) {
                self.logs.delete_expired_files(now_ms);
                self.logs.rebuild_suspect_indexes();
                (self.make_missing_logs)();
            }
            if self.high_watermarks.is_due(now) {
                self.logs.checkpoint_high_watermarks();
            }
            if self.producers.is_due(now) {
                self.logs.expire_producers(now_ms);
            }
            if self.retention.is_due(now) {
                self.logs.run_retention(now_ms);
            }
        }
    }
}

/// Something that happens every so often.
struct Timer {
    interval: Duration,
    last: Duration,
}

impl Timer {
    fn every(interval: Duration) -> Self {
        Self { interval, last: Duration::ZERO }
    }

    fn is_due(&mut self, now: Duration) -> bool {
        let due = now.saturating_sub(self.last) >= self.interval;
        if due {
            self.last = now;
        }
        due
    }
}
