//! Members that go: by their own wish, because nothing was heard of them, or because they do not keep up.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::context::{Context, Outcome};
use super::error::GroupError;
use super::group::ConsumerGroup;
use super::heartbeat::HeartbeatReply;
use super::member::{Member, STATIC_LEAVING_EPOCH};
use super::records;
use super::sessions::{MemberTimer, TimerChange, TimerKind};
use super::topics::group_hash;
use crate::protocol::wire::messages::ConsumerGroupHeartbeatRequest;

/// What is to be done about members that go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leave<R> {
    /// They are taken out of the group.
    Removed(Outcome<R>),
    /// Only members of the classic protocol stay, so the group becomes a classic one without those that go.
    Downgrade { leaving: BTreeSet<Arc<str>>, reply: R },
}

/// Decides a heartbeat with epoch -1 or -2.
pub fn leave(
    group: &ConsumerGroup,
    request: &ConsumerGroupHeartbeatRequest,
    context: &Context<'_>,
) -> Result<Leave<HeartbeatReply>, GroupError> {
    let member = match request.instance_id.as_deref() {
        None => group.member(&request.member_id).ok_or_else(|| group.unknown_member(&request.member_id))?,
        Some(instance_id) => group.checked_static_member(instance_id, &request.member_id)?,
    };
    let reply = HeartbeatReply {
        member_id: Arc::clone(&member.member_id),
        member_epoch: request.member_epoch,
        heartbeat_interval_ms: 0,
        assignment: None,
    };
    if request.instance_id.is_some() && request.member_epoch == STATIC_LEAVING_EPOCH {
        return Ok(Leave::Removed(leave_for_now(group, member, reply)));
    }
    Ok(remove(group, &[member], context, reply))
}

/// A static member that will be back: its partitions are kept for it until its session ends.
fn leave_for_now(group: &ConsumerGroup, member: &Member, reply: HeartbeatReply) -> Outcome<HeartbeatReply> {
    let mut leaving = member.clone();
    leaving.member_epoch = STATIC_LEAVING_EPOCH;
    leaving.pending_revocation = Arc::default();
    // Under its next id it has them since ever.
    leaving.assigned = Arc::new(member.assigned.with_epoch(0));
    let mut outcome = Outcome::reply(reply);
    outcome.records.push(records::current(&group.group_id, &leaving));
    outcome
}

/// Takes members out; their partitions are free at once.
pub(super) fn remove<R>(
    group: &ConsumerGroup,
    leaving: &[&Arc<Member>],
    context: &Context<'_>,
    reply: R,
) -> Leave<R> {
    let leaving: Vec<&Member> = leaving.iter().map(|member| &***member).collect();
    if leaving.is_empty() {
        return Leave::Removed(Outcome::reply(reply));
    }
    if group.becomes_classic_without(&leaving, context) {
        let leaving = leaving.iter().map(|member| Arc::clone(&member.member_id)).collect();
        return Leave::Downgrade { leaving, reply };
    }
    let mut outcome = Outcome::reply(reply);
    for member in &leaving {
        outcome.records.extend(records::member_tombstones(&group.group_id, &member.member_id));
        outcome.timers.extend(ConsumerGroup::timers_of(member));
    }
    for regex in group.subscriptions.regexes_only_of(&leaving) {
        outcome.records.push(records::regex_tombstone(&group.group_id, &regex));
    }
    let hash = group_hash(group.subscriptions.after(&leaving, None).topics(), context.topics);
    outcome.records.push(records::group_epoch(&group.group_id, group.group_epoch + 1, hash));
    Leave::Removed(outcome)
}

impl ConsumerGroup {
    /// Whether the group is to become a classic one when these members go.
    fn becomes_classic_without(&self, leaving: &[&Member], context: &Context<'_>) -> bool {
        let staying = self.member_count() - leaving.len();
        staying > 0
            && staying <= context.settings.classic_max_size
            && context.settings.migration_policy.allows_downgrade()
            && self.is_classic_without(leaving)
    }

    /// Takes back every timer of a member.
    fn timers_of(member: &Member) -> Vec<TimerChange> {
        [TimerKind::Session, TimerKind::Rebalance, TimerKind::Join, TimerKind::Sync]
            .into_iter()
            .map(|kind| TimerChange { timer: MemberTimer::new(&member.member_id, kind), deadline: None })
            .collect()
    }
}
