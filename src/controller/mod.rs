//! The controller: what the cluster's metadata should become, and the transactions that make it so.
//!
//! Owns: the rules of topics, partitions, placement, elections, reassignments and leader epochs, feature levels, broker registrations, blocks of
//! producer ids.
//! Never does: keep state of its own. Every operation reads the image, decides, and writes transactions that
//! compare what was read; if one of them finds the store changed, the operation reads and decides again. So any
//! broker may run any operation.
//!
//! ```text
//!  handler ─▶ runtime ── sync ──▶ image ──▶ machine* ──▶ plan ──▶ steps ──▶ MetadataStore
//!     ◀───── reply ◀── image has reached the last revision ◀── publisher ◀── watch ┘
//! ```

mod election;
pub mod machine;
pub mod placement;
mod reassignment;
mod runtime;
mod steps;
#[cfg(test)]
mod testing;

pub use election::ElectionType;
pub use machine::{CreatedTopic, FeatureUpdate, LevelChange, NewPartitions, NewTopic, TopicDefaults, TopicRef};
pub use runtime::{
    BrokerRegistration, Controller, ControllerParts, DeletedTopic, DirectoryAssignment, PRODUCER_ID_BLOCK,
    Reassignment, bootstrap,
};

use crate::error::ErrorCode;
use crate::metadata::StoreError;

/// Why an admin operation was refused or failed, as the client is told. No message: the code says all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AdminError {
    pub code: ErrorCode,
    pub message: String,
}

impl AdminError {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// An error that Kafka has no words for.
    pub fn wordless(code: ErrorCode) -> Self {
        Self::new(code, "")
    }

    /// The message on the wire.
    pub fn words(self) -> Option<String> {
        Some(self.message).filter(|message| !message.is_empty())
    }
}

impl From<StoreError> for AdminError {
    fn from(error: StoreError) -> Self {
        let code = match error {
            // The change may have happened or may happen yet: what a time-out means to clients.
            StoreError::Unavailable(_) => ErrorCode::RequestTimedOut,
            _ => ErrorCode::UnknownServerError,
        };
        Self::new(code, error.to_string())
    }
}
