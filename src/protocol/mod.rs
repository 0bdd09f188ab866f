//! The wire: frames, headers, record batches, and the messages that the message crate lacks.
//!
//! Owns: everything that turns bytes into requests and responses into bytes.
//! Never does: I/O, or decide anything about topics, partitions or offsets.

pub mod batch;

/// The message crate; every use of it goes through here, so that going back to `kafka-protocol` is one line.
pub use kafka_protocol as wire;
