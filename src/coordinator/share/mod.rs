//! Share groups' reading (KIP-932): which records are whose, and what has become of them, kept in
//! `__share_group_state`.
//!
//! Owns: the records in flight of every share partition led here, share sessions, and the state topic.
//! Never does: membership; that is [`group::share`](super::group::share)'s.
//!
//! ```text
//!  ShareFetch ──▶ SharePartition* ──▶ records and locks of a member
//!                      │   ▲
//!  ShareAcknowledge ───┤   │ written: the start moves on
//!  locks run out ──────┘   │
//!                          ▼
//!                  ShareStateShard* ──▶ snapshots and updates in __share_group_state
//! ```

mod led_share_partition;
mod lock_timers;
pub mod records;
mod share_coordinator;
pub mod share_partition;
mod share_partitions;
mod share_session;
pub mod share_state_shard;
mod state_batches;

pub use led_share_partition::{LedSharePartition, ShareFetched, ShareRead};
pub use share_coordinator::{SHARE_STATE_TOPIC, ShareCoordinator, ShareCoordinatorParts};
pub use share_partitions::{Acknowledging, SharePartitions, SharePartitionsParts};
pub use share_session::{FINAL_EPOCH, INITIAL_EPOCH, SessionKey, ShareSessions, SharedTopicPartition};
