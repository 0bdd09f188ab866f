//! [`BrokerConfig`]: what a broker was started with.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::coordinator_config::{GroupCoordinatorConfig, ShareCoordinatorConfig};
use super::dynamic::DynamicBrokerConfig;
use super::key::Key;
use super::keys::broker_key;
use super::layers::Layers;
use super::listeners::{AdvertisedListener, HostPort, Listener};
use super::load::load;
use super::log_config::{ConfigOverrides, LogConfig, in_topic_units};
use super::sources::{Setting, Settings, Sources};
use super::value::{parse_bool, parse_integer};
use crate::ids::BrokerId;

/// The static configuration of a broker: checked, typed, and unchanged while it runs. Values that can change are in
/// [`DynamicBrokerConfig`] and [`LogConfig`].
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerConfig {
    pub node_id: BrokerId,
    pub broker_rack: Option<String>,
    pub metadata: MetadataKind,

    pub listeners: Vec<Listener>,
    pub advertised_listeners: Vec<AdvertisedListener>,
    /// The name of the listener that other brokers use.
    pub inter_broker_listener_name: String,
    pub admin_listeners: AdminListeners,
    pub socket_listen_backlog_size: u32,
    /// `None` leaves it to the operating system.
    pub socket_receive_buffer_bytes: Option<u32>,
    /// `None` leaves it to the operating system.
    pub socket_send_buffer_bytes: Option<u32>,
    pub socket_request_max_bytes: u32,
    /// `None`: idle connections stay.
    pub connections_max_idle_ms: Option<u64>,
    /// `None`: the broker's own bound.
    pub queued_max_request_bytes: Option<u64>,
    pub request_timeout_ms: u32,
    /// How long a broker counts as alive without a sign of life.
    pub broker_session_timeout_ms: u64,

    pub log_dirs: Vec<PathBuf>,
    pub log_retention_check_interval_ms: u64,
    pub producer_id_expiration_check_interval_ms: u64,
    pub log_cleaner_enable: bool,
    pub log_flush_offset_checkpoint_interval_ms: u64,
    pub log_flush_start_offset_checkpoint_interval_ms: u64,

    pub num_partitions: i32,
    pub default_replication_factor: i32,
    pub auto_create_topics_enable: bool,
    pub delete_topic_enable: bool,
    pub fetch_max_bytes: u32,
    pub max_incremental_fetch_session_cache_slots: usize,
    pub max_request_partition_size_limit: u32,

    pub telemetry_max_bytes: usize,
    pub quota_window_num: usize,
    pub quota_window_size_seconds: u64,
    pub controller_quota_window_num: usize,
    pub controller_quota_window_size_seconds: u64,

    pub groups: GroupCoordinatorConfig,
    pub share_coordinator: ShareCoordinatorConfig,

    /// The settings in force as they were given, by key; unknown keys too.
    pub(super) settings: Settings,
}

/// `metadata`: where topics, configurations and ids are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetadataKind {
    /// A file beside the logs.
    Embedded,
    /// Gone with the process.
    Memory,
}

/// `admin.listeners`: where the admin HTTP server listens; empty is off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminListeners {
    pub addresses: Vec<HostPort>,
    /// Nobody asked for these: when the port is taken, warn and use a free one.
    pub is_default: bool,
}

impl BrokerConfig {
    /// What topics' logs do on this broker, every layer resolved: a topic's own settings, then this broker's dynamic
    /// ones, those of all brokers, what it was started with, Kafka's defaults.
    pub fn log_config(
        &self,
        cluster_default: &ConfigOverrides,
        broker: &ConfigOverrides,
        topic: &ConfigOverrides,
    ) -> LogConfig {
        let layers = Layers { config: self, cluster_default, broker };
        LogConfig::resolve(|key| match topic.get(key.name) {
            Some(value) => Some(value.clone()),
            None => topic_default(&layers, key),
        })
    }

    /// The values that can change at run time, as they are now.
    pub fn dynamic_config(&self, cluster_default: &ConfigOverrides, broker: &ConfigOverrides) -> DynamicBrokerConfig {
        DynamicBrokerConfig::resolve(&Layers { config: self, cluster_default, broker })
    }

    /// The value a broker key was started with, as given or by default.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.setting(name).map(|setting| setting.value.as_str()).or_else(|| self.default_of(name))
    }

    /// What was given for a key at the start, and where.
    pub fn setting(&self, name: &str) -> Option<&Setting> {
        self.settings.get(name)
    }

    /// The value of a broker key that nobody sets.
    pub(super) fn default_of(&self, name: &str) -> Option<&'static str> {
        broker_key(name).and_then(|key| default_value(key, self.metadata))
    }
}

impl Default for BrokerConfig {
    fn default() -> Self {
        load(&Sources::default()).expect("the defaults are a configuration").config
    }
}

/// Internal topics can not have more replicas than there are nodes.
const SINGLE_NODE_DEFAULTS: &[&str] = &[
    "offsets.topic.replication.factor",
    "share.coordinator.state.topic.min.isr",
    "share.coordinator.state.topic.replication.factor",
    "transaction.state.log.min.isr",
    "transaction.state.log.replication.factor",
];

/// The default of a broker key, which for some depends on whether there can be other nodes.
pub(super) fn default_value(key: &'static Key, metadata: MetadataKind) -> Option<&'static str> {
    match metadata {
        MetadataKind::Embedded | MetadataKind::Memory if SINGLE_NODE_DEFAULTS.contains(&key.name) => Some("1"),
        MetadataKind::Embedded | MetadataKind::Memory => key.default,
    }
}

/// The value of a topic's or group's key that it does not set itself, in its own units.
pub(super) fn topic_default(layers: &Layers<'_>, key: &'static Key) -> Option<String> {
    match layers.first_set(key.synonyms) {
        Some((synonym, value)) => Some(in_topic_units(synonym, value)),
        None => key.default.map(str::to_owned),
    }
}

/// Checked values of broker keys: reading one can only fail by a bug in the table, which a test rules out.
pub(super) struct CheckedValues<'a> {
    pub(super) settings: &'a Settings,
    pub(super) metadata: MetadataKind,
}

impl<'a> CheckedValues<'a> {
    pub(super) fn optional(&self, name: &str) -> Option<&'a str> {
        let set = self.settings.get(name).map(|setting| setting.value.trim());
        set.or_else(|| default_value(table_row(name), self.metadata))
    }

    pub(super) fn text(&self, name: &str) -> &'a str {
        self.optional(name).unwrap_or_default()
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        self.settings.contains_key(name)
    }

    pub(super) fn number(&self, name: &str) -> i64 {
        number(table_row(name), self.text(name))
    }

    /// A number of which negative values (and they alone) mean "none".
    pub(super) fn limit<T: TryFrom<i64>>(&self, name: &str) -> Option<T> {
        T::try_from(self.number(name)).ok()
    }

    pub(super) fn size<T: TryFrom<i64> + Default>(&self, name: &str) -> T {
        self.limit(name).unwrap_or_default()
    }

    pub(super) fn boolean(&self, name: &str) -> bool {
        parse_bool(self.text(name)).unwrap_or_else(|| panic!("{name} was checked to be true or false"))
    }
}

pub(super) fn table_row(name: &str) -> &'static Key {
    broker_key(name).unwrap_or_else(|| panic!("{name} is a broker key"))
}

/// The number in a checked value.
pub(super) fn number(key: &'static Key, text: &str) -> i64 {
    parse_integer(key.kind, text).unwrap_or_else(|| panic!("{} was checked to be a number", key.name))
}

/// `host:count,host:count`
pub(super) fn parse_per_host(text: &str) -> Result<BTreeMap<String, u32>, String> {
    let mut counts = BTreeMap::new();
    for pair in super::value::split_list(text).into_iter().filter(|pair| !pair.is_empty()) {
        let parsed = pair.rsplit_once(':').and_then(|(host, count)| Some((host.trim(), count.trim().parse().ok()?)));
        match parsed {
            Some((host, count)) if !host.is_empty() => counts.insert(host.to_owned(), count),
            _ => return Err(format!("'{pair}' is not of the form host:count")),
        };
    }
    Ok(counts)
}
