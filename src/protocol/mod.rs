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
//! A request on its way in, and its response on its way out:
//!
//! - [`frame`] cuts the socket's bytes into capped frames; [`header`] reads what stands in front of every body.
//! - [`wire`] decodes bodies and encodes most responses; [`messages`] has the newest versions that it lacks.
//! - [`fetch_response`] and [`share_fetch_response`] are written by hand, into [`piece`]s, so that record data goes from the disk to the socket
//!   without a copy.
//!
//! And the records within Produce and Fetch, most of which nobody ever opens:
//!
//! - [`batch`] views the 61 bytes in front of the records, which is all that most batches are looked at.
//! - [`records`] walks over the records themselves and builds batches; [`compression`] opens and closes them, under a
//!   cap; [`recompress`] turns a batch into one of another codec.
//! - [`parts`] tells before a request whose frame may be large is decoded whether it has too many parts.
//!
//! Everything here takes bytes that a stranger has chosen. Lengths and counts are checked against what is there
//! before anything is allocated, decompression has a cap, and malformed input is an error, never a panic: `fuzz/`
//! holds it to that.

pub mod batch;
pub mod compression;
pub mod fetch_response;
pub mod frame;
pub mod header;
pub mod messages;
pub mod parts;
pub mod piece;
pub mod recompress;
pub mod records;
pub mod share_fetch_response;
pub(crate) mod varint;

/// The message crate; every use of it goes through here, so that going back to `kafka-protocol` is one line.
pub use kafka_protocol as wire;
