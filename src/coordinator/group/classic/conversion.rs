//! Groups that come from the consumer protocol, or go over to it, with members that stay.

use std::sync::Arc;

use bytes::Bytes;

use super::group::{ClassicGroup, Phase};
use super::member::{InstanceId, Member, MemberId, Protocols, timeout};
use super::reply::{ClassicReply, JoinReply, SyncReply};
use super::subscription::CONSUMER;
use super::turn::{ClassicDecision, ClassicSettings, Turn};
use crate::coordinator::{Now, ReplyTo};
use crate::error::ErrorCode;

/// A member that stays while its group changes its protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvertedMember {
    pub member_id: MemberId,
    pub instance_id: Option<InstanceId>,
    pub client_id: Arc<str>,
    pub client_host: Arc<str>,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    pub protocols: Protocols,
    pub assignment: Bytes,
}

/// A group of consumers goes on as a classic one, which has everything but a leader's assignment of its own. `rebalance`:
/// why the members have to join again, if they have to.
pub fn from_consumer_group(
    group_id: &str,
    settings: &ClassicSettings,
    now: Now,
    generation_id: i32,
    members: Vec<ConvertedMember>,
    rebalance: Option<&str>,
) -> ClassicDecision {
    let mut group = ClassicGroup::new(now.wall_ms);
    group.phase = Phase::Stable;
    group.generation_id = generation_id;
    group.protocol_type = Some(CONSUMER.into());
    for member in members {
        group.add_member(Member {
            member_id: member.member_id,
            instance_id: member.instance_id,
            client_id: member.client_id,
            client_host: member.client_host,
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout_ms,
            protocols: member.protocols,
            assignment: member.assignment,
            join_waiter: None,
            sync_waiter: None,
            is_new: false,
            session_deadline: now.monotonic.saturating_add(timeout(member.session_timeout_ms)),
        });
    }
    group.protocol_name = group.select_protocol();
    group.take_in_subscriptions();
    let mut turn = Turn::new(group_id, settings, now, group).after_loading();
    turn.persist();
    if let Some(reason) = rebalance {
        turn.prepare_rebalance(reason);
    }
    turn.decide()
}

impl ClassicGroup {
    /// Tells everybody who waits to join again: the group they waited in is no more.
    pub fn answers_of_the_waiting(&self) -> Vec<(ReplyTo, ClassicReply)> {
        let error = ErrorCode::RebalanceInProgress;
        let mut answers = Vec::new();
        for member in self.members.values() {
            let join = |_| ClassicReply::Join(JoinReply::refused(error, Arc::clone(&member.member_id)));
            let sync = |_| ClassicReply::Sync(SyncReply::refused(error));
            answers.extend(member.join_waiter.map(|waiter| (waiter, join(waiter))));
            answers.extend(member.sync_waiter.map(|waiter| (waiter, sync(waiter))));
        }
        answers
    }
}
