//! [`load`]: from texts to a [`BrokerConfig`], or to every reason why there is none.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::broker_config::{AdminListeners, BrokerConfig, CheckedValues, MetadataKind, parse_per_host};
use super::checks::{self, Problem};
use super::coordinator_config::{GroupCoordinatorConfig, ShareCoordinatorConfig};
use super::errors::{ConfigError, ConfigErrors, one_line};
use super::key::{Key, Support};
use super::keys::{broker_key, topic_key};
use super::legacy;
use super::listeners::{self, HostPort, ListenerSettings, ResolvedListeners};
use super::sources::{self, Setting, Settings, Sources};
use super::value::{self, split_list};
use crate::ids::BrokerId;

/// A configuration that a broker can start with, and what its owner should know.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    pub config: BrokerConfig,
    /// One line each: unknown keys, and keys whose part something else has taken.
    pub warnings: Vec<String>,
}

/// Reads, merges and checks all sources.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigErrors> {
    let mut report = Report::default();
    let mut settings = sources::merge(sources, &mut report.errors);
    let bad: Vec<_> = settings
        .iter()
        .filter(|(name, setting)| !inspect(name, setting, &mut report))
        .map(|(name, _)| name.clone())
        .collect();
    // The checks between keys go on with the others, so that one start shows all that is wrong.
    for name in &bad {
        settings.remove(name);
    }
    same_node_id(&mut settings);

    let metadata = metadata_kind(&settings);
    let values = CheckedValues { settings: &settings, metadata };
    let problems = checks::across_keys(&values);
    report.errors.extend(problems.into_iter().map(|problem| problem.into_error(&settings)));
    let listeners = resolve_listeners(&values, &mut report);
    let admin_listeners = admin_listeners(&values, &mut report);
    report.warn_of_replaced_keys();
    match (listeners, admin_listeners) {
        (Some(listeners), Some(admin_listeners)) if report.errors.is_empty() => {
            let config = build(&values, listeners, admin_listeners);
            Ok(Loaded { config: BrokerConfig { settings, ..config }, warnings: report.warnings })
        }
        _ => Err(ConfigErrors(report.errors)),
    }
}

/// What is said about a configuration while it is read.
#[derive(Default)]
struct Report {
    errors: Vec<ConfigError>,
    warnings: Vec<String>,
    /// What takes the place of keys: the sentence, and the keys it is said of.
    replaced: BTreeMap<&'static str, Vec<String>>,
}

impl Report {
    fn error(&mut self, setting: &Setting, problem: String) {
        self.errors.push(ConfigError::at(&setting.origin, problem));
    }

    fn warn(&mut self, setting: &Setting, problem: &str) {
        self.warnings.push(one_line(&format!("{}: {problem}", setting.origin)));
    }

    fn warn_of_replaced_keys(&mut self) {
        for (by, names) in std::mem::take(&mut self.replaced) {
            self.warnings.push(one_line(&format!("{}: {by}", names.join(", "))));
        }
    }
}

/// Judges one setting for itself; false where it is wrong.
fn inspect(name: &str, setting: &Setting, report: &mut Report) -> bool {
    if names_a_provider(&setting.value) {
        let problem = format!("{name}={}: {}", setting.value, super::reasons::PROVIDERS);
        report.error(setting, problem);
        return false;
    }
    if let Some(key) = broker_key(name) {
        return inspect_value(name, key, setting, report) && inspect_support(name, key, setting, report);
    }
    if let Some((listener, base)) = split_listener_key(name) {
        return inspect_listener_key(name, listener, base, setting, report);
    }
    match legacy::support(name) {
        Some(Support::RefusedWhenSet(reason)) if !setting.value.trim().is_empty() => {
            report.error(setting, format!("{name}={} is not honoured: {reason}", setting.value));
            false
        }
        Some(Support::Replaced(by)) => {
            report.replaced.entry(by).or_default().push(name.to_owned());
            true
        }
        Some(_) => true,
        None => {
            report.warn(setting, &unknown(name));
            true
        }
    }
}

fn inspect_value(name: &str, key: &'static Key, setting: &Setting, report: &mut Report) -> bool {
    let Err(error) = value::check(key, &setting.value) else { return true };
    let range = key.valid.to_string();
    let separator = if range.is_empty() { "" } else { " " };
    report.error(
        setting,
        format!("{name}={}: {} ({}{separator}{range})", shown(key, &setting.value), error.reason, key.kind),
    );
    false
}

fn inspect_support(name: &str, key: &'static Key, setting: &Setting, report: &mut Report) -> bool {
    match key.support {
        Support::RefusedWhenSet(reason) if !is_harmless(key, &setting.value) => {
            report.error(setting, format!("{name}={} is not honoured: {reason}", shown(key, &setting.value)));
            false
        }
        Support::Replaced(by) => {
            report.replaced.entry(by).or_default().push(name.to_owned());
            true
        }
        Support::RefusedWhenSet(_) | Support::Honoured | Support::Reported => true,
    }
}

/// Nothing, or what Kafka does anyway.
pub(super) fn is_harmless(key: &'static Key, text: &str) -> bool {
    text.trim().is_empty() || key.default.is_some_and(|default| value::same(key, text, default))
}

/// The value as it may appear in a message.
fn shown<'a>(key: &'static Key, text: &'a str) -> &'a str {
    if key.is_sensitive() { "[hidden]" } else { text }
}

fn unknown(name: &str) -> String {
    match topic_key(name).and_then(|key| key.synonyms.first()) {
        Some(synonym) => format!("unknown key {name}: it belongs to topics, their default is {}", synonym.key),
        None => format!("unknown key {name}"),
    }
}

/// `${provider:path:key}` somewhere in the value.
pub(super) fn names_a_provider(text: &str) -> bool {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("${") {
        match after.split_once('}') {
            Some((inside, _)) if inside.contains(':') => return true,
            _ => rest = after,
        }
    }
    false
}

/// `listener.name.<listener>.<key>`
pub(super) fn split_listener_key(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix("listener.name.")?
        .split_once('.')
        .filter(|(listener, key)| !listener.is_empty() && !key.is_empty())
}

/// The key that a listener's setting is an instance of; SASL's may carry a mechanism (`plain.sasl.jaas.config`).
pub(super) fn listener_base_key(base: &str) -> Option<&'static Key> {
    broker_key(base).or_else(|| broker_key(base.split_once('.')?.1))
}

fn inspect_listener_key(name: &str, listener: &str, base: &str, setting: &Setting, report: &mut Report) -> bool {
    let Some(key) = listener_base_key(base) else {
        report.warn(setting, &unknown(name));
        return true;
    };
    if !(inspect_value(name, key, setting, report) && inspect_support(name, key, setting, report)) {
        return false;
    }
    if !matches!(key.name, "max.connections" | "max.connection.creation.rate") {
        report.warn(setting, &format!("{name} has no effect for the listener {listener} alone"));
    }
    true
}

/// `broker.id` and `node.id` are one key under two names: whoever gives one gives both.
fn same_node_id(settings: &mut Settings) {
    for (given, other) in [("node.id", "broker.id"), ("broker.id", "node.id")] {
        if let Some(setting) = settings.get(given).cloned() {
            settings.entry(other.to_owned()).or_insert(setting);
        }
    }
}

fn metadata_kind(settings: &Settings) -> MetadataKind {
    match settings.get("metadata").map(|setting| setting.value.trim()) {
        Some("memory") => MetadataKind::Memory,
        _ => MetadataKind::Embedded,
    }
}

fn resolve_listeners(values: &CheckedValues<'_>, report: &mut Report) -> Option<ResolvedListeners> {
    let settings = ListenerSettings {
        listeners: values.text("listeners"),
        advertised: values.optional("advertised.listeners").filter(|text| !text.is_empty()),
        protocol_map: values.text("listener.security.protocol.map"),
        protocol_map_given: values.is_set("listener.security.protocol.map"),
        controller_names: values.text("controller.listener.names"),
        inter_broker_name: values.optional("inter.broker.listener.name").filter(|text| !text.is_empty()),
        inter_broker_protocol_given: values.is_set("security.inter.broker.protocol"),
    };
    match listeners::resolve(&settings) {
        Ok(mut resolved) => {
            report.warnings.append(&mut resolved.warnings);
            warn_of_missing_listeners(values, &settings, report);
            Some(resolved)
        }
        Err((key, problem)) => {
            report.errors.push(Problem::new(values, &[key], &problem).into_error(values.settings));
            None
        }
    }
}

/// Settings for a listener that does not exist: most likely its name is misspelt.
fn warn_of_missing_listeners(values: &CheckedValues<'_>, listeners: &ListenerSettings<'_>, report: &mut Report) {
    let all = listeners::parse_addresses(listeners.listeners).unwrap_or_default();
    for (name, setting) in values.settings {
        let Some((listener, _)) = split_listener_key(name) else { continue };
        if !all.iter().any(|address| address.name.eq_ignore_ascii_case(listener)) {
            report.warn(setting, &format!("{name}: there is no listener called {listener}"));
        }
    }
}

fn admin_listeners(values: &CheckedValues<'_>, report: &mut Report) -> Option<AdminListeners> {
    let mut addresses = Vec::new();
    for element in split_list(values.text("admin.listeners")) {
        let Some((host, port)) = listeners::split_host_port(element) else {
            let problem = format!("'{element}' is not of the form host:port");
            report.errors.push(Problem::new(values, &["admin.listeners"], &problem).into_error(values.settings));
            return None;
        };
        addresses.push(HostPort { host: host.to_owned(), port });
    }
    Some(AdminListeners { addresses, is_default: !values.is_set("admin.listeners") })
}

fn build(values: &CheckedValues<'_>, listeners: ResolvedListeners, admin_listeners: AdminListeners) -> BrokerConfig {
    BrokerConfig {
        node_id: BrokerId(values.number("node.id") as i32),
        broker_rack: values.optional("broker.rack").map(str::to_owned),
        metadata: values.metadata,

        listeners: listeners.listeners,
        advertised_listeners: listeners.advertised,
        inter_broker_listener_name: listeners.inter_broker_name,
        admin_listeners,
        socket_listen_backlog_size: values.size("socket.listen.backlog.size"),
        socket_receive_buffer_bytes: values.limit("socket.receive.buffer.bytes"),
        socket_send_buffer_bytes: values.limit("socket.send.buffer.bytes"),
        socket_request_max_bytes: values.size("socket.request.max.bytes"),
        connections_max_idle_ms: values.limit("connections.max.idle.ms"),
        queued_max_request_bytes: values.limit("queued.max.request.bytes").filter(|&bytes| bytes > 0),
        request_timeout_ms: values.size("request.timeout.ms"),
        broker_session_timeout_ms: values.size("broker.session.timeout.ms"),

        log_dirs: log_dirs(values).into_iter().map(PathBuf::from).collect(),
        log_retention_check_interval_ms: values.size("log.retention.check.interval.ms"),
        producer_id_expiration_check_interval_ms: values.size("producer.id.expiration.check.interval.ms"),
        log_cleaner_enable: values.boolean("log.cleaner.enable"),
        log_flush_offset_checkpoint_interval_ms: values.size("log.flush.offset.checkpoint.interval.ms"),
        log_flush_start_offset_checkpoint_interval_ms: values.size("log.flush.start.offset.checkpoint.interval.ms"),

        num_partitions: values.size("num.partitions"),
        default_replication_factor: values.size("default.replication.factor"),
        auto_create_topics_enable: values.boolean("auto.create.topics.enable"),
        delete_topic_enable: values.boolean("delete.topic.enable"),
        fetch_max_bytes: values.size("fetch.max.bytes"),
        max_incremental_fetch_session_cache_slots: values.size("max.incremental.fetch.session.cache.slots"),
        max_request_partition_size_limit: values.size("max.request.partition.size.limit"),

        telemetry_max_bytes: values.size("telemetry.max.bytes"),
        quota_window_num: values.size("quota.window.num"),
        quota_window_size_seconds: values.size("quota.window.size.seconds"),
        controller_quota_window_num: values.size("controller.quota.window.num"),
        controller_quota_window_size_seconds: values.size("controller.quota.window.size.seconds"),

        groups: GroupCoordinatorConfig::from_values(values),
        share_coordinator: ShareCoordinatorConfig::from_values(values),

        settings: Settings::new(),
    }
}

/// `log.dirs` where given, `log.dir` otherwise.
pub(super) fn log_dirs<'a>(values: &CheckedValues<'a>) -> Vec<&'a str> {
    let given = values.optional("log.dirs").map(split_list).filter(|dirs| !dirs.is_empty());
    given.unwrap_or_else(|| split_list(values.text("log.dir")))
}

/// `max.connections.per.ip.overrides`
pub(super) fn per_ip_overrides(values: &CheckedValues<'_>) -> Result<BTreeMap<String, u32>, String> {
    parse_per_host(values.text("max.connections.per.ip.overrides"))
}
