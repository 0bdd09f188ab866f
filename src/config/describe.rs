//! DescribeConfigs: every key of a topic, a broker, a group or a subscription to metrics with its value, where the value
//! comes from, and what it would be otherwise.
//!
//! Tools go by the details, so the rules are Kafka's own, odd ones included: a topic key whose default comes from
//! `log.retention.hours` is shown as a default, because the chain of synonyms only begins at `log.retention.ms`.

use std::collections::{BTreeSet, HashSet};

use super::broker_config::topic_default;
use super::key::{Key, Scope, Synonym};
use super::keys::{CLIENT_METRICS_KEYS, GROUP_KEYS, TOPIC_KEYS, broker_key, broker_keys, synonyms_of, topic_key};
use super::layers::{ConfigSource, Layers, SET_LAYERS};
use super::load::{listener_base_key, split_listener_key};
use super::log_config::ConfigOverrides;

/// One key of a resource, as DescribeConfigs tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    pub name: String,
    /// `None` where there is no value, and where it is sensitive.
    pub value: Option<String>,
    pub is_read_only: bool,
    pub is_sensitive: bool,
    pub source: ConfigSource,
    /// The number of the type ([`Kind`](super::key::Kind)); 0 for a key that nobody knows.
    pub config_type: i8,
    pub documentation: Option<&'static str>,
    /// What is set for the key and its synonyms, strongest first.
    pub synonyms: Vec<ConfigSynonym>,
}

impl ConfigEntry {
    /// Nobody set it (the only source that version 0 of the request knows).
    pub fn is_default(&self) -> bool {
        self.source == ConfigSource::Default
    }
}

/// One place that sets a key, or a synonym of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigSynonym {
    pub name: String,
    pub value: Option<String>,
    pub source: ConfigSource,
}

/// Which keys a request asks for: all where it names none, and no error for a name that does not exist.
pub fn wanted<'a>(keys: impl IntoIterator<Item = &'a str>) -> impl Fn(&str) -> bool {
    // A set: a request may ask for a million of them, and each known key is looked for among them.
    let keys: HashSet<&str> = keys.into_iter().collect();
    move |name| keys.is_empty() || keys.contains(name)
}

/// A topic's keys, by name.
pub fn topic(layers: &Layers<'_>, overrides: &ConfigOverrides, wanted: impl Fn(&str) -> bool) -> Vec<ConfigEntry> {
    let known = TOPIC_KEYS.iter().filter(|key| !key.internal || overrides.contains_key(key.name)).map(|key| key.name);
    let stored = overrides.keys().map(String::as_str);
    let names: BTreeSet<&str> = known.chain(stored).filter(|name| wanted(name)).collect();
    names.into_iter().map(|name| topic_entry(layers, overrides, name)).collect()
}

/// A broker's keys, by name: all of the table, and whatever else is set.
pub fn broker(layers: &Layers<'_>, wanted: impl Fn(&str) -> bool) -> Vec<ConfigEntry> {
    let is_set = |name: &str| SET_LAYERS.iter().any(|&layer| layers.in_layer(layer, name).is_some());
    let known = broker_keys().filter(|key| !key.internal || is_set(key.name)).map(|key| key.name);
    let set = layers.config.settings.keys().chain(layers.cluster_default.keys()).chain(layers.broker.keys());
    let names: BTreeSet<&str> = known.chain(set.map(String::as_str)).filter(|name| wanted(name)).collect();
    names.into_iter().map(|name| broker_entry(layers, name, layers.effective(name), |_| true)).collect()
}

/// What is set for all brokers at run time (the BROKER resource with an empty name), and nothing else.
pub fn cluster_default(layers: &Layers<'_>, wanted: impl Fn(&str) -> bool) -> Vec<ConfigEntry> {
    let only_this = |source| source == ConfigSource::DynamicDefaultBroker;
    let set = layers.cluster_default.iter().filter(|(name, _)| wanted(name));
    set.map(|(name, value)| broker_entry(layers, name, Some(value), only_this)).collect()
}

/// A group's keys, by name.
pub fn group(layers: &Layers<'_>, overrides: &ConfigOverrides, wanted: impl Fn(&str) -> bool) -> Vec<ConfigEntry> {
    let keys = GROUP_KEYS.iter().filter(|key| wanted(key.name));
    keys.map(|key| group_entry(layers, overrides, key)).collect()
}

/// The keys of a subscription to clients' metrics, by name.
pub fn client_metrics(overrides: &ConfigOverrides, wanted: impl Fn(&str) -> bool) -> Vec<ConfigEntry> {
    let keys = CLIENT_METRICS_KEYS.iter().filter(|key| wanted(key.name));
    let describe = |key: &'static Key| {
        let own = own_setting(overrides, key.name, ConfigSource::DynamicClientMetrics);
        let value = overrides.get(key.name).cloned().or_else(|| key.default.map(str::to_owned));
        entry(key.name, Some(key), value, false, own.into_iter().collect())
    };
    keys.map(describe).collect()
}

/// The level of one logger, as a resource of its own kind.
pub fn logger(name: &str, level: &str) -> ConfigEntry {
    ConfigEntry {
        source: ConfigSource::DynamicBrokerLogger,
        is_sensitive: false,
        ..entry(name, None, Some(level.to_owned()), false, Vec::new())
    }
}

fn group_entry(layers: &Layers<'_>, overrides: &ConfigOverrides, key: &'static Key) -> ConfigEntry {
    let mut synonyms: Vec<_> = own_setting(overrides, key.name, ConfigSource::DynamicGroup).into_iter().collect();
    match key.synonyms {
        [first, ..] => synonyms.extend(broker_synonyms(layers, first.key, false)),
        [] => synonyms.push(ConfigSynonym {
            name: key.name.to_owned(),
            value: key.default.map(str::to_owned),
            source: ConfigSource::Default,
        }),
    }
    let value = overrides.get(key.name).cloned().or_else(|| topic_default(layers, key));
    entry(key.name, Some(key), value, false, synonyms)
}

fn own_setting(overrides: &ConfigOverrides, name: &str, source: ConfigSource) -> Option<ConfigSynonym> {
    let value = overrides.get(name)?;
    Some(ConfigSynonym { name: name.to_owned(), value: Some(value.clone()), source })
}

fn topic_entry(layers: &Layers<'_>, overrides: &ConfigOverrides, name: &str) -> ConfigEntry {
    let key = topic_key(name);
    let is_sensitive = is_sensitive(key);
    let own = overrides.get(name).cloned();
    let mut synonyms = Vec::new();
    if own.is_some() {
        let value = own.clone().filter(|_| !is_sensitive);
        synonyms.push(ConfigSynonym { name: name.to_owned(), value, source: ConfigSource::DynamicTopic });
    }
    if let Some([first, ..]) = key.map(|key| key.synonyms) {
        synonyms.extend(broker_synonyms(layers, first.key, is_sensitive));
    }
    let value = own.or_else(|| topic_default(layers, key?));
    entry(name, key, value.filter(|_| !is_sensitive), false, synonyms)
}

fn broker_entry(
    layers: &Layers<'_>,
    name: &str,
    value: Option<&str>,
    shows: impl Fn(ConfigSource) -> bool,
) -> ConfigEntry {
    let key = key_of(name);
    let is_sensitive = is_sensitive(key);
    let mut synonyms = broker_synonyms(layers, name, is_sensitive);
    synonyms.retain(|synonym| shows(synonym.source));
    // A key with a listener's prefix counts as read-only, as Kafka has it, although it can be set.
    let is_read_only = broker_key(name).is_none_or(|key| key.scope == Scope::ReadOnly);
    entry(name, key, value.filter(|_| !is_sensitive).map(str::to_owned), is_read_only, synonyms)
}

fn entry(
    name: &str,
    key: Option<&'static Key>,
    value: Option<String>,
    is_read_only: bool,
    synonyms: Vec<ConfigSynonym>,
) -> ConfigEntry {
    ConfigEntry {
        name: name.to_owned(),
        value,
        is_read_only,
        is_sensitive: is_sensitive(key),
        source: synonyms.first().map_or(ConfigSource::Default, |synonym| synonym.source),
        config_type: key.map_or(0, |key| key.kind as i8),
        documentation: key.map(|key| key.doc),
        synonyms,
    }
}

/// Secrets, and everything that nobody knows: it might be one.
pub(super) fn is_sensitive(key: Option<&'static Key>) -> bool {
    key.is_none_or(Key::is_sensitive)
}

/// The row of a broker key; for `listener.name.<listener>.<key>` that of the key.
pub(super) fn key_of(name: &str) -> Option<&'static Key> {
    broker_key(name).or_else(|| listener_base_key(split_listener_key(name)?.1))
}

/// All that is set for a broker key and the names that say the same, layer by layer, from the first mention of `name`
/// itself.
fn broker_synonyms(layers: &Layers<'_>, name: &str, is_sensitive: bool) -> Vec<ConfigSynonym> {
    let mut names: Vec<&str> = synonyms_of(name).iter().map(|synonym: &Synonym| synonym.key).collect();
    if names.is_empty() {
        names.push(name);
        names.extend(split_listener_key(name).and_then(|_| key_of(name)).map(|base| base.name));
    }
    let layers_in_order = SET_LAYERS.into_iter().chain([ConfigSource::Default]);
    let mentions = layers_in_order.flat_map(|source| {
        names.iter().filter_map(move |&name| Some((name, layers.in_layer(source, name)?, source)))
    });
    mentions
        .skip_while(|&(mentioned, ..)| mentioned != name)
        .map(|(name, value, source)| ConfigSynonym {
            name: name.to_owned(),
            value: (!is_sensitive).then(|| value.to_owned()),
            source,
        })
        .collect()
}

#[cfg(test)]
mod tests;
