//! The configuration: Kafka's keys, and the few that are Ottla's own.
//!
//! Owns the table of keys ([`keys`]), the reading of sources ([`mod@load`]), the layers of run-time settings
//! ([`BrokerConfig::log_config`], [`BrokerConfig::dynamic_config`]). Pure: it is given texts, and reads no file, no
//! environment and no clock.
//!
//! ```text
//! server.properties ─┐
//! environment ───────┼─ load ──► BrokerConfig ──┬──► DynamicBrokerConfig
//! --set ─────────────┘               ▲          └──► LogConfig, one for each topic
//!                                    │                  ▲
//!              dynamic settings: all brokers, this broker, the topic
//! ```
//!
//! A key that restricts access or changes durability and is not honoured yet stops the start, so that a file written
//! for a secured broker never starts an open one.

pub mod alter;
mod broker_config;
mod checks;
mod cleaner_config;
pub mod client_match;
mod coordinator_config;
pub mod describe;
mod dynamic;
mod errors;
mod group_config;
pub mod key;
pub mod keys;
mod layers;
mod legacy;
mod listeners;
mod load;
mod log_config;
mod offset_reset;
mod page;
pub(crate) mod properties;
mod reasons;
mod show;
mod sources;
pub mod value;

pub use broker_config::{AdminListeners, BrokerConfig, MetadataKind};
pub use cleaner_config::CleanerConfig;
pub use coordinator_config::{
    ConsumerMigrationPolicy, GroupCoordinatorConfig, RebalanceProtocols, ShareCoordinatorConfig,
};
pub use dynamic::{DynamicBrokerConfig, ListenerLimits};
pub use errors::{ConfigError, ConfigErrors};
pub use group_config::GroupConfig;
pub use layers::{ConfigSource, Layers};
pub use listeners::{AdvertisedListener, HostPort, Listener, SecurityProtocol};
pub use load::{Loaded, load};
pub use log_config::{CleanupPolicy, CompressionType, ConfigOverrides, LogConfig, TimestampType};
pub use offset_reset::ShareAutoOffsetReset;
pub use page::page;
pub use show::show;
pub use sources::{Origin, Setting, Sources};

#[cfg(test)]
mod tests;
