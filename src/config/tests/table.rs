//! The table: complete, and every row consistent.

use std::collections::BTreeSet;

use crate::config::keys::{BROKER_AREAS, CLIENT_METRICS_KEYS, GROUP_KEYS, TOPIC_KEYS, broker_key, broker_keys};
use crate::config::*;

#[test]
fn the_table_is_complete() {
    // Kafka 4.3.1: 34 and 360; with Ottla's own and the three throttles that are only ever set dynamically.
    assert_eq!(TOPIC_KEYS.len(), 34 + 1);
    assert_eq!((GROUP_KEYS.len(), CLIENT_METRICS_KEYS.len()), (17, 3));
    assert_eq!(broker_keys().count(), 360 + 4 + 3);
    assert_eq!(broker_keys().map(|key| key.name).collect::<BTreeSet<_>>().len(), 367);
}

#[test]
fn every_row_holds_together() {
    for key in broker_keys().chain(TOPIC_KEYS).chain(GROUP_KEYS).chain(CLIENT_METRICS_KEYS) {
        if let Some(default) = key.default {
            value::check(key, default).unwrap();
        }
        assert!(key.doc.ends_with('.'), "{}", key.name);
        for synonym in key.synonyms {
            assert_eq!(broker_key(synonym.key).unwrap().kind == key.kind, synonym.unit == 1, "{}", key.name);
        }
    }
    assert!(BROKER_AREAS.iter().all(|area| !area.keys.is_empty()));
}

#[test]
fn defaults_are_the_same_for_a_topic_and_its_broker() {
    let config = BrokerConfig::default();
    let none = ConfigOverrides::new();
    assert_eq!(config.log_config(&none, &none, &none), LogConfig::default());
    for key in TOPIC_KEYS {
        let from_broker = key.synonyms.iter().find_map(|synonym| {
            let value = broker_key(synonym.key).unwrap().default?;
            Some(crate::config::log_config::in_topic_units(synonym, value))
        });
        if let Some(value) = from_broker {
            assert_eq!(Some(value.as_str()), key.default, "{}", key.name);
        }
    }
}
