//! Reconciliation: the next step of one member on its way to its target.
//!
//! ```text
//!                 ┌─────────────────────────── new target ───────────────────────────┐
//!                 ▼                                                                   │
//!   ┌──────────────────────┐  all given up   ┌──────────────────────┐  all there   ┌──┴─────┐
//!   │ UnrevokedPartitions  │────────────────▶│ UnreleasedPartitions │─────────────▶│ Stable │
//!   │ old epoch, told to   │                 │ new epoch, waits for │              │        │
//!   │ give partitions up   │                 │ the old owners       │              │        │
//!   └──────────────────────┘                 └──────────────────────┘              └────────┘
//! ```
//! A member gets into the epoch of a target only when it has nothing left to give up for it, and a partition only when
//! nobody else has it: so no partition ever has two owners, and a slow member delays only those that wait for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::error::GroupError;
use super::group::ConsumerGroup;
use super::member::{Member, MemberState};
use super::owned::OwnedPartitions;
use super::topics::Topics;
use crate::coordinator::group::assignor::Assignment;
use crate::ids::{PartitionIndex, TopicId};
use crate::protocol::wire::messages::consumer_group_heartbeat_request::TopicPartitions;

/// What one step depends on, beside the member.
pub(super) struct Step<'a> {
    pub(super) group: &'a ConsumerGroup,
    pub(super) topics: &'a dyn Topics,
    /// The epoch of the target assignment.
    pub(super) target_epoch: i32,
    /// What it gives the member.
    pub(super) target: &'a Assignment,
    /// The member subscribes to something else than before: what it no longer wants goes at once, though the target
    /// still has it.
    pub(super) subscription_changed: bool,
    /// What the member says that it has; `None`: it did not say.
    pub(super) owned: Option<&'a [TopicPartitions]>,
}

impl Step<'_> {
    /// The member after this step; `None`: it stays as it is.
    pub(super) fn next(&self, member: &Member) -> Result<Option<Member>, GroupError> {
        if !self.subscription_changed && member.is_reconciled_to(self.target_epoch) {
            return Ok(None);
        }
        let next = match member.state {
            MemberState::Stable if member.member_epoch == self.target_epoch => {
                self.drop_unwanted(member).unwrap_or_else(|| member.clone())
            }
            MemberState::UnrevokedPartitions if self.still_owns(&member.pending_revocation) => {
                let dropped = self.subscription_changed.then(|| self.drop_unwanted(member)).flatten();
                dropped.unwrap_or_else(|| member.clone())
            }
            MemberState::Stable | MemberState::UnrevokedPartitions | MemberState::UnreleasedPartitions => {
                self.towards_target(member, member.member_epoch)
            }
            // Nothing can be said about it: it has to begin anew, with nothing.
            MemberState::Unknown if self.owned.is_none_or(|owned| !owned.is_empty()) => {
                return Err(GroupError::FencedMemberEpoch(
                    "the member's state is not known: it has to give up all partitions and join again".to_owned(),
                ));
            }
            MemberState::Unknown => self.towards_target(member, self.target_epoch),
        };
        Ok((next != *member).then_some(next))
    }

    /// Whether the member may still have any of these: it says so, or says nothing.
    fn still_owns(&self, partitions: &OwnedPartitions) -> bool {
        self.owned.is_none_or(|owned| {
            owned.iter().any(|topic| {
                topic.partitions.iter().any(|&partition| partitions.contains(TopicId(topic.topic_id), partition))
            })
        })
    }

    /// Takes from a member what its new subscription does not want, without a new target; `None`: it has no such.
    fn drop_unwanted(&self, member: &Member) -> Option<Member> {
        let wanted = self.wanted_by(member);
        if member.assigned.topics().all(|(topic, _)| wanted.contains(&topic)) {
            return None;
        }
        let (mut assigned, mut revoked) =
            (OwnedPartitions::default(), OwnedPartitions::clone(&member.pending_revocation));
        for (topic, partition, epoch) in member.assigned.iter() {
            let place = if wanted.contains(&topic) { &mut assigned } else { &mut revoked };
            place.insert(topic, partition, epoch);
        }
        let mut next = member.clone();
        next.assigned = Arc::new(assigned);
        next.move_to_epoch(member.member_epoch);
        if self.still_owns(&revoked) {
            next.state = MemberState::UnrevokedPartitions;
            next.pending_revocation = Arc::new(revoked);
        }
        Some(next)
    }

    fn towards_target(&self, member: &Member, epoch: i32) -> Member {
        let wanted = self.wanted_by(member);
        let in_target = |topic: TopicId, partition: PartitionIndex| {
            wanted.contains(&topic) && self.target.contains(topic, partition)
        };
        let (mut assigned, mut revoked) = (OwnedPartitions::default(), OwnedPartitions::default());
        for (topic, partition, since) in member.assigned.iter() {
            let place = if in_target(topic, partition) { &mut assigned } else { &mut revoked };
            place.insert(topic, partition, since);
        }
        let mut next = member.clone();
        if !revoked.is_empty() && self.still_owns(&revoked) {
            next.state = MemberState::UnrevokedPartitions;
            next.move_to_epoch(epoch);
            next.assigned = Arc::new(assigned);
            next.pending_revocation = Arc::new(revoked);
            return next;
        }
        let mut unreleased = false;
        for (topic, partition) in self.target.iter() {
            if assigned.contains(topic, partition) || !wanted.contains(&topic) {
                continue;
            }
            // What the member itself has just given up is free.
            let free =
                self.group.owner(topic, partition).is_none() || member.pending_revocation.contains(topic, partition);
            if free {
                assigned.insert(topic, partition, self.target_epoch);
            } else {
                unreleased = true;
            }
        }
        next.state = if unreleased { MemberState::UnreleasedPartitions } else { MemberState::Stable };
        next.move_to_epoch(self.target_epoch);
        next.assigned = Arc::new(assigned);
        next.pending_revocation = Arc::default();
        next
    }

    /// The topics that the member subscribes to and that exist. An expression that is not resolved yet stands for none.
    fn wanted_by(&self, member: &Member) -> BTreeSet<TopicId> {
        self.group.subscriptions.wanted_by(member).filter_map(|name| self.topics.id(name)).collect()
    }
}

impl ConsumerGroup {
    /// Whether a partition that a member waits for is still with somebody else.
    pub(super) fn waits_for_others(&self, member: &Member) -> bool {
        member.state == MemberState::UnreleasedPartitions
            && self.target(&member.member_id).is_some_and(|target| {
                target.iter().any(|(topic, partition)| {
                    !member.assigned.contains(topic, partition) && self.owner(topic, partition).is_some()
                })
            })
    }
}
