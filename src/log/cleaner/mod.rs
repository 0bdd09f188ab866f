//! The log cleaner: of a compacted log, the last record of every key is what stays.
//!
//! Owns: which log is cleaned next, the fate of every record and batch, the threads that do it and how fast they may.
//! Never does: touches the active segment, or what is not yet decided or replicated; holds an append lock while it
//! reads or copies.
//!
//! ```text
//!  LogManager ── compacted logs, checkpoint ──▶ registry ── the dirtiest ──▶ thread ── round ──▶ PartitionLog
//!                cleaner-offset-checkpoint      cleanable                    throttle   map,        replaces segments
//!                                                                                       filter
//! ```
//! The decisions are pure: `cleanable` (what is dirty), `groups` (what becomes one segment), `transactions` and `fate`
//! (what stays), `throttle`. Their rules are those of Kafka's LogCleaner (KIP-58, KIP-98, KIP-354, KIP-534).

mod cleanable;
mod cleaned_segment;
mod fate;
mod filter;
mod groups;
mod log_cleaner;
mod offset_map;
mod registry;
mod round;
#[cfg(test)]
pub(in crate::log) mod testing;
#[cfg(test)]
mod tests;
mod throttle;
mod transactions;

pub use log_cleaner::{CleanerReadings, LogCleaner};
pub use registry::Uncleanable;
