//! AlterConfigs, IncrementalAlterConfigs and the settings of CreateTopics: from what is set and what is asked for to
//! what will be set, or Kafka's answer why not. Nothing is changed here: the caller stores the result.

use std::collections::BTreeSet;

use super::broker_config::{CheckedValues, topic_default};
use super::checks;
use super::describe::key_of;
use super::key::{Key, Scope, Support};
use super::keys::{TOPIC_KEYS, broker_key, synonyms_of, topic_key};
use super::layers::Layers;
use super::load::{is_harmless, listener_base_key, names_a_provider, split_listener_key};
use super::log_config::ConfigOverrides;
use super::reasons::PROVIDERS;
use super::sources::{Origin, Setting, Settings};
use super::value::{self, InvalidValue, parse_bool};
use crate::error::ErrorCode;
use crate::ids::BrokerId;

/// Why settings are not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AlterError {
    #[error("{0}")]
    InvalidConfig(String),
    #[error("{0}")]
    InvalidRequest(String),
}

impl AlterError {
    /// The error code on the wire.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::InvalidConfig(_) => ErrorCode::InvalidConfig,
            Self::InvalidRequest(_) => ErrorCode::InvalidRequest,
        }
    }
}

/// What IncrementalAlterConfigs does to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Set,
    Delete,
    /// Adds the elements of a list that are not in it yet.
    Append,
    /// Takes elements off a list.
    Subtract,
}

impl Operation {
    /// Whether a key can be changed so: elements are added to lists, and taken from them.
    fn fits(self, key: Option<&Key>) -> bool {
        match self {
            Self::Set | Self::Delete => true,
            Self::Append | Self::Subtract => key.is_some_and(Key::is_list),
        }
    }
}

impl TryFrom<i8> for Operation {
    type Error = AlterError;

    /// From the number on the wire.
    fn try_from(number: i8) -> Result<Self, AlterError> {
        match number {
            0 => Ok(Self::Set),
            1 => Ok(Self::Delete),
            2 => Ok(Self::Append),
            3 => Ok(Self::Subtract),
            _ => Err(AlterError::InvalidRequest(format!("Unknown operations type {number}"))),
        }
    }
}

/// One key of an IncrementalAlterConfigs request.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    pub key: &'a str,
    pub operation: Operation,
    pub value: Option<&'a str>,
}

/// Whose dynamic settings a BROKER resource means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerTarget {
    ThisBroker,
    AllBrokers,
}

/// Whom a BROKER resource of this name means, asked at broker `this`.
pub fn broker_target(name: &str, this: BrokerId) -> Result<BrokerTarget, AlterError> {
    if name.is_empty() {
        return Ok(BrokerTarget::AllBrokers);
    }
    match name.parse::<i32>() {
        Ok(id) if id == this.0 => Ok(BrokerTarget::ThisBroker),
        Ok(_) => {
            Err(AlterError::InvalidRequest(format!("Unexpected broker id, expected {this}, but received {name}")))
        }
        Err(_) => Err(AlterError::InvalidRequest(format!("Node id must be an integer, but it is: {name}"))),
    }
}

/// The settings of a topic that is being created.
pub fn create_topic(layers: &Layers<'_>, settings: &[(&str, Option<&str>)]) -> Result<ConfigOverrides, AlterError> {
    let nulls: Vec<_> = settings.iter().filter(|(_, value)| value.is_none()).map(|&(key, _)| key).collect();
    if !nulls.is_empty() {
        let message = format!("Null value not supported for topic configs: {}", nulls.join(","));
        return Err(AlterError::InvalidConfig(message));
    }
    let given = settings.iter().filter_map(|&(key, value)| Some((key.to_owned(), value?.to_owned())));
    let overrides = given.collect();
    check_topic(layers, &overrides)?;
    Ok(overrides)
}

/// AlterConfigs on a topic: `settings` in place of all it has.
pub fn replace_topic(layers: &Layers<'_>, settings: &[(&str, Option<&str>)]) -> Result<ConfigOverrides, AlterError> {
    let overrides = replacement(settings)?;
    check_topic(layers, &overrides)?;
    Ok(overrides)
}

/// IncrementalAlterConfigs on a topic.
pub fn change_topic(
    layers: &Layers<'_>,
    current: &ConfigOverrides,
    changes: &[Change<'_>],
) -> Result<ConfigOverrides, AlterError> {
    check_form(changes.iter().map(|change| change.key), &nulls(changes))?;
    let mut overrides = current.clone();
    for change in changes {
        let key = topic_key(change.key);
        if !change.operation.fits(key) {
            let verb = if change.operation == Operation::Append { "APPEND" } else { "SUBTRACT" };
            let message = format!("Can't {verb} to key {} because its type is not LIST.", change.key);
            return Err(AlterError::InvalidConfig(message));
        }
        apply(&mut overrides, change, key);
    }
    check_topic(layers, &overrides)?;
    Ok(overrides)
}

/// AlterConfigs on a broker or all brokers: `settings` in place of all that is set dynamically.
pub fn replace_broker(
    layers: &Layers<'_>,
    target: BrokerTarget,
    settings: &[(&str, Option<&str>)],
) -> Result<ConfigOverrides, AlterError> {
    let overrides = replacement(settings)?;
    check_broker(layers, target, &overrides)?;
    Ok(overrides)
}

/// IncrementalAlterConfigs on a broker or all brokers.
pub fn change_broker(
    layers: &Layers<'_>,
    target: BrokerTarget,
    changes: &[Change<'_>],
) -> Result<ConfigOverrides, AlterError> {
    check_form(changes.iter().map(|change| change.key), &nulls(changes))?;
    let mut overrides = match target {
        BrokerTarget::ThisBroker => layers.broker.clone(),
        BrokerTarget::AllBrokers => layers.cluster_default.clone(),
    };
    for change in changes {
        let key = broker_key(change.key);
        if !change.operation.fits(key) {
            let verb = if change.operation == Operation::Append { "append" } else { "subtract" };
            return Err(AlterError::InvalidConfig(match key {
                None => format!("Unknown config name: {}", change.key),
                Some(_) => format!("Config value {verb} is not allowed for config key: {}", change.key),
            }));
        }
        apply(&mut overrides, change, key);
    }
    check_broker(layers, target, &overrides)?;
    Ok(overrides)
}

fn nulls<'a>(changes: &[Change<'a>]) -> Vec<&'a str> {
    let is_null = |change: &&Change<'_>| change.operation != Operation::Delete && change.value.is_none();
    changes.iter().filter(is_null).map(|change| change.key).collect()
}

fn check_form<'a>(keys: impl Iterator<Item = &'a str>, nulls: &[&str]) -> Result<(), AlterError> {
    let mut seen = BTreeSet::new();
    for key in keys {
        if !seen.insert(key) {
            return Err(AlterError::InvalidRequest("Error due to duplicate config keys".to_owned()));
        }
    }
    if nulls.is_empty() {
        return Ok(());
    }
    Err(AlterError::InvalidRequest(format!("Null value not supported for : {}", nulls.join(", "))))
}

fn replacement(settings: &[(&str, Option<&str>)]) -> Result<ConfigOverrides, AlterError> {
    let nulls: Vec<_> = settings.iter().filter(|(_, value)| value.is_none()).map(|&(key, _)| key).collect();
    check_form(settings.iter().map(|&(key, _)| key), &nulls)?;
    let given = settings.iter().filter_map(|&(key, value)| Some((key.to_owned(), value?.to_owned())));
    Ok(given.collect())
}

/// A list is changed from its default, where nothing is set.
fn apply(overrides: &mut ConfigOverrides, change: &Change<'_>, key: Option<&'static Key>) {
    let value = change.value.unwrap_or_default();
    let default = key.and_then(|key| key.default).unwrap_or_default();
    let list = elements(overrides.get(change.key).map_or(default, String::as_str));
    let new_value = match change.operation {
        Operation::Delete => {
            overrides.remove(change.key);
            return;
        }
        Operation::Set => value.to_owned(),
        Operation::Append => {
            let added = elements(value).into_iter().filter(|element| !list.contains(element));
            list.iter().copied().chain(added).collect::<Vec<_>>().join(",")
        }
        Operation::Subtract => {
            let taken = elements(value);
            list.into_iter().filter(|element| !taken.contains(element)).collect::<Vec<_>>().join(",")
        }
    };
    overrides.insert(change.key.to_owned(), new_value);
}

fn elements(text: &str) -> Vec<&str> {
    text.split(',').filter(|element| !element.is_empty()).collect()
}

fn check_topic(layers: &Layers<'_>, overrides: &ConfigOverrides) -> Result<(), AlterError> {
    if let Some(unknown) = overrides.keys().find(|name| topic_key(name).is_none()) {
        return Err(AlterError::InvalidConfig(format!("Unknown topic config name: {unknown}")));
    }
    for key in TOPIC_KEYS {
        let Some(value) = overrides.get(key.name) else { continue };
        value::check(key, value).map_err(|error| AlterError::InvalidConfig(error.to_string()))?;
    }
    let value_of = |name: &str| {
        let default = || topic_default(layers, topic_key(name)?);
        overrides.get(name).cloned().or_else(default).unwrap_or_default()
    };
    check_compaction_lag(&value_of)?;
    if parse_bool(&value_of("remote.storage.enable")) == Some(true) {
        let message = "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote \
                       log storage.";
        return Err(AlterError::InvalidConfig(message.to_owned()));
    }
    Ok(())
}

fn check_compaction_lag(value_of: &impl Fn(&str) -> String) -> Result<(), AlterError> {
    let number = |name: &str| value_of(name).trim().parse::<i64>().ok();
    let (Some(min), Some(max)) = (number("min.compaction.lag.ms"), number("max.compaction.lag.ms")) else {
        return Ok(());
    };
    if min <= max {
        return Ok(());
    }
    let message =
        format!("conflict topic config setting min.compaction.lag.ms ({min}) > max.compaction.lag.ms ({max})");
    Err(AlterError::InvalidConfig(message))
}

/// Certificates belong to a listener; without one, Kafka does not know which to renew.
const PER_LISTENER_ONLY: &[&str] = &["ssl.keystore.", "ssl.truststore.", "ssl.key."];

fn check_broker(layers: &Layers<'_>, target: BrokerTarget, overrides: &ConfigOverrides) -> Result<(), AlterError> {
    let refuse = |problem: &str, names: Vec<&str>| match names.as_slice() {
        [] => Ok(()),
        names => Err(AlterError::InvalidRequest(format!("{problem}: [{}]", names.join(", ")))),
    };
    let names_where = |condition: &dyn Fn(&str) -> bool| {
        overrides.keys().map(String::as_str).filter(|name| condition(name)).collect::<Vec<_>>()
    };
    let has_scope = |name: &str, scope| broker_key(name).is_some_and(|key| key.scope == scope);

    refuse("Cannot update these configs dynamically", names_where(&|name| has_scope(name, Scope::ReadOnly)))?;
    refuse(
        "These security configs can be dynamically updated only per-listener using the listener prefix",
        names_where(&|name| {
            has_scope(name, Scope::PerBroker) && PER_LISTENER_ONLY.iter().any(|prefix| name.starts_with(prefix))
        }),
    )?;
    for (name, value) in overrides {
        check_broker_value(name, value)?;
    }
    if target == BrokerTarget::AllBrokers {
        refuse(
            "Cannot update these configs at default cluster level, broker id must be specified",
            names_where(&|name| has_scope(name, Scope::PerBroker) || is_one_listeners(name)),
        )?;
    }
    check_together(layers, target, overrides)
}

/// Whether the key belongs to one listener of one broker; limits of connections can be set for all brokers.
fn is_one_listeners(name: &str) -> bool {
    let base = split_listener_key(name).and_then(|(_, base)| listener_base_key(base));
    base.is_some_and(|key| key.scope != Scope::ClusterWide)
}

fn check_broker_value(name: &str, value: &str) -> Result<(), AlterError> {
    if names_a_provider(value) {
        return Err(AlterError::InvalidConfig(format!("{name}: {PROVIDERS}")));
    }
    let Some(key) = key_of(name) else { return Ok(()) };
    value::check(key, value).map_err(|error| AlterError::InvalidRequest(masked(key, &error)))?;
    match key.support {
        Support::RefusedWhenSet(reason) if !is_harmless(key, value) => {
            Err(AlterError::InvalidConfig(format!("{name} is not honoured: {reason}")))
        }
        _ => Ok(()),
    }
}

fn masked(key: &Key, error: &InvalidValue) -> String {
    if key.is_sensitive() { format!("Invalid value for configuration {}", key.name) } else { error.to_string() }
}

/// Kafka's checks between keys, on the configuration as it would be.
fn check_together(layers: &Layers<'_>, target: BrokerTarget, overrides: &ConfigOverrides) -> Result<(), AlterError> {
    let (cluster_default, broker) = match target {
        BrokerTarget::ThisBroker => (layers.cluster_default, overrides),
        BrokerTarget::AllBrokers => (overrides, layers.broker),
    };
    let mut settings = layers.config.settings.clone();
    for layer in [cluster_default, broker] {
        overlay(&mut settings, layer);
    }
    let values = CheckedValues { settings: &settings, metadata: layers.config.metadata };
    let problems = checks::across_keys(&values);
    // Only a problem that the change brings is its fault.
    let at_fault = problems.into_iter().find(|problem| problem.keys.iter().any(|key| overrides.contains_key(*key)));
    if let Some(problem) = at_fault {
        return Err(AlterError::InvalidRequest(problem.text));
    }
    check_local_retention(overrides, &values)
}

/// What stays on local disk is part of what is kept.
fn check_local_retention(overrides: &ConfigOverrides, values: &CheckedValues<'_>) -> Result<(), AlterError> {
    for topic in ["retention.ms", "retention.bytes"] {
        let Some([main, ..]) = topic_key(topic).map(|key| key.synonyms) else { continue };
        let local_name = format!("log.local.{topic}");
        if !(overrides.contains_key(&local_name) || overrides.contains_key(main.key)) {
            continue;
        }
        let (kept, local) = (retained(values, topic), values.number(&local_name));
        if kept == -1 || local == -2 {
            continue;
        }
        let invalid = |reason: String| {
            let message = format!("Invalid value {local} for configuration {local_name}: {reason}");
            Err(AlterError::InvalidRequest(message))
        };
        if local == -1 {
            return invalid(format!("Value must not be -1 as {} value is set as {kept}.", main.key));
        }
        if local > kept {
            return invalid(format!("Value must not be more than {} property value: {kept}", main.key));
        }
    }
    Ok(())
}

/// The broker's value for a topic key, in the topic's units.
fn retained(values: &CheckedValues<'_>, topic: &str) -> i64 {
    let chain = topic_key(topic).map(|key| key.synonyms).unwrap_or_default();
    let set = chain.iter().find(|synonym| values.is_set(synonym.key));
    let named = set.or_else(|| chain.iter().find(|synonym| values.optional(synonym.key).is_some()));
    named.map_or(-1, |synonym| match values.number(synonym.key) {
        unlimited if unlimited < 0 => -1,
        number => number.saturating_mul(synonym.unit),
    })
}

/// Lays the valid settings of a dynamic layer over static ones: a synonym hides its whole chain.
fn overlay(settings: &mut Settings, layer: &ConfigOverrides) {
    for (name, value) in layer {
        if broker_key(name).is_some_and(|key| value::check(key, value).is_err()) {
            continue;
        }
        for synonym in synonyms_of(name) {
            settings.remove(synonym.key);
        }
        settings.insert(name.clone(), Setting { value: value.clone(), origin: Origin::CommandLine });
    }
}

#[cfg(test)]
mod tests;
