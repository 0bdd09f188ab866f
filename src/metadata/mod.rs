//! Metadata: the store that all of it lives in, and the image of it that this broker works with.
//!
//! Owns: the [`MetadataStore`] trait and its implementations, the keys and JSON values under `/ottla/<cluster>/`,
//! [`MetadataImage`] and the publisher that keeps it current.
//! Never does: decides what metadata should be. That is the controller's; whoever reacts to it listens here.
//!
//! ```text
//!  controller ── txn ──▶ MetadataStore ── watch ──▶ ImagePublisher ──▶ MetadataImage (arc-swap)
//!      ▲                                                 │ 1. listeners, one after the other
//!      └────────────── wait_for(revision) ◀──────────────┘ 2. waiters
//! ```

#[cfg(test)]
mod conformance;
mod embedded;
pub mod features;
mod group_configs;
pub mod image;
mod key_text;
pub mod keys;
mod memory;
mod mvcc;
mod publisher;
pub mod quotas;
pub mod store;
pub mod values;
mod visible;

pub use embedded::{EmbeddedStore, OpenError};
pub use group_configs::GroupConfigs;
pub use image::{BrokerImage, Endpoint, ImageError, LeaderRecoveryState, MetadataImage, PartitionImage, TopicImage};
pub use keys::Keys;
pub use memory::MemoryStore;
pub use mvcc::HistoryLimits;
pub use publisher::{ImageListener, ImagePublisher, StartError, Stopped};
pub use store::{LeaseId, MetadataStore, Revision, StoreError};
