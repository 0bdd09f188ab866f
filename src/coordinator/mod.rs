//! Coordinators: state that lies in a partition of an internal topic and is kept by that partition's leader.
//!
//! Owns: the runtime (load, decide, append, apply, answer) and the machines that it runs: groups, share state.
//! Never does: change state otherwise than by a record that is in the log, or answer with what a failover could undo.
//!
//! ```text
//!  handler ─▶ service ─▶ Shard ── lock ──▶ machine* decides ─▶ records ─▶ Partition::append
//!                          │                                      │
//!                          │◀── apply records, soft changes ◀─────┘
//!  reply ◀── high watermark has passed what the machine had applied
//!
//!  new leadership ─▶ log read from its start ─▶ machine replays ─▶ serves       timers ─▶ machine decides ─▶ ...
//! ```
//! The decision is made in the request's turn; only the wait for the high watermark is concurrent.

pub mod cow_map;
mod decision;
mod error;
pub mod group;
mod internal_topic;
mod journal;
mod pending;
pub(crate) mod record_codec;
mod runtime;
mod shard;
mod shard_map;
pub mod share;
mod share_groups;
mod timers;

#[cfg(test)]
mod tests;

pub use decision::{Decision, EncodedRecord, Machine, Now, RecordOrigin, ReplayError, ReplyTo, Timer};
pub use error::CoordinatorError;
pub use internal_topic::InternalTopic;
pub use pending::Pending;
pub use runtime::{CoordinatorRuntime, RuntimeParts};
pub use share_groups::{ShareGroups, ShareGroupsError};
