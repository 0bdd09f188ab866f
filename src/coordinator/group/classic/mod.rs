//! The classic group protocol: clients choose a leader's assignor, the coordinator keeps the membership. Pure.
//!
//! Owns: who is a member, which generation the group is in, whose requests wait for whom.
//! Never does: look at what is assigned; subscriptions and assignments are the clients' own bytes.
//!
//! ```text
//!                    join                       all joined, or rebalance timeout
//!  ┌───────┐ ───────────────▶ ┌─────────────────────┐ ─────────────▶ ┌─────────────────────┐
//!  │ Empty │                  │ PreparingRebalance  │                │ CompletingRebalance │
//!  └───────┘ ◀─────────────── │ joins wait          │ ◀───────────── │ syncs wait          │
//!              nobody is left └─────────────────────┘  join, leave,  └─────────────────────┘
//!                                        ▲             time-out                 │ the leader syncs:
//!                                        │                                      ▼ record
//!                                        │  join, leave, time-out         ┌──────────┐
//!                                        └─────────────────────────────── │  Stable  │
//!                                                                         └──────────┘
//! ```
//!
//! A [`ClassicGroup`] is a value. Each function here takes one by reference and returns a [`ClassicDecision`]: the new
//! value, at most one record, answers and timers. What was decided happens as a whole or, where the record cannot be
//! appended, not at all; whoever waits goes on waiting then, and the requester is told to try again.
//!
//! Sources: KIP-62 (rebalance timeout), KIP-134 (initial delay), KIP-345 (static members), KIP-394 (member id required),
//! KIP-389 (size limit), KIP-559 (protocol type and name in replies), KIP-800 (reasons), KIP-814 (skipped assignment).

mod conversion;
mod describe;
mod group;
mod heartbeat;
mod join;
mod leave;
mod member;
mod offsets;
mod rebalance;
mod reply;
mod subscription;
mod sync;
mod timers;
mod turn;

#[cfg(test)]
mod tests;

pub use conversion::{ConvertedMember, from_consumer_group};
pub use describe::{DescribedClassicGroup, DescribedClassicMember};
pub use group::{ClassicGroup, ClassicGroupState};
pub use heartbeat::{Heartbeat, heartbeat};
pub use join::{Join, join, new_member_id};
pub use leave::{Leave, LeavingMember, leave};
pub use member::{InstanceId, Member, MemberId, Protocol, Protocols};
pub use reply::{ClassicReply, JoinReply, JoinedMember, LeaveReply, LeftMember, SyncReply};
pub use sync::{Sync, sync};
pub use timers::{ClassicTimer, on_loaded, on_timer};
pub use turn::{ClassicChange, ClassicDecision, ClassicSettings};
