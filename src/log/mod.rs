//! The log of a partition, as Kafka lays it out on disk.
//!
//! Being laid.

mod checkpoint_text;
pub mod leader_epochs;
pub mod producer_state;
