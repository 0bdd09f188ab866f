//! The table: every key of a broker, a topic, a group and a subscription to clients' metrics, split by area, one row
//! each.
//!
//! Names, types, defaults and ranges are Kafka 4.3's. Where Ottla differs, the key is its own
//! (`metadata`, `admin.listeners`, `log.flush.before.ack`, `log.scrub.bytes.per.second`, topic `flush.before.ack`) or the default
//! lets it start with nothing given (`node.id`, `process.roles`, `listeners`, `log.dir`).

mod cleaner;
mod client_metrics;
mod group;
mod groups;
mod kraft;
mod listeners;
mod log;
mod node;
mod quotas;
mod remote;
mod replication;
mod rows;
mod sasl;
mod security;
mod share_groups;
mod tls;
mod topic;
mod topics;
mod transactions;

use std::collections::HashMap;
use std::sync::LazyLock;

use super::key::{Key, Synonym};

/// A part of the table under its heading, in the order of the documentation.
pub struct Area {
    pub title: &'static str,
    pub keys: &'static [Key],
}

/// The broker's keys by area.
pub const BROKER_AREAS: &[Area] = &[
    Area { title: "The node", keys: node::KEYS },
    Area { title: "Listeners and connections", keys: listeners::KEYS },
    Area { title: "Logs", keys: log::KEYS },
    Area { title: "Log cleaner", keys: cleaner::KEYS },
    Area { title: "Topics and requests", keys: topics::KEYS },
    Area { title: "Replication", keys: replication::KEYS },
    Area { title: "Groups and offsets", keys: groups::KEYS },
    Area { title: "Share groups", keys: share_groups::KEYS },
    Area { title: "Transactions", keys: transactions::KEYS },
    Area { title: "Quotas", keys: quotas::KEYS },
    Area { title: "Security", keys: security::KEYS },
    Area { title: "TLS", keys: tls::KEYS },
    Area { title: "SASL", keys: sasl::KEYS },
    Area { title: "Remote storage", keys: remote::KEYS },
    Area { title: "KRaft", keys: kraft::KEYS },
];

/// The keys of a topic, in the order of their names.
pub const TOPIC_KEYS: &[Key] = topic::KEYS;

/// The keys of a group, in the order of their names.
pub const GROUP_KEYS: &[Key] = group::KEYS;

/// The keys of a subscription to clients' metrics (KIP-714), in the order of their names.
pub const CLIENT_METRICS_KEYS: &[Key] = client_metrics::KEYS;

static BROKER_BY_NAME: LazyLock<HashMap<&'static str, &'static Key>> =
    LazyLock::new(|| broker_keys().map(|key| (key.name, key)).collect());

static TOPIC_BY_NAME: LazyLock<HashMap<&'static str, &'static Key>> =
    LazyLock::new(|| TOPIC_KEYS.iter().map(|key| (key.name, key)).collect());

/// For each broker key that topics take a default from: the whole chain it belongs to.
static CHAINS: LazyLock<HashMap<&'static str, &'static [Synonym]>> = LazyLock::new(|| {
    let chains = TOPIC_KEYS.iter().map(|topic| topic.synonyms);
    chains.flat_map(|chain| chain.iter().map(move |synonym| (synonym.key, chain))).collect()
});

/// Every broker key.
pub fn broker_keys() -> impl Iterator<Item = &'static Key> {
    BROKER_AREAS.iter().flat_map(|area| area.keys)
}

/// The broker key of this name.
pub fn broker_key(name: &str) -> Option<&'static Key> {
    BROKER_BY_NAME.get(name).copied()
}

/// The topic key of this name.
pub fn topic_key(name: &str) -> Option<&'static Key> {
    TOPIC_BY_NAME.get(name).copied()
}

/// The group key of this name.
pub fn group_key(name: &str) -> Option<&'static Key> {
    find(GROUP_KEYS, name)
}

/// The key of a subscription to clients' metrics of this name.
pub fn client_metrics_key(name: &str) -> Option<&'static Key> {
    find(CLIENT_METRICS_KEYS, name)
}

fn find(sorted: &'static [Key], name: &str) -> Option<&'static Key> {
    sorted.binary_search_by(|key| key.name.cmp(name)).ok().map(|at| &sorted[at])
}

/// The names that say the same as the broker key `name` in other units, itself among them, strongest first:
/// `log.retention.ms`, `log.retention.minutes`, `log.retention.hours`. Empty for a key without such names.
pub fn synonyms_of(name: &str) -> &'static [Synonym] {
    CHAINS.get(name).copied().unwrap_or_default()
}
