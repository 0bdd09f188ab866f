use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use parking_lot::Mutex;

use super::*;

/// Collects what is written; waits before the first write until `gate` opens, if there is one.
#[derive(Clone, Default)]
struct Output {
    text: Arc<Mutex<String>>,
    gate: Option<Arc<Mutex<Receiver<()>>>>,
}

impl Output {
    fn gated() -> (Self, SyncSender<()>) {
        let (open, gate) = sync_channel(1);
        (Self { gate: Some(Arc::new(Mutex::new(gate))), ..Self::default() }, open)
    }

    fn text(&self) -> String {
        self.text.lock().clone()
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(gate) = self.gate.take() {
            let _ = gate.lock().recv_timeout(Duration::from_secs(10));
        }
        self.text.lock().push_str(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logged(format: LogFormat, filter: &str, events: impl FnOnce()) -> String {
    let output = Output::default();
    let guard = LogGuard::start(output.clone()).unwrap();
    let (subscriber, _reload) = subscriber(format, EnvFilter::from_str(filter).unwrap(), false, guard.writer());
    tracing::subscriber::with_default(subscriber, events);
    drop(guard);
    output.text()
}

#[test]
fn text_is_one_line_an_event() {
    let log = logged(LogFormat::Text, "info", || {
        tracing::info!(topic = "logs", "created");
        tracing::debug!("hidden");
        tracing::warn!("second");
    });
    let lines: Vec<_> = log.lines().collect();
    assert_eq!(lines.len(), 2, "{log}");
    assert!(lines[0].contains(" INFO ") && lines[0].ends_with("created topic=\"logs\""), "{log}");
    assert!(!log.contains('\x1b'), "colours outside a terminal: {log}");
}

#[test]
fn json_is_one_object_an_event() {
    let log = logged(LogFormat::Json, "info", || tracing::info!(topic = "a\nb\"", partition = 3, "created"));
    let event: serde_json::Value = serde_json::from_str(&log).unwrap();
    assert_eq!(event["level"], "INFO");
    assert_eq!(event["message"], "created");
    assert_eq!((&event["topic"], &event["partition"]), (&"a\nb\"".into(), &3.into()));
}

#[test]
fn the_filter_comes_from_the_option_then_the_environment() {
    let chosen = |option, ottla: Option<&str>, rust: Option<&str>| {
        let variable = |name: &str| match name {
            "OTTLA_LOG" => ottla.map(str::to_owned),
            "RUST_LOG" => rust.map(str::to_owned),
            _ => None,
        };
        filter_text(option, variable).parse().map(|filter| filter.to_string())
    };
    assert_eq!(chosen(None, None, None).unwrap(), "info");
    assert_eq!(chosen(None, None, Some("debug")).unwrap(), "debug");
    assert_eq!(chosen(None, Some("trace"), Some("debug")).unwrap(), "trace");
    assert_eq!(chosen(None, Some(" "), Some("debug")).unwrap(), "debug");
    assert_eq!(chosen(Some("warn"), Some("trace"), None).unwrap(), "warn");
    let error = chosen(None, Some("ottla=loud"), None).unwrap_err().to_string();
    assert!(error.starts_with("OTTLA_LOG: 'ottla=loud'") && !error.contains('\n'), "{error}");
}

#[test]
fn a_filter_is_replaced_while_events_come() {
    let output = Output::default();
    let guard = LogGuard::start(output.clone()).unwrap();
    let (subscriber, reload) = subscriber(LogFormat::Text, EnvFilter::new("info"), false, guard.writer());
    tracing::subscriber::with_default(subscriber, || {
        let event = || tracing::debug!("of interest");
        event();
        reload("info,ottla=debug");
        event();
        reload("ottla=loud");
        event();
        reload("info");
        event();
    });
    drop(guard);
    let text = output.text();
    assert_eq!(text.matches("of interest").count(), 2, "{text}");
}

#[test]
fn a_stuck_stderr_stops_nobody() {
    let (output, open) = Output::gated();
    let guard = LogGuard::start(output.clone()).unwrap();
    let (subscriber, _reload) = subscriber(LogFormat::Text, EnvFilter::new("info"), false, guard.writer());
    tracing::subscriber::with_default(subscriber, || (0..10_000).for_each(|number| tracing::info!(number, "event")));
    open.send(()).unwrap();
    drop(guard);
    let lines = output.text().lines().count();
    assert!((4_096..10_000).contains(&lines), "{lines} lines");
}

#[test]
fn a_huge_event_is_cut() {
    let log = logged(LogFormat::Text, "info", || {
        tracing::info!("{}", "x".repeat(1_000_000));
        tracing::info!("next");
    });
    assert!(log.len() < 20_000);
    assert!(log.contains("x [cut]\n") && log.ends_with("next\n"));
}
