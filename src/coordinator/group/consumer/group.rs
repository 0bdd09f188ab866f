//! The state of a consumer group: what its records say.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::member::{Member, MemberId};
use super::sessions::Sessions;
use super::subscriptions::Subscriptions;
use crate::coordinator::group::assignor::Assignment;
use crate::ids::{PartitionIndex, TopicId};
use crate::time::TimestampMs;

/// The epoch of a group before its first change, and of its target assignment.
pub(super) const INITIAL_EPOCH: i32 = 1;

/// Where a group stands, as the tools show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupState {
    Empty,
    /// The target assignment is older than the group.
    Assigning,
    /// Members are on their way to the target assignment.
    Reconciling,
    Stable,
    Dead,
}

impl GroupState {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        }
    }
}

/// A group of the consumer protocol (KIP-848).
///
/// Hard state is what records say and changes in [`ConsumerGroup::apply`] only; timers and deadlines are in
/// [`Sessions`] and are made anew when a group is loaded.
#[derive(Clone, Debug)]
pub struct ConsumerGroup {
    pub(super) group_id: Arc<str>,
    /// Grows whenever a subscription or a topic changes: then a new target assignment is due.
    pub(super) group_epoch: i32,
    /// What the subscribed topics looked like in that epoch (KIP-1101).
    pub(super) metadata_hash: i64,
    /// The group epoch that the target assignment is of.
    pub(super) assignment_epoch: i32,
    /// When it was calculated; 0: not known.
    pub(super) assignment_timestamp_ms: TimestampMs,
    pub(super) members: BTreeMap<MemberId, Arc<Member>>,
    /// Member ids by instance id.
    pub(super) static_members: BTreeMap<Arc<str>, MemberId>,
    pub(super) target: BTreeMap<MemberId, Arc<Assignment>>,
    pub(super) subscriptions: Subscriptions,
    /// Who has each partition, or has not given it up yet.
    owners: HashMap<(TopicId, PartitionIndex), MemberId>,
    /// Members by the assignor that they ask for.
    assignors: BTreeMap<Arc<str>, usize>,
    /// Members that speak the classic protocol.
    classic_members: usize,
    /// How many of them support each classic protocol.
    classic_protocols: BTreeMap<Arc<str>, usize>,
    /// A record of Kafka 4.0 is there that later versions have no use for; the next change deletes it.
    pub(super) has_partition_metadata: bool,
    pub(super) sessions: Sessions,
}

impl ConsumerGroup {
    pub fn new(group_id: Arc<str>) -> Self {
        Self {
            group_id,
            group_epoch: INITIAL_EPOCH,
            metadata_hash: 0,
            assignment_epoch: INITIAL_EPOCH,
            assignment_timestamp_ms: 0,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            target: BTreeMap::new(),
            subscriptions: Subscriptions::default(),
            owners: HashMap::new(),
            assignors: BTreeMap::new(),
            classic_members: 0,
            classic_protocols: BTreeMap::new(),
            has_partition_metadata: false,
            sessions: Sessions::default(),
        }
    }

    pub fn group_id(&self) -> &Arc<str> {
        &self.group_id
    }

    pub fn group_epoch(&self) -> i32 {
        self.group_epoch
    }

    pub fn assignment_epoch(&self) -> i32 {
        self.assignment_epoch
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub fn member_count(&self) -> usize {
        self.members.len()
    }

    pub fn member(&self, member_id: &str) -> Option<&Arc<Member>> {
        self.members.get(member_id)
    }

    /// In the order of their ids.
    pub fn members(&self) -> impl ExactSizeIterator<Item = &Arc<Member>> {
        self.members.values()
    }

    pub fn static_member(&self, instance_id: &str) -> Option<&Arc<Member>> {
        self.members.get(self.static_members.get(instance_id)?)
    }

    /// What a member shall have.
    pub fn target(&self, member_id: &str) -> Option<&Arc<Assignment>> {
        self.target.get(member_id)
    }

    /// Who has a partition, or has not given it up yet.
    pub fn owner(&self, topic: TopicId, partition: PartitionIndex) -> Option<&MemberId> {
        self.owners.get(&(topic, partition))
    }

    pub fn state(&self) -> GroupState {
        if self.members.is_empty() {
            GroupState::Empty
        } else if self.group_epoch > self.assignment_epoch {
            GroupState::Assigning
        } else if self.members.values().all(|member| member.is_reconciled_to(self.assignment_epoch)) {
            GroupState::Stable
        } else {
            GroupState::Reconciling
        }
    }

    /// Whether any member subscribes to the topic, which need not exist.
    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        self.subscriptions.has_topic(topic)
    }

    /// Whether all members that stay when `leaving` go speak the classic protocol.
    pub(super) fn is_classic_without(&self, leaving: &[&Member]) -> bool {
        let classic = leaving.iter().filter(|member| member.uses_classic_protocol()).count();
        self.classic_members - classic == self.members.len() - leaving.len()
    }

    /// Whether one of the protocols is supported by every classic member.
    pub(super) fn supports_classic_protocols<'a>(&self, mut names: impl Iterator<Item = &'a str>) -> bool {
        if self.members.is_empty() {
            return names.next().is_some();
        }
        names.any(|name| self.classic_protocols.get(name).copied().unwrap_or(0) == self.classic_members)
    }

    /// The assignor that most members ask for when `before` will have become `after`; of equals the first by name.
    pub(super) fn preferred_assignor<'a>(
        &'a self,
        before: Option<&Member>,
        after: Option<&'a Member>,
    ) -> Option<&'a str> {
        let asked_by = |member: Option<&'a Member>| member.and_then(|member| member.server_assignor.as_deref());
        let asks = |member: Option<&Member>, name: &str| {
            usize::from(member.is_some_and(|member| member.server_assignor.as_deref() == Some(name)))
        };
        let mut best: Option<(usize, &str)> = None;
        for name in self.assignors.keys().map(|name| &**name).chain(asked_by(after)) {
            let now = self.assignors.get(name).copied().unwrap_or(0);
            let count = (now + asks(after, name)).saturating_sub(asks(before, name));
            if count > 0 && best.is_none_or(|(most, _)| count > most) {
                best = Some((count, name));
            }
        }
        best.map(|(_, name)| name)
    }

    /// Takes a member in, or its new form.
    pub(super) fn put_member(&mut self, member: Member) {
        let member = Arc::new(member);
        if let Some(before) = self.members.insert(Arc::clone(&member.member_id), Arc::clone(&member)) {
            self.forget(&before);
        }
        self.subscriptions.add_member(&member);
        if let Some(instance_id) = &member.instance_id {
            self.static_members.insert(Arc::clone(instance_id), Arc::clone(&member.member_id));
        }
        for (topic, partition, _) in member.assigned.iter().chain(member.pending_revocation.iter()) {
            self.owners.insert((topic, partition), Arc::clone(&member.member_id));
        }
        if let Some(assignor) = &member.server_assignor {
            *self.assignors.entry(Arc::clone(assignor)).or_default() += 1;
        }
        if let Some(classic) = &member.classic {
            self.classic_members += 1;
            for (protocol, _) in &classic.protocols {
                *self.classic_protocols.entry(Arc::clone(protocol)).or_default() += 1;
            }
        }
    }

    pub(super) fn remove_member(&mut self, member_id: &str) {
        if let Some(before) = self.members.remove(member_id) {
            self.forget(&before);
            if let Some(instance_id) = &before.instance_id
                && self.static_members.get(instance_id).is_some_and(|id| **id == *member_id)
            {
                self.static_members.remove(instance_id);
            }
        }
        self.sessions.forget(member_id);
    }

    /// Takes a member out of all that is derived from members.
    fn forget(&mut self, member: &Member) {
        self.subscriptions.remove_member(member);
        for (topic, partition, _) in member.assigned.iter().chain(member.pending_revocation.iter()) {
            // Somebody else may have it by now: a damaged log must not free what that one has.
            if self.owners.get(&(topic, partition)).is_some_and(|owner| *owner == member.member_id) {
                self.owners.remove(&(topic, partition));
            }
        }
        if let Some(assignor) = &member.server_assignor {
            count_down(&mut self.assignors, assignor);
        }
        if let Some(classic) = &member.classic {
            self.classic_members -= 1;
            for (protocol, _) in &classic.protocols {
                count_down(&mut self.classic_protocols, protocol);
            }
        }
    }
}

fn count_down(counts: &mut BTreeMap<Arc<str>, usize>, key: &Arc<str>) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}
