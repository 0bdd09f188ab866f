//! What must hold between keys; Kafka's checks where the keys mean something here.

use std::collections::BTreeSet;

use super::broker_config::CheckedValues;
use super::errors::ConfigError;
use super::load::{log_dirs, per_ip_overrides};
use super::sources::Settings;
use super::value::split_list;

/// The first must not exceed the second.
const ORDERED: &[(&str, &str)] = &[
    ("replica.fetch.wait.max.ms", "replica.socket.timeout.ms"),
    ("replica.fetch.wait.max.ms", "replica.lag.time.max.ms"),
    ("log.cleaner.min.compaction.lag.ms", "log.cleaner.max.compaction.lag.ms"),
    ("group.min.session.timeout.ms", "group.max.session.timeout.ms"),
    ("group.consumer.min.heartbeat.interval.ms", "group.consumer.heartbeat.interval.ms"),
    ("group.consumer.heartbeat.interval.ms", "group.consumer.max.heartbeat.interval.ms"),
    ("group.consumer.min.session.timeout.ms", "group.consumer.session.timeout.ms"),
    ("group.consumer.session.timeout.ms", "group.consumer.max.session.timeout.ms"),
    ("group.consumer.min.assignment.interval.ms", "group.consumer.assignment.interval.ms"),
    ("group.consumer.assignment.interval.ms", "group.consumer.max.assignment.interval.ms"),
    ("group.share.min.heartbeat.interval.ms", "group.share.heartbeat.interval.ms"),
    ("group.share.heartbeat.interval.ms", "group.share.max.heartbeat.interval.ms"),
    ("group.share.min.session.timeout.ms", "group.share.session.timeout.ms"),
    ("group.share.session.timeout.ms", "group.share.max.session.timeout.ms"),
    ("group.share.min.assignment.interval.ms", "group.share.assignment.interval.ms"),
    ("group.share.assignment.interval.ms", "group.share.max.assignment.interval.ms"),
    ("group.share.min.record.lock.duration.ms", "group.share.record.lock.duration.ms"),
    ("group.share.record.lock.duration.ms", "group.share.max.record.lock.duration.ms"),
    ("group.share.min.delivery.count.limit", "group.share.delivery.count.limit"),
    ("group.share.delivery.count.limit", "group.share.max.delivery.count.limit"),
    ("group.share.min.partition.max.record.locks", "group.share.partition.max.record.locks"),
    ("group.share.partition.max.record.locks", "group.share.max.partition.max.record.locks"),
    ("group.share.max.size", "group.share.max.share.sessions"),
    ("group.streams.min.heartbeat.interval.ms", "group.streams.heartbeat.interval.ms"),
    ("group.streams.heartbeat.interval.ms", "group.streams.max.heartbeat.interval.ms"),
    ("group.streams.min.session.timeout.ms", "group.streams.session.timeout.ms"),
    ("group.streams.session.timeout.ms", "group.streams.max.session.timeout.ms"),
    ("group.streams.min.assignment.interval.ms", "group.streams.assignment.interval.ms"),
    ("group.streams.assignment.interval.ms", "group.streams.max.assignment.interval.ms"),
    ("group.streams.num.standby.replicas", "group.streams.max.standby.replicas"),
];

/// The first must be below the second.
const BELOW: &[(&str, &str)] = &[
    ("group.consumer.heartbeat.interval.ms", "group.consumer.session.timeout.ms"),
    ("group.share.heartbeat.interval.ms", "group.share.session.timeout.ms"),
    ("group.streams.heartbeat.interval.ms", "group.streams.session.timeout.ms"),
];

/// The least a cleaner thread's map needs.
const MIN_DEDUPE_BYTES_PER_THREAD: i64 = 1024 * 1024;

/// Keys whose values do not go together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// The key that is complained of, and those it was compared with.
    pub(super) keys: Vec<&'static str>,
    /// `key=value: what is wrong`
    pub(super) text: String,
}

impl Problem {
    pub(super) fn new(values: &CheckedValues<'_>, keys: &[&'static str], what: &str) -> Self {
        Self { keys: keys.to_vec(), text: format!("{}={}: {what}", keys[0], values.text(keys[0])) }
    }

    /// The problem at the place where its key was set, if it was.
    pub(super) fn into_error(self, settings: &Settings) -> ConfigError {
        match settings.get(self.keys[0]) {
            Some(setting) => ConfigError::at(&setting.origin, self.text),
            None => ConfigError::general(self.text),
        }
    }
}

/// Checks all pairs and groups of keys.
pub(super) fn across_keys(values: &CheckedValues<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for &(smaller, larger) in ORDERED {
        if values.number(smaller) > values.number(larger) {
            let what = format!("must not exceed {larger}={}", values.text(larger));
            problems.push(Problem::new(values, &[smaller, larger], &what));
        }
    }
    for &(smaller, larger) in BELOW {
        if values.number(smaller) >= values.number(larger) {
            let what = format!("must be below {larger}={}", values.text(larger));
            problems.push(Problem::new(values, &[smaller, larger], &what));
        }
    }
    check_node(values, &mut problems);
    check_connections(values, &mut problems);
    check_logs(values, &mut problems);
    problems
}

fn check_node(values: &CheckedValues<'_>, problems: &mut Vec<Problem>) {
    if values.number("node.id") != values.number("broker.id") {
        let what = format!("must be the same as broker.id={}", values.text("broker.id"));
        problems.push(Problem::new(values, &["node.id", "broker.id"], &what));
    }
    let roles = split_list(values.text("process.roles"));
    let distinct: BTreeSet<_> = roles.iter().collect();
    if distinct.len() != roles.len() {
        problems.push(Problem::new(values, &["process.roles"], "a role is named twice"));
    } else if roles == ["controller"] {
        let what = "there are no nodes that are controllers only: every Ottla node serves clients and keeps the \
                       metadata";
        problems.push(Problem::new(values, &["process.roles"], what));
    }
}

fn check_connections(values: &CheckedValues<'_>, problems: &mut Vec<Problem>) {
    let queued = values.number("queued.max.request.bytes");
    if queued > 0 && queued < values.number("socket.request.max.bytes") {
        let what = format!("must be at least socket.request.max.bytes={}", values.text("socket.request.max.bytes"));
        problems.push(Problem::new(values, &["queued.max.request.bytes", "socket.request.max.bytes"], &what));
    }
    match per_ip_overrides(values) {
        Err(what) => problems.push(Problem::new(values, &["max.connections.per.ip.overrides"], &what)),
        Ok(overrides) if overrides.is_empty() && values.number("max.connections.per.ip") == 0 => {
            let what = "can be 0 only if max.connections.per.ip.overrides names who may connect";
            problems.push(Problem::new(
                values,
                &["max.connections.per.ip", "max.connections.per.ip.overrides"],
                what,
            ));
        }
        Ok(_) => {}
    }
    let idle = values.number("connections.max.idle.ms");
    if idle >= 0 && values.number("connection.failed.authentication.delay.ms") >= idle {
        let what = format!("must be less than connections.max.idle.ms={idle}");
        problems.push(Problem::new(
            values,
            &["connection.failed.authentication.delay.ms", "connections.max.idle.ms"],
            &what,
        ));
    }
}

fn check_logs(values: &CheckedValues<'_>, problems: &mut Vec<Problem>) {
    let dirs = log_dirs(values);
    let distinct: BTreeSet<_> = dirs.iter().collect();
    let key = if values.is_set("log.dirs") { "log.dirs" } else { "log.dir" };
    if dirs.is_empty() || dirs.iter().any(|dir| dir.is_empty()) {
        problems.push(Problem::new(values, &[key], "a log directory without a name"));
    } else if distinct.len() != dirs.len() {
        problems.push(Problem::new(values, &[key], "a log directory is named twice"));
    }
    let threads = values.number("log.cleaner.threads").max(1);
    if values.number("log.cleaner.dedupe.buffer.size") / threads <= MIN_DEDUPE_BYTES_PER_THREAD {
        let what = "must be more than 1 MiB for each of log.cleaner.threads";
        problems.push(Problem::new(values, &["log.cleaner.dedupe.buffer.size", "log.cleaner.threads"], what));
    }
}
