//! What the broker says about itself on stderr.
//!
//! A log line must not hold up a request because a terminal or a pipe is slow: lines go through a bounded queue to
//! a thread of their own. When that thread falls behind, lines are dropped and the number of them is
//! said.

mod stderr;

use std::io::IsTerminal as _;
use std::str::FromStr;
use std::sync::Arc;

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt as _;

pub use stderr::LogGuard;

/// Asked in this order where `--log-filter` is not given.
const FILTER_VARIABLES: [&str; 2] = ["OTTLA_LOG", "RUST_LOG"];
const FILTER_DEFAULT: &str = "info";

/// `--log-format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One line per event, for people.
    #[default]
    Text,
    /// One JSON object per event and line, its fields at the top level.
    Json,
}

/// What the command line says about logging.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct LogOptions {
    /// How log lines on stderr look.
    #[arg(long, value_enum, default_value = "text", global = true)]
    pub log_format: LogFormat,

    /// What is logged, as in RUST_LOG ('info,ottla::log=debug'); default: $OTTLA_LOG, $RUST_LOG, else 'info'.
    #[arg(long, value_name = "FILTER", global = true)]
    pub log_filter: Option<String>,
}

/// Why logging can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("{origin}: '{filter}' is no log filter: {reason}")]
    Filter { origin: &'static str, filter: String, reason: String },
    #[error("logging is set up already")]
    AlreadySet,
    #[error("can't start the thread that writes the log: {0}")]
    Thread(#[from] std::io::Error),
}

/// Sends events to stderr until the guard is dropped, which writes what is still queued. Call it once.
pub fn init(options: &LogOptions, variable: impl Fn(&str) -> Option<String>) -> Result<LogGuard, TelemetryError> {
    let filter = filter(options.log_filter.as_deref(), variable)?;
    let guard = LogGuard::start(std::io::stderr())?;
    let colours = std::io::stderr().is_terminal();
    subscriber(options.log_format, filter, colours, guard.writer())
        .try_init()
        .map_err(|_| TelemetryError::AlreadySet)?;
    guard.log_panics();
    Ok(guard)
}

fn filter(option: Option<&str>, variable: impl Fn(&str) -> Option<String>) -> Result<EnvFilter, TelemetryError> {
    let from_variable = |name: &'static str| Some((name, variable(name).filter(|value| !value.trim().is_empty())?));
    let (origin, filter) = option
        .map(|filter| ("--log-filter", filter.to_owned()))
        .or_else(|| FILTER_VARIABLES.into_iter().find_map(from_variable))
        .unwrap_or_else(|| ("default", FILTER_DEFAULT.to_owned()));
    EnvFilter::from_str(&filter).map_err(|error| TelemetryError::Filter { origin, filter, reason: error.to_string() })
}

fn subscriber<W>(format: LogFormat, filter: EnvFilter, colours: bool, writer: W) -> Arc<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let events = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    match format {
        LogFormat::Text => Arc::new(events.with_ansi(colours).finish()),
        LogFormat::Json => Arc::new(events.json().flatten_event(true).with_current_span(false).finish()),
    }
}

#[cfg(test)]
mod tests;
