//! [`DynamicBrokerConfig`]: the broker's values that AlterConfigs changes while it runs.

use std::collections::BTreeMap;

use tracing::warn;

use super::broker_config::{number, parse_per_host, table_row};
use super::cleaner_config::CleanerConfig;
use super::layers::Layers;
use super::value;

/// Honoured broker values that can change at run time. Topics' defaults, which can too, are in
/// [`LogConfig`](super::LogConfig).
#[derive(Clone, Debug, PartialEq)]
pub struct DynamicBrokerConfig {
    pub max_connections: u32,
    pub max_connections_per_ip: u32,
    /// Instead of `max_connections_per_ip`, by host.
    pub max_connections_per_ip_overrides: BTreeMap<String, u32>,
    /// Connections a second.
    pub max_connection_creation_rate: u32,
    /// By listener name in capitals.
    pub listener_limits: BTreeMap<String, ListenerLimits>,
    pub num_recovery_threads_per_data_dir: u32,
    pub producer_id_expiration_ms: u64,
    pub replica_alter_log_dirs_io_max_bytes_per_second: u64,
    pub cleaner: CleanerConfig,
    pub log_scrub_bytes_per_second: u64,
}

/// What `listener.name.<name>.` settings limit, beside the broker's own limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListenerLimits {
    pub max_connections: Option<u32>,
    pub max_connection_creation_rate: Option<u32>,
}

impl DynamicBrokerConfig {
    pub(super) fn resolve(layers: &Layers<'_>) -> Self {
        Self {
            max_connections: count(layers, "max.connections"),
            max_connections_per_ip: count(layers, "max.connections.per.ip"),
            max_connections_per_ip_overrides: per_host(layers, "max.connections.per.ip.overrides"),
            max_connection_creation_rate: count(layers, "max.connection.creation.rate"),
            listener_limits: listener_limits(layers),
            num_recovery_threads_per_data_dir: count(layers, "num.recovery.threads.per.data.dir"),
            producer_id_expiration_ms: u64::from(count(layers, "producer.id.expiration.ms")),
            log_scrub_bytes_per_second: long(layers, "log.scrub.bytes.per.second"),
            replica_alter_log_dirs_io_max_bytes_per_second: long(
                layers,
                "replica.alter.log.dirs.io.max.bytes.per.second",
            ),
            cleaner: CleanerConfig::resolve(layers),
        }
    }
}

fn count(layers: &Layers<'_>, name: &str) -> u32 {
    u32::try_from(long(layers, name)).unwrap_or_default()
}

/// A checked number that is not negative. A stored one that is not valid must not stop the broker: the value it was
/// started with stands.
pub(super) fn long(layers: &Layers<'_>, name: &str) -> u64 {
    u64::try_from(number(table_row(name), text(layers, name))).unwrap_or_default()
}

/// As [`long`], for a value of the type double.
pub(super) fn double(layers: &Layers<'_>, name: &str) -> f64 {
    value::parse_double(text(layers, name)).unwrap_or_default()
}

fn text<'a>(layers: &Layers<'a>, name: &str) -> &'a str {
    let stored = layers.effective(name).filter(|text| is_valid(name, text));
    stored.or_else(|| layers.config.value(name)).unwrap_or_default()
}

fn per_host(layers: &Layers<'_>, name: &str) -> BTreeMap<String, u32> {
    match parse_per_host(layers.effective(name).unwrap_or_default()) {
        Ok(counts) => counts,
        Err(error) => {
            warn!(key = name, error, "stored configuration ignored");
            BTreeMap::new()
        }
    }
}

fn is_valid(name: &str, text: &str) -> bool {
    let checked = value::check(table_row(name), text);
    if let Err(error) = &checked {
        warn!(key = name, %error, "stored configuration ignored");
    }
    checked.is_ok()
}

fn listener_limits(layers: &Layers<'_>) -> BTreeMap<String, ListenerLimits> {
    let mut limits: BTreeMap<String, ListenerLimits> = BTreeMap::new();
    for listener in &layers.config.listeners {
        let own = |key: &str| {
            let name = format!("listener.name.{}.{key}", listener.name.to_ascii_lowercase());
            let text = layers.effective(&name).filter(|text| is_valid(key, text))?;
            u32::try_from(number(table_row(key), text)).ok()
        };
        let of_listener = ListenerLimits {
            max_connections: own("max.connections"),
            max_connection_creation_rate: own("max.connection.creation.rate"),
        };
        if of_listener != ListenerLimits::default() {
            limits.insert(listener.name.clone(), of_listener);
        }
    }
    limits
}
