use std::time::Duration;

use super::*;
use crate::config::keys::GROUP_KEYS;
use crate::config::{Sources, load};

fn started_with(file: &str) -> BrokerConfig {
    load(&Sources { file: Some(("f".into(), file.to_owned())), ..Sources::default() }).unwrap().config
}

fn set(pairs: &[(&str, &str)]) -> ConfigOverrides {
    pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[test]
fn kafkas_defaults() {
    let config = GroupConfig::default();
    assert_eq!((config.consumer_session_timeout_ms, config.consumer_heartbeat_interval_ms), (45_000, 5_000));
    assert_eq!((config.share_session_timeout_ms, config.share_record_lock_duration_ms), (45_000, 30_000));
    assert_eq!((config.share_delivery_count_limit, config.share_partition_max_record_locks), (5, 2_000));
    assert_eq!(config.share_auto_offset_reset, ShareAutoOffsetReset::Latest);
    assert!(!config.share_reads_committed && config.share_renew_acknowledge_enable);
    assert_eq!((config.consumer_assignment_interval_ms, config.streams_initial_rebalance_delay_ms), (1_000, 3_000));
}

#[test]
fn the_nearest_layer_wins() {
    let config = started_with("group.consumer.session.timeout.ms=50000");
    let (none, group) = (ConfigOverrides::new(), set(&[("consumer.session.timeout.ms", "55000")]));
    assert_eq!(config.group_config(&none, &none, &none).consumer_session_timeout_ms, 50_000);
    assert_eq!(config.group_config(&none, &none, &group).consumer_session_timeout_ms, 55_000);
    let key = "group.share.assignment.interval.ms";
    let (all, one) = (set(&[(key, "2000")]), set(&[(key, "3000")]));
    assert_eq!(config.group_config(&all, &none, &none).share_assignment_interval_ms, 2_000);
    assert_eq!(config.group_config(&all, &one, &none).share_assignment_interval_ms, 3_000);
    let own = set(&[("share.assignment.interval.ms", "4000")]);
    assert_eq!(config.group_config(&all, &one, &own).share_assignment_interval_ms, 4_000);
}

#[test]
fn a_group_stays_within_the_brokers_bounds() {
    let config = started_with("group.share.max.delivery.count.limit=6\ngroup.consumer.min.session.timeout.ms=40000");
    let none = ConfigOverrides::new();
    let group = set(&[("share.delivery.count.limit", "10"), ("consumer.session.timeout.ms", "10")]);
    let resolved = config.group_config(&none, &none, &group);
    assert_eq!((resolved.share_delivery_count_limit, resolved.consumer_session_timeout_ms), (6, 40_000));
}

#[test]
fn words() {
    let group = set(&[
        ("share.auto.offset.reset", "by_duration:PT1M"),
        ("share.isolation.level", "read_committed"),
        ("share.renew.acknowledge.enable", "False"),
        ("consumer.session.timeout.ms", "nonsense"),
    ]);
    let none = ConfigOverrides::new();
    let config = BrokerConfig::default().group_config(&none, &none, &group);
    assert_eq!(config.share_auto_offset_reset, ShareAutoOffsetReset::ByDuration(Duration::from_mins(1)));
    assert!(config.share_reads_committed && !config.share_renew_acknowledge_enable);
    assert_eq!(config.consumer_session_timeout_ms, 45_000);
}

#[test]
fn every_bound_names_keys() {
    assert!(GROUP_KEYS.is_sorted_by_key(|key| key.name));
    for bound in BOUNDS {
        assert!(group_key(bound.key).is_some(), "{}", bound.key);
        for name in bound.min.iter().chain([&bound.max]) {
            assert!(broker_key(name).is_some(), "{name}");
        }
    }
    for key in GROUP_KEYS {
        assert_eq!(value::check(key, key.default.unwrap()), Ok(()));
        let of_broker = key.synonyms.first().and_then(|synonym| broker_key(synonym.key)?.default);
        assert!(of_broker.is_none_or(|default| Some(default) == key.default), "{}", key.name);
    }
}
