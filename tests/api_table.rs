//! The APIs that this build serves against those of Apache Kafka 4.4: every difference is named here, with its reason.
//! A difference without a reason fails, and so does a reason without a difference.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use ottla::api::TABLE;

/// What Kafka serves: `tests/kafka_4_4_apis.tsv`.
const KAFKA: &str = include_str!("kafka_4_4_apis.tsv");

const REMOVED: &str = "Kafka 4.0 removed it";
const KRAFT: &str = "spoken between Kafka's controllers and brokers; here the metadata store is in its place";
const QUORUM: &str = "there are no voters to add or remove: the metadata store has its own members";
const SECURITY: &str = "security is not there yet";
const TRANSACTIONS: &str = "transactions are not there yet";
const STREAMS_GROUPS: &str = "streams groups are not there yet";
const SHARE_STATE: &str = "the share coordinator lies in the same process as those who ask it";

/// APIs of Kafka that are not served.
const NOT_SERVED: &[(i16, &str)] = &[
    (4, REMOVED),
    (5, REMOVED),
    (6, REMOVED),
    (7, REMOVED),
    (17, SECURITY),
    (24, TRANSACTIONS),
    (25, TRANSACTIONS),
    (26, TRANSACTIONS),
    (27, TRANSACTIONS),
    (28, TRANSACTIONS),
    (29, SECURITY),
    (30, SECURITY),
    (31, SECURITY),
    (36, SECURITY),
    (38, SECURITY),
    (39, SECURITY),
    (40, SECURITY),
    (41, SECURITY),
    (51, SECURITY),
    (52, KRAFT),
    (53, KRAFT),
    (54, KRAFT),
    (56, KRAFT),
    (58, KRAFT),
    (59, KRAFT),
    (62, KRAFT),
    (63, KRAFT),
    (65, TRANSACTIONS),
    (66, TRANSACTIONS),
    (67, KRAFT),
    (70, KRAFT),
    (73, KRAFT),
    (80, QUORUM),
    (81, QUORUM),
    (82, KRAFT),
    (83, SHARE_STATE),
    (84, SHARE_STATE),
    (85, SHARE_STATE),
    (86, SHARE_STATE),
    (87, SHARE_STATE),
    (88, STREAMS_GROUPS),
    (89, STREAMS_GROUPS),
    (93, STREAMS_GROUPS),
    (94, QUORUM),
];

/// APIs that are served in other versions than Kafka's.
const OTHER_VERSIONS: &[(i16, RangeInclusive<i16>, &str)] = &[];

/// One API of Kafka.
#[derive(Debug)]
struct Fact {
    name: &'static str,
    versions: Option<RangeInclusive<i16>>,
    /// 1: core, 2: to be a drop-in, 3: later, -: not for clients.
    priority: &'static str,
}

fn facts() -> BTreeMap<i16, Fact> {
    let lines = KAFKA.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let [key, name, versions, priority] = fields[..] else { panic!("not four fields: {line}") };
            let versions = (versions != "none").then(|| {
                let (min, max) = versions.split_once('-').unwrap_or((versions, versions));
                min.parse().unwrap()..=max.parse().unwrap()
            });
            (key.parse().unwrap(), Fact { name, versions, priority })
        })
        .collect()
}

#[test]
fn every_difference_from_kafka_has_its_reason() {
    let facts = facts();
    let mut complaints = Vec::new();
    for row in TABLE {
        let Some(fact) = facts.get(&row.key) else {
            complaints.push(format!("{} ({}) is no API of Kafka", row.name, row.key));
            continue;
        };
        if fact.name != row.name {
            complaints.push(format!("{} is called {}", row.name, fact.name));
        }
        let named = OTHER_VERSIONS.iter().find(|(key, ..)| *key == row.key);
        let same = fact.versions.as_ref() == Some(&row.versions);
        match named {
            None if !same => {
                complaints.push(format!("{}: {:?} is served, Kafka has {:?}", row.name, row.versions, fact.versions));
            }
            Some((_, versions, _)) if same || *versions != row.versions => {
                complaints
                    .push(format!("{}: {:?} is served, not {versions:?}: mend its row here", row.name, row.versions));
            }
            _ => {}
        }
    }
    for (key, fact) in &facts {
        let is_served = TABLE.iter().any(|row| row.key == *key);
        let reason = NOT_SERVED.iter().find(|(named, _)| named == key).map(|(_, reason)| *reason);
        match (is_served, reason) {
            (false, None) => {
                complaints.push(format!("{} ({key}), priority {}, is not served", fact.name, fact.priority));
            }
            (true, Some(_)) => complaints.push(format!("{} ({key}) is served: take its reason out", fact.name)),
            (false, Some(reason)) if (reason == REMOVED) != fact.versions.is_none() => {
                complaints.push(format!("{} ({key}) is not served for another reason", fact.name));
            }
            _ => {}
        }
    }
    for (key, _) in NOT_SERVED {
        assert!(facts.contains_key(key), "{key} is no API of Kafka");
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}
