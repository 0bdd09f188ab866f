//! Membership of share groups (KIP-932): who is there, what each member reads, and which partitions the group has begun
//! to read. Pure.
//!
//! Owns: a share group's records in `__consumer_offsets`, its epochs, sessions and assignments.
//! Never does: know of offsets or acknowledgements; they are the share coordinator's.
//!
//! A share group is a consumer group without ownership: members may read the same partition, so nothing is ever taken
//! back before it is given on, and a member goes to its target assignment in one step.
//!
//! ```text
//!  heartbeat ──▶ subscription ──▶ group epoch ──▶ target assignment ──▶ the member's assignment
//!                     │                ▲
//!                     ▼                │ a heartbeat sees partitions that are assigned to nobody
//!               initializing ──▶ initialized          (the service has the share coordinator keep their state)
//! ```

mod admin;
mod context;
mod describe;
mod group;
mod heartbeat;
mod offsets;
mod partitions;
mod records;
#[cfg(test)]
mod tests;

pub use admin::{OffsetsToAlter, StateToDelete, TopicOffsets};
pub use context::{ShareContext, ShareGroupError, ShareOutcome, ShareSettings, ShareSoftChange};
pub use describe::{DescribedShareGroup, DescribedShareMember};
pub use group::{ShareGroup, ShareGroupState, ShareMember};
pub use heartbeat::{ShareHeartbeat, ShareHeartbeatReply};
pub use partitions::TopicPartitions;
