//! [`LogConfig`]: what one topic's logs are configured to do, every layer resolved.

use std::collections::BTreeMap;

use tracing::warn;

use super::key::{Key, Synonym, Valid};
use super::keys::{TOPIC_KEYS, broker_key, topic_key};
use super::value::{self, parse_bool, parse_double, parse_integer, split_list};

/// Settings that somebody made for a topic, a broker or all brokers, at run time: key to value, as given.
pub type ConfigOverrides = BTreeMap<String, String>;

/// The configuration of a topic's logs. The default is Kafka's, and `flush.before.ack`.
#[derive(Clone, Debug, PartialEq)]
pub struct LogConfig {
    pub cleanup_policy: CleanupPolicy,
    pub compression_type: CompressionType,
    /// -1 is the codec's own default.
    pub compression_gzip_level: i32,
    pub compression_lz4_level: i32,
    pub compression_zstd_level: i32,
    pub delete_retention_ms: i64,
    pub file_delete_delay_ms: i64,
    /// acks=all waits until the record is synced to disk.
    pub flush_before_ack: bool,
    pub flush_messages: i64,
    pub flush_ms: i64,
    pub index_interval_bytes: i32,
    pub max_compaction_lag_ms: i64,
    pub min_compaction_lag_ms: i64,
    pub max_message_bytes: i32,
    pub message_timestamp_after_max_ms: i64,
    pub message_timestamp_before_max_ms: i64,
    pub message_timestamp_type: TimestampType,
    pub min_cleanable_dirty_ratio: f64,
    pub min_insync_replicas: i32,
    pub preallocate: bool,
    /// -1 is unlimited.
    pub retention_bytes: i64,
    /// -1 is forever.
    pub retention_ms: i64,
    /// `internal.segment.bytes` where set, `segment.bytes` otherwise.
    pub segment_bytes: i32,
    pub segment_index_bytes: i32,
    pub segment_jitter_ms: i64,
    pub segment_ms: i64,
    pub unclean_leader_election_enable: bool,
}

/// `cleanup.policy`: either, both, or neither (segments are then kept for ever).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanupPolicy {
    pub delete: bool,
    pub compact: bool,
}

/// `compression.type`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CompressionType {
    /// Batches are kept as the producer compressed them.
    #[default]
    Producer,
    Uncompressed,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// `message.timestamp.type`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimestampType {
    #[default]
    CreateTime,
    LogAppendTime,
}

impl LogConfig {
    /// The level to recompress with; `None` is the codec's own default.
    pub fn compression_level(&self) -> Option<i32> {
        match self.compression_type {
            CompressionType::Gzip => Some(self.compression_gzip_level).filter(|&level| level != -1),
            CompressionType::Lz4 => Some(self.compression_lz4_level),
            CompressionType::Zstd => Some(self.compression_zstd_level),
            CompressionType::Producer | CompressionType::Uncompressed | CompressionType::Snappy => None,
        }
    }

    /// `segment.ms`; what is compacted is closed in time for `max.compaction.lag.ms`.
    pub fn max_segment_ms(&self) -> i64 {
        if self.cleanup_policy.compact { self.segment_ms.min(self.max_compaction_lag_ms) } else { self.segment_ms }
    }

    /// The configuration that `value_of` gives key by key; a value that is not valid counts as not given.
    pub(super) fn resolve(value_of: impl Fn(&'static Key) -> Option<String>) -> Self {
        let values = TOPIC_KEYS.iter().map(|key| (key.name, valid_or_default(key, value_of(key)))).collect();
        Self::from_values(&Values(values))
    }

    fn from_values(values: &Values) -> Self {
        let policies = values.list("cleanup.policy");
        Self {
            cleanup_policy: CleanupPolicy {
                delete: policies.contains(&"delete"),
                compact: policies.contains(&"compact"),
            },
            compression_type: values.word("compression.type", CompressionType::from_name),
            compression_gzip_level: values.int("compression.gzip.level"),
            compression_lz4_level: values.int("compression.lz4.level"),
            compression_zstd_level: values.int("compression.zstd.level"),
            delete_retention_ms: values.long("delete.retention.ms"),
            file_delete_delay_ms: values.long("file.delete.delay.ms"),
            flush_before_ack: values.boolean("flush.before.ack"),
            flush_messages: values.long("flush.messages"),
            flush_ms: values.long("flush.ms"),
            index_interval_bytes: values.int("index.interval.bytes"),
            max_compaction_lag_ms: values.long("max.compaction.lag.ms"),
            min_compaction_lag_ms: values.long("min.compaction.lag.ms"),
            max_message_bytes: values.int("max.message.bytes"),
            message_timestamp_after_max_ms: values.long("message.timestamp.after.max.ms"),
            message_timestamp_before_max_ms: values.long("message.timestamp.before.max.ms"),
            message_timestamp_type: values.word("message.timestamp.type", TimestampType::from_name),
            min_cleanable_dirty_ratio: values.double("min.cleanable.dirty.ratio"),
            min_insync_replicas: values.int("min.insync.replicas"),
            preallocate: values.boolean("preallocate"),
            retention_bytes: values.long("retention.bytes").max(-1),
            retention_ms: values.long("retention.ms"),
            segment_bytes: values
                .optional_int("internal.segment.bytes")
                .unwrap_or_else(|| values.int("segment.bytes")),
            segment_index_bytes: values.int("segment.index.bytes"),
            segment_jitter_ms: values.long("segment.jitter.ms"),
            segment_ms: values.long("segment.ms"),
            unclean_leader_election_enable: values.boolean("unclean.leader.election.enable"),
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self::resolve(|_| None)
    }
}

impl CompressionType {
    /// The type that `compression.type` calls so.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "producer" => Self::Producer,
            "uncompressed" => Self::Uncompressed,
            "gzip" => Self::Gzip,
            "snappy" => Self::Snappy,
            "lz4" => Self::Lz4,
            "zstd" => Self::Zstd,
            _ => return None,
        })
    }
}

impl TimestampType {
    /// The type that `message.timestamp.type` calls so.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "CreateTime" => Some(Self::CreateTime),
            "LogAppendTime" => Some(Self::LogAppendTime),
            _ => None,
        }
    }
}

/// `value` of a broker's key in the units of the topic's key that takes its default from there.
pub(super) fn in_topic_units(synonym: &Synonym, value: &str) -> String {
    let is_unlimited = broker_key(synonym.key).is_some_and(|key| key.valid == Valid::UnlimitedOrPositive);
    match value.trim().parse::<i64>() {
        // "No limit" is the same in every unit.
        Ok(number) if number < 0 && is_unlimited => "-1".to_owned(),
        Ok(number) if synonym.unit != 1 => number.saturating_mul(synonym.unit).to_string(),
        _ => value.to_owned(),
    }
}

/// What an earlier version stored, or another tool wrote into the store, may be wrong: it must not stop a log.
fn valid_or_default(key: &'static Key, value: Option<String>) -> Option<String> {
    let stored = value.filter(|text| {
        let checked = value::check(key, text);
        if let Err(error) = &checked {
            warn!(key = key.name, %error, "stored configuration ignored, the default is used");
        }
        checked.is_ok()
    });
    stored.or_else(|| key.default.map(str::to_owned))
}

/// Checked values of every topic key: reading one can only fail by a bug in the table, which a test rules out.
struct Values(BTreeMap<&'static str, Option<String>>);

impl Values {
    fn optional(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(|value| value.as_deref()).map(str::trim)
    }

    fn text(&self, name: &str) -> &str {
        self.optional(name).unwrap_or_else(|| panic!("topic key {name} has a default"))
    }

    fn long(&self, name: &str) -> i64 {
        let key = topic_key(name).unwrap_or_else(|| panic!("{name} is a topic key"));
        parse_integer(key.kind, self.text(name)).unwrap_or_else(|| panic!("{name} was checked to be a number"))
    }

    fn int(&self, name: &str) -> i32 {
        self.long(name) as i32
    }

    fn optional_int(&self, name: &str) -> Option<i32> {
        self.optional(name).map(|_| self.int(name))
    }

    fn double(&self, name: &str) -> f64 {
        parse_double(self.text(name)).unwrap_or_else(|| panic!("{name} was checked to be a number"))
    }

    fn boolean(&self, name: &str) -> bool {
        parse_bool(self.text(name)).unwrap_or_else(|| panic!("{name} was checked to be true or false"))
    }

    fn list(&self, name: &str) -> Vec<&str> {
        split_list(self.text(name))
    }

    fn word<T>(&self, name: &str, from_name: impl Fn(&str) -> Option<T>) -> T {
        from_name(self.text(name)).unwrap_or_else(|| panic!("{name} was checked to be one of its words"))
    }
}
