//! The group as a value: who is in it, in which state, and what of it goes into the log.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::member::{InstanceId, Member, MemberId, Protocol, Protocols, timeout};
use super::subscription::SubscribedTopics;
use super::timers::ClassicTimer;
use crate::coordinator::cow_map::CowMap;
use crate::coordinator::group::records::{GroupMember, GroupMetadataValue};
use crate::error::ErrorCode;
use crate::time::TimestampMs;

/// Kafka's names of what a classic group can be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClassicGroupState {
    PreparingRebalance,
    CompletingRebalance,
    Stable,
    Dead,
    Empty,
}

impl ClassicGroupState {
    pub const fn name(self) -> &'static str {
        match self {
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
            Self::Empty => "Empty",
        }
    }
}

impl fmt::Display for ClassicGroupState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the group is doing, with what only then matters.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    Empty,
    PreparingRebalance {
        /// When the rebalance goes on with whoever has joined.
        deadline: Duration,
        /// Of a group that was empty.
        initial: Option<InitialDelay>,
    },
    CompletingRebalance,
    Stable,
}

/// How long a group that was empty waits for further members (`group.initial.rebalance.delay.ms`).
#[derive(Clone, Copy, Debug)]
pub(super) struct InitialDelay {
    /// The piece that runs now.
    pub(super) piece: Duration,
    /// What may be added to it, up to the rebalance timeout.
    pub(super) remaining: Duration,
    /// Somebody joined during this piece.
    pub(super) new_member_added: bool,
}

/// One classic group. A copy is cheap: members and indexes are shared until they change.
#[derive(Clone, Debug)]
pub struct ClassicGroup {
    pub(super) phase: Phase,
    pub(super) generation_id: i32,
    pub(super) protocol_type: Option<Arc<str>>,
    /// What the members agreed on for this generation.
    pub(super) protocol_name: Option<Arc<str>>,
    pub(super) leader_id: Option<MemberId>,
    /// What the members of this generation read; unknown before the first one, and of members that are no consumers.
    pub(super) subscribed_topics: Option<Arc<SubscribedTopics>>,
    /// Since when the group is in its state; unknown where an old record did not say.
    pub(super) state_timestamp_ms: Option<TimestampMs>,
    pub(super) members: CowMap<MemberId, Arc<Member>>,
    pub(super) static_members: CowMap<InstanceId, MemberId>,
    /// Ids that were given out and have not joined (KIP-394), and when they are forgotten.
    pub(super) pending_joins: CowMap<MemberId, Duration>,
    /// Members that know of this generation and have not asked for their assignment.
    pub(super) pending_syncs: CowMap<MemberId, ()>,
    /// When those are removed.
    pub(super) sync_deadline: Option<Duration>,
    /// How many members can take part in a protocol.
    supporters: CowMap<Arc<str>, usize>,
    /// How many members wait for their join to be answered.
    awaiting_join: usize,
    /// When the members' sessions are looked at next: no later than the first one may end, perhaps earlier.
    pub(super) session_check: Option<Duration>,
}

impl ClassicGroup {
    pub(super) fn new(now_ms: TimestampMs) -> Self {
        Self {
            phase: Phase::Empty,
            generation_id: 0,
            protocol_type: None,
            protocol_name: None,
            leader_id: None,
            subscribed_topics: None,
            state_timestamp_ms: Some(now_ms),
            members: CowMap::default(),
            static_members: CowMap::default(),
            pending_joins: CowMap::default(),
            pending_syncs: CowMap::default(),
            sync_deadline: None,
            supporters: CowMap::default(),
            awaiting_join: 0,
            session_check: None,
        }
    }

    /// The group as its last record has it: without anybody waiting, and with the one protocol that was agreed on.
    pub fn from_record(record: GroupMetadataValue) -> Self {
        let protocol_name: Option<Arc<str>> = record.protocol.map(Into::into);
        let mut group = Self {
            phase: if record.members.is_empty() { Phase::Empty } else { Phase::Stable },
            generation_id: record.generation,
            protocol_type: Some(record.protocol_type).filter(|name| !name.is_empty()).map(Into::into),
            protocol_name: protocol_name.clone(),
            leader_id: record.leader.map(Into::into),
            state_timestamp_ms: Some(record.current_state_timestamp_ms).filter(|timestamp| *timestamp != -1),
            ..Self::new(0)
        };
        for loaded in record.members {
            let rebalance_timeout_ms = if loaded.rebalance_timeout_ms == -1 {
                loaded.session_timeout_ms
            } else {
                loaded.rebalance_timeout_ms
            };
            let protocol =
                Protocol { name: protocol_name.clone().unwrap_or_default(), metadata: loaded.subscription };
            group.add_member(Member {
                member_id: loaded.member_id.into(),
                instance_id: loaded.group_instance_id.map(Into::into),
                client_id: loaded.client_id.into(),
                client_host: loaded.client_host.into(),
                rebalance_timeout_ms,
                session_timeout_ms: loaded.session_timeout_ms,
                protocols: Protocols::new([protocol]),
                assignment: loaded.assignment,
                join_waiter: None,
                sync_waiter: None,
                is_new: false,
                session_deadline: Duration::ZERO,
            });
        }
        group.take_in_subscriptions();
        group
    }

    /// The group as a record. What members said under other protocols, and who waits for what, is not part of it.
    pub fn to_record(&self) -> GroupMetadataValue {
        let subscription = |member: &Member| {
            let name = self.protocol_name.as_deref()?;
            member.protocols.metadata(name).cloned()
        };
        GroupMetadataValue {
            protocol_type: self.protocol_type.as_deref().unwrap_or_default().to_owned(),
            generation: self.generation_id,
            protocol: self.protocol_name.as_deref().map(str::to_owned),
            leader: self.leader_id.as_deref().map(str::to_owned),
            current_state_timestamp_ms: self.state_timestamp_ms.unwrap_or(-1),
            members: self
                .members
                .values()
                .map(|member| GroupMember {
                    member_id: member.member_id.to_string(),
                    group_instance_id: member.instance_id.as_deref().map(str::to_owned),
                    client_id: member.client_id.to_string(),
                    client_host: member.client_host.to_string(),
                    rebalance_timeout_ms: member.rebalance_timeout_ms,
                    session_timeout_ms: member.session_timeout_ms,
                    subscription: subscription(member).unwrap_or_default(),
                    assignment: member.assignment.clone(),
                })
                .collect(),
        }
    }

    pub fn state(&self) -> ClassicGroupState {
        match self.phase {
            Phase::Empty => ClassicGroupState::Empty,
            Phase::PreparingRebalance { .. } => ClassicGroupState::PreparingRebalance,
            Phase::CompletingRebalance => ClassicGroupState::CompletingRebalance,
            Phase::Stable => ClassicGroupState::Stable,
        }
    }

    pub fn is_empty(&self) -> bool {
        matches!(self.phase, Phase::Empty)
    }

    pub fn generation_id(&self) -> i32 {
        self.generation_id
    }

    pub fn protocol_type(&self) -> Option<&Arc<str>> {
        self.protocol_type.as_ref()
    }

    pub fn protocol_name(&self) -> Option<&Arc<str>> {
        self.protocol_name.as_ref()
    }

    /// By member id.
    pub fn members(&self) -> impl Iterator<Item = &Arc<Member>> {
        self.members.values()
    }

    pub fn member(&self, member_id: &str) -> Option<&Arc<Member>> {
        self.members.get(member_id)
    }

    pub fn member_count(&self) -> usize {
        self.members.len()
    }

    /// Who now goes by an instance id.
    pub fn static_member_id(&self, instance_id: &str) -> Option<&MemberId> {
        self.static_members.get(instance_id)
    }

    /// How many members wait for a rebalance to go on.
    pub fn awaiting_join(&self) -> usize {
        self.awaiting_join
    }

    pub(super) fn is_leader(&self, member_id: &str) -> bool {
        self.leader_id.as_deref() == Some(member_id)
    }

    pub(super) fn has_all_members_joined(&self) -> bool {
        self.members.len() == self.awaiting_join && self.pending_joins.is_empty()
    }

    /// The longest that any member may take to join or to sync.
    pub(super) fn rebalance_timeout(&self) -> Duration {
        self.members.values().map(|member| timeout(member.rebalance_timeout_ms)).max().unwrap_or_default()
    }

    /// Whether the request speaks for a member that is there.
    pub fn validate_member(&self, member_id: &str, instance_id: Option<&str>) -> Result<(), ErrorCode> {
        if let Some(instance_id) = instance_id {
            match self.static_members.get(instance_id) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(current) if &**current != member_id => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(member_id) { Ok(()) } else { Err(ErrorCode::UnknownMemberId) }
    }

    /// Whether a member with these protocols can take part with all that are there.
    pub(super) fn supports(&self, protocol_type: &str, protocols: &Protocols) -> bool {
        if self.is_empty() {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.names().any(|name| self.supporter_count(name) == self.members.len())
    }

    fn supporter_count(&self, name: &str) -> usize {
        self.supporters.get(name).copied().unwrap_or(0)
    }

    /// The protocol that most members prefer among those that all of them can take part in.
    pub(super) fn select_protocol(&self) -> Option<Arc<str>> {
        let mut votes: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
        for member in self.members.values() {
            let choice = member.protocols.names().find(|name| self.supporter_count(name) == self.members.len());
            *votes.entry(choice?).or_default() += 1;
        }
        let most = votes.values().copied().max()?;
        votes.into_iter().find(|(_, count)| *count == most).map(|(name, _)| Arc::clone(name))
    }

    pub(super) fn add_member(&mut self, member: Member) {
        if let Some(instance_id) = &member.instance_id {
            self.static_members.insert(Arc::clone(instance_id), Arc::clone(&member.member_id));
        }
        if self.leader_id.is_none() {
            self.leader_id = Some(Arc::clone(&member.member_id));
        }
        self.count_supporter(&member.protocols);
        self.awaiting_join += usize::from(member.awaits_join());
        self.watch_session(member.expires_at());
        self.pending_joins.remove(&member.member_id);
        self.members.insert(Arc::clone(&member.member_id), Arc::new(member));
    }

    /// Takes a member, or an id that has not joined, out. Whoever waits in its name is for the caller to answer.
    pub(super) fn take_member(&mut self, member_id: &str) -> Option<Arc<Member>> {
        self.pending_joins.remove(member_id);
        self.pending_syncs.remove(member_id);
        let member = self.members.remove(member_id)?;
        self.discount_supporter(&member.protocols);
        self.awaiting_join -= usize::from(member.awaits_join());
        if let Some(instance_id) = &member.instance_id {
            self.static_members.remove(instance_id);
        }
        if self.is_leader(member_id) {
            self.leader_id = self.members.keys().next().cloned();
        }
        Some(member)
    }

    /// Changes a member, if it is there, and keeps what is counted over all of them.
    pub(super) fn change_member<T>(&mut self, member_id: &str, change: impl FnOnce(&mut Member) -> T) -> Option<T> {
        let member = Arc::make_mut(self.members.get_mut(member_id)?);
        let (awaited, protocols) = (member.awaits_join(), member.protocols.clone());
        let result = change(member);
        let (awaits, expires_at, changed) = (member.awaits_join(), member.expires_at(), member.protocols.clone());
        self.awaiting_join = self.awaiting_join + usize::from(awaits) - usize::from(awaited);
        self.watch_session(expires_at);
        if changed != protocols {
            self.discount_supporter(&protocols);
            self.count_supporter(&changed);
        }
        Some(result)
    }

    fn count_supporter(&mut self, protocols: &Protocols) {
        for name in protocols.names() {
            let count = self.supporter_count(name);
            self.supporters.insert(Arc::clone(name), count + 1);
        }
    }

    fn discount_supporter(&mut self, protocols: &Protocols) {
        for name in protocols.names() {
            match self.supporter_count(name) {
                0 | 1 => drop(self.supporters.remove(name)),
                count => drop(self.supporters.insert(Arc::clone(name), count - 1)),
            }
        }
    }

    /// Sees to it that the sessions are looked at by then.
    pub(super) fn watch_session(&mut self, deadline: Option<Duration>) {
        let Some(deadline) = deadline else { return };
        if self.session_check.is_none_or(|check| deadline < check) {
            self.session_check = Some(deadline);
        }
    }

    pub(super) fn deadline(&self, timer: ClassicTimer) -> Option<Duration> {
        match (timer, &self.phase) {
            (ClassicTimer::Join, Phase::PreparingRebalance { deadline, .. }) => Some(*deadline),
            (ClassicTimer::Join, _) => None,
            (ClassicTimer::Sync, _) => self.sync_deadline,
            (ClassicTimer::Session, _) => self.session_check,
        }
    }
}
