//! The wire: frames, headers, record batches, and the messages that the message crate lacks.
//!
//! Owns: everything that turns bytes into requests and responses into bytes.
//! Never does: sockets, or decide anything about topics, partitions or offsets.
//!
//! ```text
//!  frame                                header                       body
//!  ┌────────┬──────────────────────────────────────────────────────┬──────────────────┐
//!  │ size   │ api key, version, correlation id, client id, [tags]  │ the message      │
//!  └────────┴──────────────────────────────────────────────────────┴──────────────────┘
//! ```

pub mod batch;
pub mod compression;
pub mod fetch_response;
pub mod frame;
pub mod header;
pub mod piece;
pub mod recompress;
pub mod records;
mod varint;

/// The message crate; every use of it goes through here, so that going back to `kafka-protocol` is one line.
pub use kafka_protocol as wire;
