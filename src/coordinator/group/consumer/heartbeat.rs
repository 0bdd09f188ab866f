//! `ConsumerGroupHeartbeat` of a member that joins or stays.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::change::{Change, Found, RegexChange};
use super::context::{Client, Context, Outcome, shared};
use super::error::GroupError;
use super::group::ConsumerGroup;
use super::member::{JOINING_EPOCH, Member, MemberId, STATIC_LEAVING_EPOCH};
use super::owned::OwnedPartitions;
use crate::ids::{TopicId, TopicName};
use crate::protocol::wire::messages::ConsumerGroupHeartbeatRequest;
use crate::protocol::wire::messages::consumer_group_heartbeat_request::TopicPartitions;

/// One heartbeat.
#[derive(Clone, Copy, Debug)]
pub struct Heartbeat<'a> {
    pub request: &'a ConsumerGroupHeartbeatRequest,
    pub client: Client<'a>,
    /// The id for a member that joins without one, which version 0 allows.
    pub new_member_id: &'a str,
}

/// The answer to a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeartbeatReply {
    pub member_id: MemberId,
    pub member_epoch: i32,
    pub heartbeat_interval_ms: i32,
    /// What the member has now; `None`: the same as before.
    pub assignment: Option<Arc<OwnedPartitions>>,
}

impl Heartbeat<'_> {
    /// The member that speaks.
    pub fn member_id(&self) -> &str {
        if self.request.member_id.is_empty() { self.new_member_id } else { &self.request.member_id }
    }

    /// Whether the request says all that a member can say: the answer has then to be complete as well.
    fn is_full(&self) -> bool {
        let request = self.request;
        request.rebalance_timeout_ms != -1
            && (request.subscribed_topic_names.is_some() || request.subscribed_topic_regex.is_some())
            && request.topic_partitions.is_some()
    }

    fn wants_assignment(&self) -> bool {
        self.request.member_epoch == JOINING_EPOCH || self.is_full()
    }
}

/// Decides a heartbeat that passed [`check_heartbeat`](super::check_heartbeat) and does not leave. `group` is a new one
/// if the member joins a group that is not there.
pub fn heartbeat(
    group: &ConsumerGroup,
    input: &Heartbeat<'_>,
    context: &Context<'_>,
) -> Result<Outcome<HeartbeatReply>, GroupError> {
    let member_id = input.member_id();
    let max_size = context.settings.max_size;
    if group.member_count() >= max_size && group.member(member_id).is_none() {
        return Err(GroupError::GroupMaxSizeReached(max_size));
    }
    let found = find_member(group, input)?;
    if let Some(reply) = steady(group, &found, input, context) {
        return Ok(Outcome::reply(reply));
    }

    let before_assigned = Arc::clone(&found.member.assigned);
    let mut change = Change::new(group, context, found);
    say(&mut change.after, input);
    let names_changed = change.write_member();
    let regex = change.update_regexes()?;
    // Without knowing what a regular expression stands for, a new target would have to be replaced at once.
    let group_epoch = change.update_epoch(names_changed || regex == RegexChange::Resolved);
    let target = change.update_target(group_epoch);
    let owned = input.request.topic_partitions.as_deref();
    change.reconcile(target, names_changed || regex != RegexChange::Same, owned)?;
    change.start_session(context.settings.session_timeout);
    Ok(change.finish(|member| reply_of(&member, &before_assigned, input, context)))
}

/// The answer to a heartbeat that changes nothing, which most do: without a copy of anything.
fn steady(
    group: &ConsumerGroup,
    found: &Found,
    input: &Heartbeat<'_>,
    context: &Context<'_>,
) -> Option<HeartbeatReply> {
    let member = &found.member;
    let steady = found.is_known
        && found.replaced.is_none()
        && says_nothing_new(member, input)
        && !group.metadata_check_is_due(context.now)
        && !group.regexes_are_due(context)
        && (group.group_epoch <= group.assignment_epoch || !group.may_assign(context))
        && member.is_reconciled_to(group.assignment_epoch);
    steady.then(|| reply_of(member, &member.assigned, input, context))
}

fn reply_of(
    member: &Member,
    before: &Arc<OwnedPartitions>,
    input: &Heartbeat<'_>,
    context: &Context<'_>,
) -> HeartbeatReply {
    let is_changed = !Arc::ptr_eq(before, &member.assigned) && before != &member.assigned;
    HeartbeatReply {
        member_id: Arc::clone(&member.member_id),
        member_epoch: member.member_epoch,
        heartbeat_interval_ms: context.settings.heartbeat_interval_ms,
        assignment: (is_changed || input.wants_assignment()).then(|| Arc::clone(&member.assigned)),
    }
}

/// The member that speaks, if it may: new where it joins.
fn find_member(group: &ConsumerGroup, input: &Heartbeat<'_>) -> Result<Found, GroupError> {
    let request = input.request;
    let joins = request.member_epoch == JOINING_EPOCH;
    let known = match request.instance_id.as_deref() {
        None => group.member(input.member_id()),
        Some(instance_id) if joins => return find_joining_static_member(group, input, instance_id),
        Some(instance_id) => Some(group.checked_static_member(instance_id, input.member_id())?),
    };
    let Some(member) = known else {
        if !joins {
            return Err(group.unknown_member(input.member_id()));
        }
        return Ok(new_member(input.member_id()));
    };
    check_epoch(member, request.member_epoch, request.topic_partitions.as_deref())?;
    Ok(Found { member: Arc::clone(member), is_known: true, replaced: None })
}

/// A static member joins: as a new one, or in the place of the one that left (-2) or speaks the classic protocol.
fn find_joining_static_member(
    group: &ConsumerGroup,
    input: &Heartbeat<'_>,
    instance_id: &str,
) -> Result<Found, GroupError> {
    let Some(existing) = group.static_member(instance_id) else {
        let known = group.member(input.member_id());
        return Ok(known.map_or_else(
            || new_member(input.member_id()),
            |member| Found { member: Arc::clone(member), is_known: true, replaced: None },
        ));
    };
    if !existing.uses_classic_protocol() && existing.member_epoch != STATIC_LEAVING_EPOCH {
        return Err(GroupError::UnreleasedInstanceId {
            instance_id: instance_id.to_owned(),
            holder: existing.member_id.to_string(),
        });
    }
    Ok(taking_over(existing, input.member_id()))
}

fn new_member(member_id: &str) -> Found {
    Found { member: Arc::new(Member::new(member_id.into())), is_known: false, replaced: None }
}

/// A static member under its new id, with all that it had.
pub(super) fn taking_over(existing: &Arc<Member>, member_id: &str) -> Found {
    let mut member = Member::clone(existing);
    member.member_id = shared(&existing.member_id, member_id);
    member.member_epoch = JOINING_EPOCH;
    member.previous_member_epoch = JOINING_EPOCH;
    Found { member: Arc::new(member), is_known: false, replaced: Some(Arc::clone(existing)) }
}

/// A member has to come with its epoch, or with the one before if the reply that moved it on may have been lost: then
/// it can't have anything that it was not given.
fn check_epoch(member: &Member, epoch: i32, owned: Option<&[TopicPartitions]>) -> Result<(), GroupError> {
    let lost_reply = || {
        epoch == member.previous_member_epoch
            && owned.is_some_and(|owned| {
                owned.iter().all(|topic| {
                    topic.partitions.iter().all(|&it| member.assigned.contains(TopicId(topic.topic_id), it))
                })
            })
    };
    if epoch == JOINING_EPOCH || epoch == member.member_epoch || (epoch < member.member_epoch && lost_reply()) {
        return Ok(());
    }
    let relation = if epoch > member.member_epoch { "greater" } else { "smaller" };
    Err(GroupError::FencedMemberEpoch(format!(
        "The consumer group member has a {relation} member epoch ({epoch}) than the one known by the group coordinator \
         ({}). The member must abandon all its partitions and rejoin.",
        member.member_epoch
    )))
}

fn says_nothing_new(member: &Member, input: &Heartbeat<'_>) -> bool {
    let request = input.request;
    let same = |said: Option<&str>, known: Option<&str>| said.is_none() || said == known;
    same(request.instance_id.as_deref(), member.instance_id.as_deref())
        && same(request.rack_id.as_deref(), member.rack_id.as_deref())
        && same(request.server_assignor.as_deref(), member.server_assignor.as_deref())
        && same(request.subscribed_topic_regex.as_deref(), Some(&member.subscribed_topic_regex))
        && matches!(request.rebalance_timeout_ms, timeout if timeout == -1 || timeout == member.rebalance_timeout_ms)
        && request.subscribed_topic_names.as_ref().is_none_or(|names| {
            // Names said twice make the lengths differ: then the slow way finds out.
            names.len() == member.subscribed_topic_names.len()
                && names.iter().all(|name| member.subscribed_topic_names.contains(&***name))
        })
        && *input.client.id == *member.client_id
        && *input.client.host == *member.client_host
        && !member.uses_classic_protocol()
}

/// Takes over what the request says; what it leaves out stays.
fn say(member: &mut Member, input: &Heartbeat<'_>) {
    let request = input.request;
    let update = |known: &mut Option<Arc<str>>, said: Option<&str>| {
        if let Some(said) = said.filter(|said| known.as_deref() != Some(said)) {
            *known = Some(said.into());
        }
    };
    update(&mut member.instance_id, request.instance_id.as_deref());
    update(&mut member.rack_id, request.rack_id.as_deref());
    update(&mut member.server_assignor, request.server_assignor.as_deref());
    if request.rebalance_timeout_ms != -1 {
        member.rebalance_timeout_ms = request.rebalance_timeout_ms;
    }
    if let Some(names) = &request.subscribed_topic_names {
        let names: BTreeSet<TopicName> = names.iter().map(|name| TopicName::from(&***name)).collect();
        if names != *member.subscribed_topic_names {
            member.subscribed_topic_names = Arc::new(names);
        }
    }
    if let Some(regex) = &request.subscribed_topic_regex {
        member.subscribed_topic_regex = shared(&member.subscribed_topic_regex, regex);
    }
    member.client_id = shared(&member.client_id, input.client.id);
    member.client_host = shared(&member.client_host, input.client.host);
    member.classic = None;
}

impl ConsumerGroup {
    pub(super) fn unknown_member(&self, member_id: &str) -> GroupError {
        GroupError::UnknownMemberId(format!("Member {member_id} is not a member of group {}.", self.group_id))
    }

    /// The member with that instance id, if it has that member id.
    pub(super) fn checked_static_member(
        &self,
        instance_id: &str,
        member_id: &str,
    ) -> Result<&Arc<Member>, GroupError> {
        let member = self
            .static_member(instance_id)
            .ok_or_else(|| GroupError::UnknownMemberId(format!("Instance id {instance_id} is unknown.")))?;
        if *member.member_id != *member_id {
            return Err(GroupError::FencedInstanceId {
                instance_id: instance_id.to_owned(),
                holder: member.member_id.to_string(),
            });
        }
        Ok(member)
    }
}
