//! [`GroupConfig`]: what one group is configured to do, every layer resolved.

use tracing::warn;

use super::broker_config::{BrokerConfig, topic_default};
use super::key::Key;
use super::keys::{broker_key, group_key};
use super::layers::Layers;
use super::log_config::ConfigOverrides;
use super::offset_reset::ShareAutoOffsetReset;
use super::value::{self, parse_bool, parse_integer};

/// The configuration of a group: its own settings, then this broker's dynamic ones, those of all brokers, what the
/// broker was started with, Kafka's defaults. A group's own values are kept within the bounds that the broker sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    pub consumer_session_timeout_ms: i32,
    pub consumer_heartbeat_interval_ms: i32,
    pub consumer_assignment_interval_ms: i32,
    pub share_session_timeout_ms: i32,
    pub share_heartbeat_interval_ms: i32,
    pub share_assignment_interval_ms: i32,
    pub share_record_lock_duration_ms: i32,
    pub share_delivery_count_limit: i32,
    pub share_partition_max_record_locks: i32,
    pub share_auto_offset_reset: ShareAutoOffsetReset,
    /// Only records of committed transactions are delivered.
    pub share_reads_committed: bool,
    pub share_renew_acknowledge_enable: bool,
    pub streams_session_timeout_ms: i32,
    pub streams_heartbeat_interval_ms: i32,
    pub streams_assignment_interval_ms: i32,
    pub streams_num_standby_replicas: i32,
    pub streams_initial_rebalance_delay_ms: i32,
}

/// Between which broker values a group's value has to lie.
pub(super) struct Bound {
    pub(super) key: &'static str,
    pub(super) min: Option<&'static str>,
    pub(super) max: &'static str,
}

const fn within(key: &'static str, min: &'static str, max: &'static str) -> Bound {
    Bound { key, min: Some(min), max }
}

/// In the order in which Kafka complains of them.
pub(super) const BOUNDS: &[Bound] = &[
    within(
        "consumer.heartbeat.interval.ms",
        "group.consumer.min.heartbeat.interval.ms",
        "group.consumer.max.heartbeat.interval.ms",
    ),
    within(
        "consumer.session.timeout.ms",
        "group.consumer.min.session.timeout.ms",
        "group.consumer.max.session.timeout.ms",
    ),
    within(
        "consumer.assignment.interval.ms",
        "group.consumer.min.assignment.interval.ms",
        "group.consumer.max.assignment.interval.ms",
    ),
    within(
        "share.heartbeat.interval.ms",
        "group.share.min.heartbeat.interval.ms",
        "group.share.max.heartbeat.interval.ms",
    ),
    within("share.session.timeout.ms", "group.share.min.session.timeout.ms", "group.share.max.session.timeout.ms"),
    within(
        "share.record.lock.duration.ms",
        "group.share.min.record.lock.duration.ms",
        "group.share.max.record.lock.duration.ms",
    ),
    within(
        "share.delivery.count.limit",
        "group.share.min.delivery.count.limit",
        "group.share.max.delivery.count.limit",
    ),
    within(
        "share.partition.max.record.locks",
        "group.share.min.partition.max.record.locks",
        "group.share.max.partition.max.record.locks",
    ),
    within(
        "share.assignment.interval.ms",
        "group.share.min.assignment.interval.ms",
        "group.share.max.assignment.interval.ms",
    ),
    within(
        "streams.heartbeat.interval.ms",
        "group.streams.min.heartbeat.interval.ms",
        "group.streams.max.heartbeat.interval.ms",
    ),
    within(
        "streams.session.timeout.ms",
        "group.streams.min.session.timeout.ms",
        "group.streams.max.session.timeout.ms",
    ),
    Bound { key: "streams.num.standby.replicas", min: None, max: "group.streams.max.standby.replicas" },
    within(
        "streams.assignment.interval.ms",
        "group.streams.min.assignment.interval.ms",
        "group.streams.max.assignment.interval.ms",
    ),
];

impl BrokerConfig {
    /// What a group with the settings `group` does on this broker.
    pub fn group_config(
        &self,
        cluster_default: &ConfigOverrides,
        broker: &ConfigOverrides,
        group: &ConfigOverrides,
    ) -> GroupConfig {
        GroupConfig::resolve(&Values { layers: Layers { config: self, cluster_default, broker }, overrides: group })
    }
}

impl GroupConfig {
    fn resolve(values: &Values<'_>) -> Self {
        Self {
            consumer_session_timeout_ms: values.int("consumer.session.timeout.ms"),
            consumer_heartbeat_interval_ms: values.int("consumer.heartbeat.interval.ms"),
            consumer_assignment_interval_ms: values.int("consumer.assignment.interval.ms"),
            share_session_timeout_ms: values.int("share.session.timeout.ms"),
            share_heartbeat_interval_ms: values.int("share.heartbeat.interval.ms"),
            share_assignment_interval_ms: values.int("share.assignment.interval.ms"),
            share_record_lock_duration_ms: values.int("share.record.lock.duration.ms"),
            share_delivery_count_limit: values.int("share.delivery.count.limit"),
            share_partition_max_record_locks: values.int("share.partition.max.record.locks"),
            share_auto_offset_reset: ShareAutoOffsetReset::from_text(&values.text("share.auto.offset.reset"))
                .unwrap_or_default(),
            share_reads_committed: values.text("share.isolation.level") == "read_committed",
            share_renew_acknowledge_enable: parse_bool(&values.text("share.renew.acknowledge.enable"))
                .unwrap_or(true),
            streams_session_timeout_ms: values.int("streams.session.timeout.ms"),
            streams_heartbeat_interval_ms: values.int("streams.heartbeat.interval.ms"),
            streams_assignment_interval_ms: values.int("streams.assignment.interval.ms"),
            streams_num_standby_replicas: values.int("streams.num.standby.replicas"),
            streams_initial_rebalance_delay_ms: values.int("streams.initial.rebalance.delay.ms"),
        }
    }
}

impl Default for GroupConfig {
    fn default() -> Self {
        let none = ConfigOverrides::new();
        BrokerConfig::default().group_config(&none, &none, &none)
    }
}

/// A group's settings on top of a broker's.
#[derive(Clone, Copy)]
pub(super) struct Values<'a> {
    pub(super) layers: Layers<'a>,
    pub(super) overrides: &'a ConfigOverrides,
}

impl Values<'_> {
    /// The number in force before it is brought within its bounds.
    pub(super) fn unbounded(&self, name: &str) -> i32 {
        number(key_of(name), &self.text(name))
    }

    fn int(&self, name: &str) -> i32 {
        let number = self.unbounded(name);
        match BOUNDS.iter().find(|bound| bound.key == name).filter(|_| self.overrides.contains_key(name)) {
            Some(bound) => number.min(self.broker_value(bound.max)).max(self.min(bound)),
            None => number,
        }
    }

    /// The least value that `bound` allows.
    pub(super) fn min(&self, bound: &Bound) -> i32 {
        bound.min.map_or(i32::MIN, |name| self.broker_value(name))
    }

    /// The bounds are a broker's read-only keys: checked when it started.
    pub(super) fn broker_value(&self, name: &str) -> i32 {
        let key = broker_key(name).unwrap_or_else(|| panic!("{name} is a broker key"));
        number(key, self.layers.config.value(name).unwrap_or_default())
    }

    /// What is stored may be of another version, or written by another tool: it must not stop a group.
    fn text(&self, name: &str) -> String {
        let key = key_of(name);
        let valid = |text: &String| {
            let checked = value::check(key, text);
            if let Err(error) = &checked {
                warn!(key = name, %error, "stored configuration ignored");
            }
            checked.is_ok()
        };
        let own = self.overrides.get(name).filter(|text| valid(text)).cloned();
        let of_broker = || topic_default(&self.layers, key).filter(valid);
        let text = own.or_else(of_broker).or_else(|| key.default.map(str::to_owned));
        text.unwrap_or_default().trim().to_owned()
    }
}

/// A checked number that fits its 32 bits.
fn number(key: &'static Key, text: &str) -> i32 {
    let default = || key.default.and_then(|default| parse_integer(key.kind, default));
    parse_integer(key.kind, text).or_else(default).unwrap_or_default() as i32
}

fn key_of(name: &str) -> &'static Key {
    group_key(name).unwrap_or_else(|| panic!("{name} is a group key"))
}

/// A session has to outlast a heartbeat: the two keys of each kind of group.
pub(super) const SESSIONS: &[(&str, &str)] = &[
    ("consumer.session.timeout.ms", "consumer.heartbeat.interval.ms"),
    ("share.session.timeout.ms", "share.heartbeat.interval.ms"),
    ("streams.session.timeout.ms", "streams.heartbeat.interval.ms"),
];

#[cfg(test)]
mod tests;
