//! Running a broker until it is told to stop.

use std::process;
use std::time::Duration;

use anyhow::Context;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use super::args::{AdoptOptions, ConfigOptions};
use super::telemetry::{self, LogOptions};
use crate::broker::Broker;
use crate::config;
use crate::io::raise_open_file_limit;

/// How long what still runs on threads may take once the broker has stopped.
const EXIT_LIMIT: Duration = Duration::from_secs(1);

pub(super) fn run(options: &ConfigOptions, adopt: &AdoptOptions, log: &LogOptions) -> anyhow::Result<()> {
    let (log_guard, loggers) = telemetry::init(log, |name| std::env::var(name).ok())?;
    let loaded = config::load(&options.sources()?)?;
    let wishes = adopt.wishes()?;
    for warning in &loaded.warnings {
        warn!("{warning}");
    }
    if let Err(error) = raise_open_file_limit() {
        warn!(%error, "the limit on open files stays as low as it is");
    }
    let runtime = Runtime::new().context("cannot start worker threads")?;
    let result = runtime.block_on(async {
        let mut stop = StopSignals::listen().context("cannot listen for signals")?;
        let broker = tokio::select! {
            started = Broker::start(loaded.config, wishes, loggers) => started?,
            name = stop.next() => {
                warn!(signal = name, "stopped while starting");
                drop(log_guard);
                process::exit(1);
            }
        };
        let name = stop.next().await;
        info!(signal = name, "shutting down");
        tokio::select! {
            result = broker.shut_down() => Ok(result?),
            name = stop.next() => {
                warn!(signal = name, "stopping at once");
                drop(log_guard);
                process::exit(1);
            }
        }
    });
    // A read that hangs on its device must not keep the process.
    runtime.shutdown_timeout(EXIT_LIMIT);
    result
}

/// SIGTERM and SIGINT.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
