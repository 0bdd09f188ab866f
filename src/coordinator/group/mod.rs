//! Groups and committed offsets, kept in `__consumer_offsets`.
//!
//! Owns: the service that handlers call ([`GroupCoordinator`]), and for each partition of the topic a [`GroupShard`]:
//! its groups, of whatever protocol, and their offsets.
//! Never does: know an API version, or decide for a group what the machine of its protocol decides.
//!
//! ```text
//!  GroupCoordinator ─▶ CoordinatorRuntime ─▶ GroupShard ─┬▶ classic*   join, sync, heartbeat, leave
//!   one per broker      one shard a          routes by   ├▶ consumer*  heartbeat; assignor* decides who gets what
//!                       partition            group       ├▶ share*     heartbeat of members that share partitions
//!                                                        └▶ offsets*   commit, fetch, delete, expiry
//! ```

mod administration;
mod consumer_groups;
mod coordinator;
mod environment;
mod group_shard;
mod image_topics;
mod offsets_snapshot;
mod shard_offsets;
mod share_groups;

pub mod assignor;
pub mod classic;
pub mod consumer;
pub mod offsets;
pub mod records;
pub mod share;

pub use administration::{Deletions, GroupRefusal, GroupType, ListFilter, ListedGroup};
pub use consumer_groups::TopicChanges;
pub use coordinator::{GroupCoordinator, GroupCoordinatorParts, ShardDeletion};
pub use environment::GroupEnvironment;
pub use group_shard::{Group, GroupId, GroupShard};
