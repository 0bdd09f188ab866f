//! What may be set: names, values, scopes, and what must go together. The whole of a resource's settings is judged,
//! not only what a request changes.

use super::{AlterError, BrokerTarget};
use crate::config::broker_config::{CheckedValues, topic_default};
use crate::config::checks;
use crate::config::describe::key_of;
use crate::config::key::{Key, Scope, Support};
use crate::config::keys::{TOPIC_KEYS, broker_key, synonyms_of, topic_key};
use crate::config::layers::Layers;
use crate::config::load::{is_harmless, listener_base_key, names_a_provider, split_listener_key};
use crate::config::log_config::ConfigOverrides;
use crate::config::reasons::PROVIDERS;
use crate::config::sources::{Origin, Setting, Settings};
use crate::config::value::{self, InvalidValue, parse_bool};

/// What the settings of one resource may take in all. They are kept in the metadata store as one value, and unknown
/// keys of brokers are accepted: without a bound, anybody could fill it.
const MAX_SETTINGS_BYTES: usize = 1024 * 1024;

/// Whether a topic may be configured so.
pub(super) fn check_topic(layers: &Layers<'_>, overrides: &ConfigOverrides) -> Result<(), AlterError> {
    check_size(overrides)?;
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

pub(super) fn check_size(overrides: &ConfigOverrides) -> Result<(), AlterError> {
    let size_bytes: usize = overrides.iter().map(|(key, value)| key.len() + value.len()).sum();
    if size_bytes <= MAX_SETTINGS_BYTES {
        return Ok(());
    }
    let message = format!("the settings of one resource may take {MAX_SETTINGS_BYTES} bytes, not {size_bytes}");
    Err(AlterError::InvalidConfig(message))
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

/// Whether a broker, or all, may be configured so while running.
pub(super) fn check_broker(
    layers: &Layers<'_>,
    target: BrokerTarget,
    overrides: &ConfigOverrides,
) -> Result<(), AlterError> {
    check_size(overrides)?;
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
    check_cleaner_threads(layers, overrides, &values)?;
    check_local_retention(overrides, &values)
}

/// The cleaner grows and shrinks step by step.
fn check_cleaner_threads(
    layers: &Layers<'_>,
    overrides: &ConfigOverrides,
    values: &CheckedValues<'_>,
) -> Result<(), AlterError> {
    const THREADS: &str = "log.cleaner.threads";
    if !overrides.contains_key(THREADS) {
        return Ok(());
    }
    let wanted = values.number(THREADS);
    let current = layers.effective(THREADS).and_then(|text| text.trim().parse().ok()).unwrap_or(wanted);
    let problem = if wanted < 1 {
        "should be at least 1".to_owned()
    } else if wanted < current / 2 {
        format!("cannot be reduced to less than half the current value {current}")
    } else if wanted > current.saturating_mul(2) {
        format!("cannot be increased to more than double the current value {current}")
    } else {
        return Ok(());
    };
    Err(AlterError::InvalidRequest(format!("Log cleaner threads {problem}")))
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
