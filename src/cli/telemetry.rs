//! What the broker says about itself on stderr.
//!
//! A log line must not hold up a request because a terminal or a pipe is slow: lines go through a bounded queue to
//! a thread of their own. When that thread falls behind, lines are dropped and the number of them is
//! said.

mod stderr;

use std::io::IsTerminal as _;
use std::str::FromStr;
use std::sync::Arc;

use tracing::{Subscriber, warn};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::reload::Handle;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::api::Loggers;

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

/// Sends events to stderr until the guard is dropped, which writes what is still queued; the loggers change what is
/// logged from then on. Call it once.
pub fn init(
    options: &LogOptions,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<(LogGuard, Loggers), TelemetryError> {
    let text = filter_text(options.log_filter.as_deref(), variable);
    let filter = text.parse()?;
    let guard = LogGuard::start(std::io::stderr())?;
    let colours = std::io::stderr().is_terminal();
    let (subscriber, reload) = subscriber(options.log_format, filter, colours, guard.writer());
    subscriber.try_init().map_err(|_| TelemetryError::AlreadySet)?;
    guard.log_panics();
    Ok((guard, Loggers::new(&text.filter, reload)))
}

/// A filter, and who asked for it.
struct FilterText {
    origin: &'static str,
    filter: String,
}

impl FilterText {
    fn parse(&self) -> Result<EnvFilter, TelemetryError> {
        EnvFilter::from_str(&self.filter).map_err(|error| TelemetryError::Filter {
            origin: self.origin,
            filter: self.filter.clone(),
            reason: error.to_string(),
        })
    }
}

fn filter_text(option: Option<&str>, variable: impl Fn(&str) -> Option<String>) -> FilterText {
    let from_variable = |origin: &'static str| {
        let filter = variable(origin).filter(|value| !value.trim().is_empty())?;
        Some(FilterText { origin, filter })
    };
    option
        .map(|filter| FilterText { origin: "--log-filter", filter: filter.to_owned() })
        .or_else(|| FILTER_VARIABLES.into_iter().find_map(from_variable))
        .unwrap_or_else(|| FilterText { origin: "default", filter: FILTER_DEFAULT.to_owned() })
}

type BoxedSubscriber = Arc<dyn Subscriber + Send + Sync>;
/// Puts another filter in force.
type Reload = Box<dyn Fn(&str) + Send + Sync>;

fn subscriber<W>(format: LogFormat, filter: EnvFilter, colours: bool, writer: W) -> (BoxedSubscriber, Reload)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let events = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    match format {
        LogFormat::Text => {
            let events = events.with_ansi(colours).with_filter_reloading();
            let reload = reload(events.reload_handle());
            (Arc::new(events.finish()), reload)
        }
        LogFormat::Json => {
            let events = events.json().flatten_event(true).with_current_span(false).with_filter_reloading();
            let reload = reload(events.reload_handle());
            (Arc::new(events.finish()), reload)
        }
    }
}

fn reload<S: 'static>(handle: Handle<EnvFilter, S>) -> Reload {
    Box::new(move |filter| {
        let reloaded = EnvFilter::from_str(filter).map_err(|error| error.to_string());
        if let Err(error) = reloaded.and_then(|filter| handle.reload(filter).map_err(|error| error.to_string())) {
            warn!(filter, error, "the log filter stays as it was");
        }
    })
}

#[cfg(test)]
mod tests;
