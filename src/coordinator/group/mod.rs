//! Groups and committed offsets, kept in `__consumer_offsets`.
//!
//! Owns: the service that handlers call ([`GroupCoordinator`]), and for each partition of the topic a [`GroupShard`]:
//! its groups, of whatever protocol, and their offsets.
//! Never does: know an API version, or decide for a group what the machine of its protocol decides.
//!
//! ```text
//!  GroupCoordinator ─▶ CoordinatorRuntime ─▶ GroupShard ─┬▶ classic*   join, sync, heartbeat, leave
//!   one per broker      one shard a          routes by   └▶ ...        one machine a protocol
//!                       partition            group
//! ```

mod coordinator;
mod environment;
mod group_shard;

pub mod classic;
pub mod records;

pub use coordinator::{GroupCoordinator, GroupCoordinatorParts};
pub use environment::GroupEnvironment;
pub use group_shard::{Group, GroupId, GroupShard};
