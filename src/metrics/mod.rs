//! Every metric's name and handle.
//!
//! Owns: the names (`names.rs`, one table), the counters behind them, and the text of `/metrics`.
//! Never does: asks another module for a value. What is a state and not a count (log sizes, leaders, sessions)
//! comes in as a [`Snapshot`] when somebody scrapes, so that an append never updates a gauge.
//!
//! ```text
//! request ──▶ ApiMetrics, TopicMetrics, Summary    plain atomics, resolved once   ┐
//! rare event ──▶ Counter of the `metrics` crate ──▶ its Prometheus recorder       ├─▶ Metrics::render ─▶ text
//! scrape ──▶ Snapshot, built by the broker                                        ┘
//! ```
//!
//! The names are those that the usual rule file of Prometheus' JMX exporter gives to Kafka's own metrics, so that
//! dashboards and alerts made for Kafka work. What Kafka has no name for is called `ottla_...`.
//!
//! What one request touches is an atomic of ours and no handle of the `metrics` crate. Such a counter adds twice
//! on one cache line (14 ns alone, 110 ns under two threads, against half), and its series can't be removed with
//! the topic; for latencies see [`Summary`].

mod cleaner;
mod exposition;
mod group_offsets;
mod names;
mod network;
mod process;
mod quotas;
mod rare;
mod request;
mod snapshot;
mod summary;
mod telemetry;
mod topic;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::RuntimeMetrics;

pub use cleaner::{CleanerSnapshot, UncleanableSnapshot};
use exposition::Exposition;
pub use group_offsets::{CommittedSnapshot, GROUP_SERIES_MAX, GroupOffsetsSnapshot, GroupSnapshot};
pub use metrics::Counter;
pub use network::{ConnectionMetrics, ListenerMetrics, NetworkMetrics};
pub use quotas::QuotaSnapshot;
pub use rare::RareEvents;
pub use request::{ApiMetrics, RequestMetrics, RequestTimes};
pub use snapshot::{BrokerState, ControllerSnapshot, GroupCounts, PartitionSnapshot, Purgatory, Snapshot};
pub use summary::Summary;
pub use telemetry::{TelemetrySnapshot, TelemetryValue};
pub use topic::{BrokerTopicMetrics, Count, TopicCounters, TopicMetrics};

/// How often [`Metrics::upkeep`] wants to be called.
pub const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// How long one of a summary's three windows lasts: quantiles cover the last 40 to 60 seconds.
const WINDOW: Duration = Duration::from_secs(20);

/// Everything that one broker counts. A broker has one; two brokers in one process (tests) share nothing.
#[derive(Debug)]
pub struct Metrics {
    pub requests: RequestMetrics,
    pub topics: BrokerTopicMetrics,
    pub network: NetworkMetrics,
    pub events: RareEvents,
    /// How long a sync of a log to disk took; shared with the sync threads.
    pub log_flush_time: Arc<Summary>,
    upkeep: Mutex<Upkeep>,
}

/// What the last upkeep saw.
#[derive(Debug, Default)]
struct Upkeep {
    windows_rotated_at: Duration,
    workers: Option<WorkersBusy>,
    /// The part of the time (0 to 1) in which the worker threads had nothing to do.
    idle_ratio: Option<f64>,
}

#[derive(Clone, Copy, Debug)]
struct WorkersBusy {
    at: Duration,
    busy: Duration,
}

impl Metrics {
    pub fn new() -> Self {
        Self {
            requests: RequestMetrics::default(),
            topics: BrokerTopicMetrics::default(),
            network: NetworkMetrics::default(),
            events: RareEvents::new(),
            log_flush_time: Arc::new(Summary::new()),
            upkeep: Mutex::new(Upkeep::default()),
        }
    }

    /// Moves the windows of quantiles and rates on; to be called every [`UPKEEP_INTERVAL`] with the monotonic time.
    ///
    /// Memory is bounded without it; quantiles would only cover a longer time.
    pub fn upkeep(&self, now: Duration, runtime: Option<&RuntimeMetrics>) {
        let mut upkeep = self.upkeep.lock();
        if now.saturating_sub(upkeep.windows_rotated_at) >= WINDOW {
            upkeep.windows_rotated_at = now;
            self.requests.rotate();
            self.log_flush_time.rotate();
        }
        self.network.upkeep(now);
        self.events.upkeep();
        if let Some(runtime) = runtime {
            upkeep.observe_workers(now, runtime);
        }
    }

    /// The text that `/metrics` answers with (Prometheus' exposition format 0.0.4).
    pub fn render(&self, snapshot: &Snapshot) -> String {
        let mut out = Exposition::default();
        self.topics.render(&mut out);
        self.requests.render(&mut out);
        self.network.render(&mut out);
        out.summaries(&names::LOG_FLUSH_TIME, [(&[][..], &self.log_flush_time.read())]);
        if let Some(idle_ratio) = self.upkeep.lock().idle_ratio {
            // Both of Kafka's thread pools are the same worker threads here.
            out.single(&names::NETWORK_PROCESSOR_IDLE, idle_ratio);
            out.single(&names::REQUEST_HANDLER_IDLE, idle_ratio);
        }
        snapshot.render(&mut out);
        process::render(&mut out);
        out.append(&self.events.render());
        out.into_text()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Upkeep {
    fn observe_workers(&mut self, now: Duration, runtime: &RuntimeMetrics) {
        let workers = runtime.num_workers();
        let busy: Duration = (0..workers).map(|worker| runtime.worker_total_busy_duration(worker)).sum();
        if let Some(last) = self.workers {
            let elapsed = now.saturating_sub(last.at).as_secs_f64() * workers as f64;
            if elapsed > 0.0 {
                let busy_ratio = busy.saturating_sub(last.busy).as_secs_f64() / elapsed;
                self.idle_ratio = Some((1.0 - busy_ratio).clamp(0.0, 1.0));
            }
        }
        self.workers = Some(WorkersBusy { at: now, busy });
    }
}

#[cfg(test)]
mod tests;
