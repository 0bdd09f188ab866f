//! Layers: what a topic's logs and a running broker go by.

use super::started_with;
use crate::config::*;

fn set(pairs: &[(&str, &str)]) -> ConfigOverrides {
    pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// The `retention.ms` that a file, dynamic settings of all brokers, of this broker and of the topic come to.
#[track_caller]
fn check_retention(file: &str, all: &[(&str, &str)], one: &[(&str, &str)], topic: &[(&str, &str)], expected: i64) {
    let log_config = started_with(file).log_config(&set(all), &set(one), &set(topic));
    assert_eq!(log_config.retention_ms, expected);
}

#[test]
fn retention_has_many_names() {
    const HOUR: i64 = 3_600_000;
    check_retention("", &[], &[], &[], 168 * HOUR);
    check_retention("log.retention.hours=2", &[], &[], &[], 2 * HOUR);
    check_retention("log.retention.hours=2\nlog.retention.minutes=3", &[], &[], &[], 180_000);
    check_retention("log.retention.hours=2\nlog.retention.minutes=3\nlog.retention.ms=4", &[], &[], &[], 4);
    check_retention("log.retention.ms=4", &[("log.retention.ms", "5")], &[], &[], 5);
    check_retention("", &[("log.retention.ms", "5")], &[("log.retention.ms", "6")], &[], 6);
    check_retention("", &[("log.retention.ms", "5")], &[("log.retention.ms", "6")], &[("retention.ms", "7")], 7);
    check_retention("log.retention.hours=-1", &[], &[], &[], -1);
    check_retention("log.retention.ms=-5", &[], &[], &[], -1);
    check_retention("log.retention.hours=2147483647", &[], &[], &[], 2_147_483_647 * HOUR);
}

#[test]
fn stored_nonsense_is_passed_over() {
    check_retention("", &[], &[], &[("retention.ms", "nonsense")], 604_800_000);
    check_retention("", &[("log.retention.ms", "nonsense")], &[], &[], 604_800_000);
    let config = started_with("max.connections=5");
    let nonsense = set(&[("max.connections", "x"), ("max.connections.per.ip.overrides", "x")]);
    let dynamic = config.dynamic_config(&nonsense, &nonsense);
    assert_eq!(dynamic.max_connections, 5);
    assert!(dynamic.max_connections_per_ip_overrides.is_empty());
}

#[test]
fn a_topics_settings_are_typed() {
    let topic = set(&[
        ("cleanup.policy", "compact, delete"),
        ("compression.type", "gzip"),
        ("message.timestamp.type", "LogAppendTime"),
        ("min.cleanable.dirty.ratio", "0.25"),
        ("flush.before.ack", "False"),
        ("segment.bytes", " 2000000 "),
    ]);
    let none = ConfigOverrides::new();
    let config = started_with("compression.gzip.level=4\nmin.insync.replicas=2").log_config(&none, &none, &topic);
    assert_eq!(config.cleanup_policy, CleanupPolicy { delete: true, compact: true });
    assert_eq!((config.compression_type, config.compression_level()), (CompressionType::Gzip, Some(4)));
    assert_eq!(config.message_timestamp_type, TimestampType::LogAppendTime);
    assert!((config.min_cleanable_dirty_ratio - 0.25).abs() < f64::EPSILON);
    assert!(!config.flush_before_ack);
    assert_eq!((config.segment_bytes, config.min_insync_replicas), (2_000_000, 2));
    let small = set(&[("internal.segment.bytes", "100"), ("segment.bytes", "2000000"), ("cleanup.policy", "")]);
    let config = BrokerConfig::default().log_config(&none, &none, &small);
    assert_eq!(config.segment_bytes, 100);
    assert_eq!(config.cleanup_policy, CleanupPolicy { delete: false, compact: false });
}

#[test]
fn kafkas_defaults() {
    let config = LogConfig::default();
    assert_eq!((config.segment_bytes, config.segment_ms, config.retention_bytes), (1 << 30, 604_800_000, -1));
    assert_eq!((config.max_message_bytes, config.segment_index_bytes), (1_048_588, 10 << 20));
    assert_eq!((config.compression_type, config.compression_level()), (CompressionType::Producer, None));
    assert_eq!((config.flush_messages, config.flush_ms), (i64::MAX, i64::MAX));
    assert!(config.flush_before_ack && config.cleanup_policy.delete && !config.cleanup_policy.compact);
}

#[test]
fn a_running_broker_changes() {
    let config = started_with("max.connections=5\nlistener.name.plaintext.max.connections=4");
    let none = ConfigOverrides::new();
    let at_start = config.dynamic_config(&none, &none);
    assert_eq!((at_start.max_connections, at_start.max_connections_per_ip), (5, 2_147_483_647));
    assert_eq!(at_start.listener_limits["PLAINTEXT"].max_connections, Some(4));
    let all = set(&[("max.connections", "6"), ("max.connections.per.ip.overrides", "a:1,::1:2")]);
    let changed = config.dynamic_config(&all, &none);
    assert_eq!(changed.max_connections, 6);
    assert_eq!(changed.max_connections_per_ip_overrides["::1"], 2);
    let one = set(&[("max.connections", "7")]);
    assert_eq!(config.dynamic_config(&all, &one).max_connections, 7);
}
