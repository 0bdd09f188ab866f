//! What groups and subscriptions to clients' metrics may be configured to do.

use super::AlterError;
use super::rules::check_size;
use crate::config::client_match::{ClientMatch, MAX_INTERVAL_MS, MIN_INTERVAL_MS};
use crate::config::group_config::{BOUNDS, SESSIONS, Values};
use crate::config::keys::{GROUP_KEYS, client_metrics_key, group_key};
use crate::config::layers::Layers;
use crate::config::log_config::ConfigOverrides;
use crate::config::value;

/// Whether a group may be configured so.
pub(super) fn check_group(layers: &Layers<'_>, overrides: &ConfigOverrides) -> Result<(), AlterError> {
    check_size(overrides)?;
    if let Some(unknown) = overrides.keys().find(|name| group_key(name).is_none()) {
        return Err(AlterError::InvalidConfig(format!("Unknown group config name: {unknown}")));
    }
    for key in GROUP_KEYS {
        let Some(text) = overrides.get(key.name) else { continue };
        value::check(key, text).map_err(|error| AlterError::InvalidConfig(error.to_string()))?;
    }
    let values = Values { layers: *layers, overrides };
    for bound in BOUNDS.iter().filter(|bound| overrides.contains_key(bound.key)) {
        let number = values.unbounded(bound.key);
        if let Some(min) = bound.min.filter(|min| number < values.broker_value(min)) {
            return refuse(format!("{} must be greater than or equal to {min}", bound.key));
        }
        if number > values.broker_value(bound.max) {
            return refuse(format!("{} must be less than or equal to {}", bound.key, bound.max));
        }
    }
    match SESSIONS.iter().find(|(session, heartbeat)| values.unbounded(session) <= values.unbounded(heartbeat)) {
        Some((session, heartbeat)) => refuse(format!("{session} must be greater than {heartbeat}")),
        None => Ok(()),
    }
}

fn refuse(message: String) -> Result<(), AlterError> {
    Err(AlterError::InvalidConfig(message))
}

/// Whether a subscription to clients' metrics may be configured so.
pub(super) fn check_client_metrics(overrides: &ConfigOverrides) -> Result<(), AlterError> {
    check_size(overrides)?;
    for (name, text) in overrides {
        let Some(key) = client_metrics_key(name) else {
            return Err(AlterError::InvalidRequest(format!("Unknown client metrics configuration: {name}")));
        };
        value::check(key, text).map_err(|error| AlterError::InvalidConfig(error.to_string()))?;
    }
    let interval = overrides.get("interval.ms").and_then(|text| text.trim().parse::<i32>().ok());
    if let Some(interval) = interval.filter(|interval| !(MIN_INTERVAL_MS..=MAX_INTERVAL_MS).contains(interval)) {
        return Err(AlterError::InvalidRequest(format!(
            "Invalid value {interval} for interval.ms, interval must be between {MIN_INTERVAL_MS} and {MAX_INTERVAL_MS} \
             (1 hour)"
        )));
    }
    let patterns = overrides.get("match").map_or("", String::as_str);
    ClientMatch::parse(patterns).map(drop).map_err(|illegal| AlterError::InvalidConfig(illegal.to_string()))
}
