//! What must hold between keys; Kafka's checks where the keys mean something here.

use std::collections::BTreeSet;

use super::broker_config::CheckedValues;
use super::errors::ConfigError;
use super::load::{log_dirs, per_ip_overrides};
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
    ("group.share.min.heartbeat.interval.ms", "group.share.heartbeat.interval.ms"),
    ("group.share.heartbeat.interval.ms", "group.share.max.heartbeat.interval.ms"),
    ("group.share.min.session.timeout.ms", "group.share.session.timeout.ms"),
    ("group.share.session.timeout.ms", "group.share.max.session.timeout.ms"),
    ("group.share.min.record.lock.duration.ms", "group.share.record.lock.duration.ms"),
    ("group.share.record.lock.duration.ms", "group.share.max.record.lock.duration.ms"),
    ("group.streams.min.heartbeat.interval.ms", "group.streams.heartbeat.interval.ms"),
    ("group.streams.heartbeat.interval.ms", "group.streams.max.heartbeat.interval.ms"),
    ("group.streams.min.session.timeout.ms", "group.streams.session.timeout.ms"),
    ("group.streams.session.timeout.ms", "group.streams.max.session.timeout.ms"),
];

/// The least a cleaner thread's map needs.
const MIN_DEDUPE_BYTES_PER_THREAD: i64 = 1024 * 1024;

/// Checks all pairs and groups of keys.
pub(super) fn across_keys(values: &CheckedValues<'_>, errors: &mut Vec<ConfigError>) {
    for &(smaller, larger) in ORDERED {
        if values.number(smaller) > values.number(larger) {
            let problem = format!("must not exceed {larger}={}", values.text(larger));
            errors.push(problem_of(values, smaller, &problem));
        }
    }
    check_node(values, errors);
    check_connections(values, errors);
    check_logs(values, errors);
}

fn check_node(values: &CheckedValues<'_>, errors: &mut Vec<ConfigError>) {
    if values.number("node.id") != values.number("broker.id") {
        let problem = format!("must be the same as broker.id={}", values.text("broker.id"));
        errors.push(problem_of(values, "node.id", &problem));
    }
    let roles = split_list(values.text("process.roles"));
    let distinct: BTreeSet<_> = roles.iter().collect();
    if distinct.len() != roles.len() {
        errors.push(problem_of(values, "process.roles", "a role is named twice"));
    } else if roles == ["controller"] {
        let problem = "there are no nodes that are controllers only: every Ottla node serves clients and keeps the \
                       metadata";
        errors.push(problem_of(values, "process.roles", problem));
    }
}

fn check_connections(values: &CheckedValues<'_>, errors: &mut Vec<ConfigError>) {
    let queued = values.number("queued.max.request.bytes");
    if queued > 0 && queued < values.number("socket.request.max.bytes") {
        let problem =
            format!("must be at least socket.request.max.bytes={}", values.text("socket.request.max.bytes"));
        errors.push(problem_of(values, "queued.max.request.bytes", &problem));
    }
    match per_ip_overrides(values) {
        Err(problem) => errors.push(problem_of(values, "max.connections.per.ip.overrides", &problem)),
        Ok(overrides) if overrides.is_empty() && values.number("max.connections.per.ip") == 0 => {
            let problem = "can be 0 only if max.connections.per.ip.overrides names who may connect";
            errors.push(problem_of(values, "max.connections.per.ip", problem));
        }
        Ok(_) => {}
    }
    let idle = values.number("connections.max.idle.ms");
    if idle >= 0 && values.number("connection.failed.authentication.delay.ms") >= idle {
        let problem = format!("must be less than connections.max.idle.ms={idle}");
        errors.push(problem_of(values, "connection.failed.authentication.delay.ms", &problem));
    }
}

fn check_logs(values: &CheckedValues<'_>, errors: &mut Vec<ConfigError>) {
    let dirs = log_dirs(values);
    let distinct: BTreeSet<_> = dirs.iter().collect();
    let key = if values.is_set("log.dirs") { "log.dirs" } else { "log.dir" };
    if dirs.is_empty() || dirs.iter().any(|dir| dir.is_empty()) {
        errors.push(problem_of(values, key, "a log directory without a name"));
    } else if distinct.len() != dirs.len() {
        errors.push(problem_of(values, key, "a log directory is named twice"));
    }
    let threads = values.number("log.cleaner.threads").max(1);
    if values.number("log.cleaner.dedupe.buffer.size") / threads <= MIN_DEDUPE_BYTES_PER_THREAD {
        let problem = "must be more than 1 MiB for each of log.cleaner.threads";
        errors.push(problem_of(values, "log.cleaner.dedupe.buffer.size", problem));
    }
}

/// A problem with the value of `key`, at the place it was set, if it was.
pub(super) fn problem_of(values: &CheckedValues<'_>, key: &str, problem: &str) -> ConfigError {
    let text = format!("{key}={}: {problem}", values.text(key));
    match values.settings.get(key) {
        Some(setting) => ConfigError::at(&setting.origin, text),
        None => ConfigError::general(text),
    }
}
