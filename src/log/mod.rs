//! The log of one partition: Kafka's on-disk format, byte for byte.
//!
//! Owns: segments and their indexes, validation and offsets of what is appended, producer state and leader epochs,
//! what is flushed, what retention removes. Never does: knows who leads the partition, or when a record counts as
//! committed; the high watermark is told to it.
//!
//! ```text
//!  append_as_leader ──▶ check ──▶ append lock ──▶ one write to the page cache ──▶ log end offset
//!                                     │                                               │
//!                                 roll, indexes,                           request_flush ──▶ sync thread
//!                                 producer state                                      │
//!  read ◀── high watermark ◀── replication ◀── on_flushed ◀── flushed offset ◀────────┘
//! ```
//!
//! Readers never take the append lock: they see an immutable list of segments and a few atomics, and whatever lies
//! below the log end offset no longer changes (truncation excepted, which only a follower does).

pub mod append;
mod batch_check;
pub mod batch_list;
pub(crate) mod batch_scan;
mod checkpoint;
pub(crate) mod checkpoint_text;
pub mod checkpoints;
pub mod clean_shutdown;
pub mod cleaner;
pub mod directory;
pub mod errors;
pub mod first_write;
pub mod group_commit;
pub mod health;
pub(crate) mod index_file;
mod kept_file;
pub mod known_damage;
pub mod leader_epochs;
pub mod log_directory;
pub mod log_manager;
pub mod meta_properties;
pub mod offset_index;
mod open_records;
pub mod partition_log;
pub mod partition_metadata;
pub mod producer_rebuild;
pub mod producer_state;
pub mod read;
mod recent_batches;
pub mod recovery;
mod removal;
mod replacement;
pub mod retention;
mod roll;
pub mod scrubbing;
pub mod segment;
pub mod segment_recovery;
pub(crate) mod sound_batches;
pub mod time_index;
pub mod timestamps;
mod truncation;
pub mod txn_index;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use checkpoint_text::{FileError, TextError};
