//! The way from one generation to the next.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tracing::info;

use super::group::{ClassicGroup, ClassicGroupState, InitialDelay, Phase};
use super::member::MemberId;
use super::reply::{JoinReply, JoinedMember, SyncReply};
use super::turn::Turn;
use crate::coordinator::cow_map::CowMap;
use crate::error::ErrorCode;

impl Turn<'_> {
    pub(super) fn enter(&mut self, phase: Phase) {
        self.group.phase = phase;
        self.group.state_timestamp_ms = Some(self.now.wall_ms);
    }

    /// Membership changed: a rebalance begins, or the one that is under way may be complete.
    pub(super) fn rebalance_or_complete_join(&mut self, reason: &str) {
        if matches!(self.group.phase, Phase::PreparingRebalance { .. }) {
            self.complete_join_if_all_joined();
        } else {
            self.prepare_rebalance(reason);
        }
    }

    /// Goes on once nobody is missing. A group that was empty waits for its delay, whoever is there.
    pub(super) fn complete_join_if_all_joined(&mut self) {
        if matches!(self.group.phase, Phase::PreparingRebalance { initial: None, .. })
            && self.group.has_all_members_joined()
        {
            self.complete_join();
        }
    }

    /// Asks all members to join again.
    pub(super) fn prepare_rebalance(&mut self, reason: &str) {
        let was = self.group.state();
        if was == ClassicGroupState::CompletingRebalance {
            self.group.members.for_each_mut(|_, member| {
                if !member.assignment.is_empty() {
                    Arc::make_mut(member).assignment = Bytes::new();
                }
            });
            self.answer_syncs(ErrorCode::RebalanceInProgress);
        }
        self.expect_no_syncs();
        info!(group_id = self.group_id, generation = self.group.generation_id, %was, reason, "preparing to rebalance");
        let initial = (was == ClassicGroupState::Empty).then(|| {
            let piece = self.settings.initial_rebalance_delay;
            InitialDelay {
                piece,
                remaining: self.group.rebalance_timeout().saturating_sub(piece),
                new_member_added: false,
            }
        });
        let wait = initial.map_or_else(|| self.group.rebalance_timeout(), |initial| initial.piece);
        self.enter(Phase::PreparingRebalance { deadline: self.deadline_in(wait), initial });
        self.complete_join_if_all_joined();
    }

    /// The deadline of a rebalance has passed.
    pub(super) fn join_deadline_passed(&mut self) {
        let Phase::PreparingRebalance { initial, .. } = self.group.phase else { return };
        match initial {
            Some(initial) if initial.new_member_added && !initial.remaining.is_zero() => self.extend_delay(initial),
            _ => self.complete_join(),
        }
    }

    /// A new member came while the group waited: others may be right behind it.
    fn extend_delay(&mut self, initial: InitialDelay) {
        let piece = self.settings.initial_rebalance_delay.min(initial.remaining);
        let remaining = initial.remaining.saturating_sub(initial.piece);
        self.group.phase = Phase::PreparingRebalance {
            deadline: self.deadline_in(piece),
            initial: Some(InitialDelay { piece, remaining, new_member_added: false }),
        };
    }

    /// Begins the next generation with whoever has joined. Static members stay without joining, until their session ends.
    pub(super) fn complete_join(&mut self) {
        let missing: Vec<MemberId> = self
            .group
            .members
            .values()
            .filter(|member| !member.awaits_join() && !member.is_static())
            .map(|member| Arc::clone(&member.member_id))
            .collect();
        if !missing.is_empty() {
            info!(group_id = self.group_id, ?missing, "removing members that did not join again in time");
        }
        for member_id in missing {
            self.remove_member(&member_id);
        }
        if self.group.members.is_empty() {
            self.become_empty();
        } else if self.elect_joined_leader() {
            self.begin_generation();
        } else {
            self.wait_for_anybody();
        }
    }

    /// A leader that did not join again cannot assign. Whether there is one that can.
    fn elect_joined_leader(&mut self) -> bool {
        let group = &mut self.group;
        let awaits_join = |id: &MemberId| group.members.get(id).is_some_and(|member| member.awaits_join());
        if group.leader_id.as_ref().is_some_and(awaits_join) {
            return true;
        }
        let Some(joined) = group.members.values().find(|member| member.awaits_join()) else { return false };
        group.leader_id = Some(Arc::clone(&joined.member_id));
        true
    }

    /// There are only static members, and none joined: their sessions end one after the other, or somebody comes back.
    fn wait_for_anybody(&mut self) {
        let deadline = self.deadline_in(self.group.rebalance_timeout().max(RETRY_MIN));
        if let Phase::PreparingRebalance { deadline: current, .. } = &mut self.group.phase {
            *current = deadline;
        }
    }

    fn become_empty(&mut self) {
        self.next_generation();
        self.group.protocol_name = None;
        self.group.take_in_subscriptions();
        self.enter(Phase::Empty);
        info!(group_id = self.group_id, generation = self.group.generation_id, "the group is empty");
        self.persist();
    }

    fn begin_generation(&mut self) {
        self.next_generation();
        self.group.protocol_name = self.group.select_protocol();
        self.group.take_in_subscriptions();
        self.enter(Phase::CompletingRebalance);
        let (generation, members) = (self.group.generation_id, self.group.members.len());
        info!(group_id = self.group_id, generation, members, "all members have joined");
        self.answer_joins();
        self.group.sync_deadline = Some(self.deadline_in(self.group.rebalance_timeout()));
    }

    fn next_generation(&mut self) {
        self.expect_no_syncs();
        self.group.generation_id = self.group.generation_id.checked_add(1).unwrap_or(0);
    }

    /// The sync was asked for. Once all were, nobody is removed for not asking.
    pub(super) fn has_synced(&mut self, member_id: &str) {
        self.group.pending_syncs.remove(member_id);
        if self.group.pending_syncs.is_empty() {
            self.group.sync_deadline = None;
        }
    }

    fn expect_no_syncs(&mut self) {
        self.group.pending_syncs = CowMap::default();
        self.group.sync_deadline = None;
    }

    /// What a member is told of this generation: the leader, who is in it.
    pub(super) fn join_reply(&self, member_id: &MemberId) -> JoinReply {
        let group = &self.group;
        JoinReply {
            error: ErrorCode::None,
            generation_id: group.generation_id,
            protocol_type: group.protocol_type.clone(),
            protocol_name: group.protocol_name.clone(),
            leader: group.leader_id.clone(),
            skip_assignment: false,
            member_id: Arc::clone(member_id),
            members: if group.is_leader(member_id) { joined_members(group) } else { Vec::new() },
        }
    }

    pub(super) fn sync_reply(&self, member_id: &str) -> SyncReply {
        let group = &self.group;
        SyncReply {
            error: ErrorCode::None,
            protocol_type: group.protocol_type.clone(),
            protocol_name: group.protocol_name.clone(),
            assignment: group.members.get(member_id).map(|member| member.assignment.clone()).unwrap_or_default(),
        }
    }
}

/// Clients choose their rebalance timeout, and may choose none: not a reason to look again at once, and again.
const RETRY_MIN: Duration = Duration::from_millis(100);

fn joined_members(group: &ClassicGroup) -> Vec<JoinedMember> {
    let protocol_name = group.protocol_name.as_deref().unwrap_or_default();
    group
        .members
        .values()
        .map(|member| JoinedMember {
            member_id: Arc::clone(&member.member_id),
            instance_id: member.instance_id.clone(),
            metadata: member.protocols.metadata(protocol_name).cloned().unwrap_or_default(),
        })
        .collect()
}
