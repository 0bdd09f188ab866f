//! Running a broker until it is told to stop.

use std::process;

use anyhow::Context;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use super::args::ConfigOptions;
use super::telemetry::{self, LogOptions};
use crate::broker::Broker;
use crate::config;

pub(super) fn run(options: &ConfigOptions, log: &LogOptions) -> anyhow::Result<()> {
    let _log_guard = telemetry::init(log, |name| std::env::var(name).ok())?;
    let loaded = config::load(&options.sources()?)?;
    for warning in &loaded.warnings {
        warn!("{warning}");
    }
    let runtime = Runtime::new().context("cannot start worker threads")?;
    runtime.block_on(async {
        let mut stop = StopSignals::listen().context("cannot listen for signals")?;
        let broker = Broker::start(loaded.config).await?;
        let name = stop.next().await;
        info!(signal = name, "shutting down");
        tokio::select! {
            result = broker.shut_down() => Ok(result?),
            name = stop.next() => {
                warn!(signal = name, "stopping at once");
                process::exit(1);
            }
        }
    })
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
