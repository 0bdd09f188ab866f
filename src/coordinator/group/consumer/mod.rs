//! Groups of the consumer protocol (KIP-848): the coordinator assigns, members reconcile one by one.
//!
//! Owns: the state of a group and every decision about it. Never does: read a clock, write a log, look at a socket.
//! Each decision is given the group as it is and says what is to become of it ([`Outcome`]).
//!
//! ```text
//!   ConsumerGroupHeartbeat                          topics changed        timer fired
//!           │                                             │                    │
//!   validate │ heartbeat, leave                           │                 timers
//!           ▼                                             ▼                    │
//!   ┌─────────────────────────────── change ───────────────────────────┐       │
//!   │ subscription ─▶ group epoch ─▶ target assignment ─▶ reconcile     │       ▼
//!   │ (regex)         (topics' hash)  (assignor)          (one member)  │     leave
//!   └──────────────────────────────┬───────────────────────────────────┘       │
//!                                  ▼                                           ▼
//!                 Outcome: records, then soft changes and timers, then the reply
//!                                  │
//!                                  ▼
//!                     ConsumerGroup::apply: the only way the group changes
//! ```
//!
//! Three epochs order everything. The *group epoch* grows when subscriptions or topics change. The *assignment epoch* is
//! the group epoch that the target assignment was made for. A *member epoch* is that of the target that the member has
//! reached, or works from; requests with another one are fenced.
//!
//! While a group is migrated, members of the classic protocol are in it as well.

mod change;
mod classic_members;
mod commit;
mod context;
mod describe;
mod embedded;
mod error;
mod group;
mod heartbeat;
mod leave;
mod member;
mod migration;
mod owned;
mod re2;
mod reconcile;
mod records;
mod regex;
mod resolution;
mod sessions;
mod subscriptions;
mod target;
#[cfg(test)]
mod tests;
mod timers;
mod topics;
mod validate;

pub use classic_members::{
    Joined, LastReplaced, heartbeat as classic_heartbeat, join as classic_join, leave as classic_leave,
    sync as classic_sync,
};
pub use commit::{CommitScope, Committer};
pub use context::{Client, Context, Outcome, Settings};
pub use describe::describe;
pub use error::GroupError;
pub use group::{ConsumerGroup, GroupState};
pub use heartbeat::{Heartbeat, HeartbeatReply, heartbeat};
pub use leave::{Leave, leave};
pub use member::{JOINING_EPOCH, LEAVING_EPOCH, Member, MemberId, MemberState, STATIC_LEAVING_EPOCH};
pub use migration::{Downgrade, downgrade_with, downgrade_without, upgrade};
pub use owned::OwnedPartitions;
pub use records::Applied;
pub use regex::{RegexesResolved, ResolveRegexes};
pub use resolution::on_resolved;
pub use sessions::{MemberTimer, SoftChange, TimerChange, TimerKind};
pub use timers::{Fired, on_timer};
pub use topics::{Topics, topic_hash};
pub(super) use topics::{existing, group_hash};
pub use validate::check_heartbeat;
