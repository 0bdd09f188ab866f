//! Replicas hosted by this broker: who leads, what is committed, who waits for it.
//!
//! Owns: [`Partition`] (one hosted replica: its log, its in-sync set, those who wait for its high watermark) and
//! [`ReplicaManager`] (all of them, kept equal to the metadata image); [`LogMover`] (logs that change their
//! log directory).
//! Never does: parse a request, or write to the metadata store.
//!
//! ```text
//!  produce ─▶ Partition::append ─▶ PartitionLog ─▶ page cache ─▶ sync thread
//!                                                                   │ flushed offset
//!  acks=all reply ◀─ waiters ◀─ high watermark ◀─ PartitionState ◀──┘
//!  fetch long poll ◀─ watchers ◀──────┘
//! ```

mod log_mover;
mod partition;
pub mod partition_state;
mod replica_manager;
pub mod watch;

pub use log_mover::LogMover;
pub use partition::{Acks, FetchRead, FetchedData, HighWatermarkWait, Partition, PartitionError, Visibility};
pub use replica_manager::{HostedTopic, Places, ReplicaManager, is_internal_topic};
