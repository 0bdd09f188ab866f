//! The layers a broker's value can come from, the strongest first: this broker's dynamic settings, those of all
//! brokers, what it was started with.

use super::broker_config::BrokerConfig;
use super::key::Synonym;
use super::keys::synonyms_of;
use super::log_config::ConfigOverrides;

/// Where a value comes from, as DescribeConfigs numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i8)]
pub enum ConfigSource {
    DynamicTopic = 1,
    DynamicBroker = 2,
    DynamicDefaultBroker = 3,
    StaticBroker = 4,
    Default = 5,
    DynamicBrokerLogger = 6,
    DynamicClientMetrics = 7,
    DynamicGroup = 8,
}

/// The settings of a broker, dynamic ones on top of static ones.
#[derive(Clone, Copy, Debug)]
pub struct Layers<'a> {
    pub config: &'a BrokerConfig,
    /// What was set for all brokers (the BROKER resource with an empty name).
    pub cluster_default: &'a ConfigOverrides,
    /// What was set for this broker.
    pub broker: &'a ConfigOverrides,
}

/// The layers that somebody set something in, strongest first.
pub(super) const SET_LAYERS: [ConfigSource; 3] =
    [ConfigSource::DynamicBroker, ConfigSource::DynamicDefaultBroker, ConfigSource::StaticBroker];

impl<'a> Layers<'a> {
    /// What one layer says of a key.
    pub(super) fn in_layer(&self, layer: ConfigSource, name: &str) -> Option<&'a str> {
        match layer {
            ConfigSource::DynamicBroker => self.broker.get(name).map(String::as_str),
            ConfigSource::DynamicDefaultBroker => self.cluster_default.get(name).map(String::as_str),
            ConfigSource::StaticBroker => self.config.setting(name).map(|setting| setting.value.as_str()),
            ConfigSource::Default => self.config.default_of(name),
            // Not a broker's.
            ConfigSource::DynamicTopic
            | ConfigSource::DynamicBrokerLogger
            | ConfigSource::DynamicClientMetrics
            | ConfigSource::DynamicGroup => None,
        }
    }

    /// The value in force. A stronger layer that sets a synonym (`log.retention.ms`) hides what weaker ones say of
    /// the whole chain (`log.retention.hours`).
    pub(super) fn effective(&self, name: &str) -> Option<&'a str> {
        let chain = synonyms_of(name);
        for layer in SET_LAYERS {
            if let Some(value) = self.in_layer(layer, name) {
                return Some(value);
            }
            if chain.iter().any(|synonym| self.in_layer(layer, synonym.key).is_some()) {
                break;
            }
        }
        self.config.default_of(name)
    }

    /// The first of `chain` that the strongest layer with any of them sets.
    pub(super) fn first_set(&self, chain: &'static [Synonym]) -> Option<(&'static Synonym, &'a str)> {
        let in_layer = |layer| chain.iter().find_map(|synonym| Some((synonym, self.in_layer(layer, synonym.key)?)));
        SET_LAYERS.into_iter().find_map(in_layer)
    }
}
