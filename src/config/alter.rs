//! AlterConfigs, IncrementalAlterConfigs and the settings of CreateTopics: from what is set and what is asked for to
//! what will be set, or Kafka's answer why not. Nothing is changed here: the caller stores the result.

mod resources;
mod rules;

use std::collections::BTreeSet;

use self::resources::{check_client_metrics, check_group};
use self::rules::{check_broker, check_topic};
use super::key::Key;
use super::keys::{broker_key, group_key, topic_key};
use super::layers::Layers;
use super::log_config::ConfigOverrides;
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BrokerTarget {
    ThisBroker,
    AllBrokers,
}

/// What kind of resource is changed: each has its own rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Topic,
    Broker(BrokerTarget),
    Group,
    ClientMetrics,
}

/// AlterConfigs: `settings` in place of all that is set for the resource.
pub fn replace(
    layers: &Layers<'_>,
    target: Target,
    settings: &[(&str, Option<&str>)],
) -> Result<ConfigOverrides, AlterError> {
    let overrides = replacement(settings)?;
    check(layers, target, &overrides)?;
    Ok(overrides)
}

/// IncrementalAlterConfigs: `current` after `changes`.
pub fn change(
    layers: &Layers<'_>,
    target: Target,
    current: &ConfigOverrides,
    changes: &[Change<'_>],
) -> Result<ConfigOverrides, AlterError> {
    check_form(changes.iter().map(|change| change.key), &nulls(changes))?;
    let mut overrides = current.clone();
    for change in changes {
        let key = match target {
            Target::Topic => topic_key(change.key),
            Target::Broker(_) => broker_key(change.key),
            Target::Group => group_key(change.key),
            // Kafka does not add to their lists.
            Target::ClientMetrics => None,
        };
        if !change.operation.fits(key) {
            return Err(unfit(target, change, key));
        }
        apply(&mut overrides, change, key);
    }
    check(layers, target, &overrides)?;
    Ok(overrides)
}

fn check(layers: &Layers<'_>, target: Target, overrides: &ConfigOverrides) -> Result<(), AlterError> {
    match target {
        Target::Topic => check_topic(layers, overrides),
        Target::Broker(target) => check_broker(layers, target, overrides),
        Target::Group => check_group(layers, overrides),
        Target::ClientMetrics => check_client_metrics(overrides),
    }
}

/// The answer to an operation on lists where there is none.
fn unfit(target: Target, change: &Change<'_>, key: Option<&Key>) -> AlterError {
    let is_append = change.operation == Operation::Append;
    AlterError::InvalidConfig(match (target, key) {
        (Target::Broker(_), None) => format!("Unknown config name: {}", change.key),
        (Target::Broker(_), Some(_)) => {
            let verb = if is_append { "append" } else { "subtract" };
            format!("Config value {verb} is not allowed for config key: {}", change.key)
        }
        _ => {
            let verb = if is_append { "APPEND" } else { "SUBTRACT" };
            format!("Can't {verb} to key {} because its type is not LIST.", change.key)
        }
    })
}

/// Whom a BROKER resource of this name means, asked at broker `this`.
pub fn broker_target(name: &str, this: BrokerId) -> Result<BrokerTarget, AlterError> {
    if name.is_empty() {
        return Ok(BrokerTarget::AllBrokers);
    }
    logger_broker(name, this).map(|()| BrokerTarget::ThisBroker)
}

/// Whether a BROKER_LOGGER resource of this name means broker `this`: no name means all brokers here.
pub fn logger_broker(name: &str, this: BrokerId) -> Result<(), AlterError> {
    let refused = |message| Err(AlterError::InvalidRequest(message));
    match name.parse::<i32>() {
        Ok(id) if id == this.0 => Ok(()),
        Ok(_) => refused(format!("Unexpected broker id, expected {this}, but received {name}")),
        Err(_) => refused(format!("Node id must be an integer, but it is: {name}")),
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

#[cfg(test)]
mod tests;
