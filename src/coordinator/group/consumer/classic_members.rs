//! Members of the classic protocol in a group of the consumer protocol: JoinGroup, SyncGroup, Heartbeat and LeaveGroup.
//!
//! A generation is the member's epoch. A join takes the place of a heartbeat that says everything, a sync fetches what
//! the join gave the member, a heartbeat tells it to join again. Nobody leads, and nobody waits for the others.

use std::sync::Arc;

use super::change::{Change, Found, RegexChange, millis};
use super::context::{Context, Outcome};
use super::embedded::{read_subscription, write_assignment};
use super::error::GroupError;
use super::group::ConsumerGroup;
use super::heartbeat::taking_over;
use super::leave::{Leave, remove};
use super::member::{ClassicMember, Member, MemberState};
use super::records;
use super::sessions::{MemberTimer, SoftChange, TimerChange, TimerKind};
use crate::coordinator::group::classic::{
    Heartbeat, Join, JoinReply, Leave as LeaveRequest, LeaveReply, LeavingMember, LeftMember, Sync, SyncReply,
};
use crate::coordinator::group::records::GroupRecord;
use crate::error::ErrorCode;

/// The protocol type of consumers.
pub(super) const CONSUMER: &str = "consumer";

/// What a join comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Joined {
    /// The member is in, or is told an id to come back with.
    Here(Outcome<JoinReply>),
    /// It takes the place of the last member of the consumer protocol: the group becomes a classic one.
    Downgrade(Box<LastReplaced>),
}

/// A classic static member in the place of the last one that was not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastReplaced {
    /// What was written of the change so far.
    pub(super) records: Vec<GroupRecord>,
    pub(super) joining: Member,
    pub(super) replaced: Arc<Member>,
    /// The assignment is out of date.
    pub(super) rebalance: bool,
    pub(super) reply: JoinReply,
}

/// Decides a JoinGroup to a group that has members.
pub fn join(group: &ConsumerGroup, join: &Join, context: &Context<'_>) -> Result<Joined, GroupError> {
    let settings = context.settings;
    let policy = settings.migration_policy;
    if !policy.allows_upgrade() && !policy.allows_downgrade() {
        return Err(GroupError::InconsistentGroupProtocol("groups are not migrated here".to_owned()));
    }
    let is_unknown = join.member_id.is_empty();
    let member_id = if is_unknown { &join.new_member_id } else { &join.member_id };
    if group.member_count() >= settings.max_size && group.member(member_id).is_none() {
        return Err(GroupError::GroupMaxSizeReached(settings.max_size));
    }
    let supported = *join.protocol_type == *CONSUMER
        && group.supports_classic_protocols(join.protocols.names().map(|name| &**name));
    let preferred = join.protocols.iter().next().filter(|_| supported);
    let Some(preferred) = preferred else {
        return Err(GroupError::InconsistentGroupProtocol(format!("{member_id}'s protocols are not supported")));
    };
    if is_unknown && join.requires_known_member_id && join.instance_id.is_none() {
        let reply = JoinReply::refused(ErrorCode::MemberIdRequired, Arc::clone(member_id));
        return Ok(Joined::Here(Outcome::reply(reply)));
    }
    let said = read_subscription(&preferred.metadata, context.topics)
        .map_err(|error| GroupError::InconsistentGroupProtocol(error.to_string()))?;

    let found = find_member(group, join, member_id)?;
    let last = join.instance_id.as_deref().and_then(|instance_id| group.static_member(instance_id));
    let last = last.filter(|existing| group.becomes_classic_by_replacing(existing, context)).cloned();
    let mut change = Change::new(group, context, found);
    say(&mut change.after, join);
    change.after.subscribed_topic_names = said.topics;
    if said.rack_id.is_some() {
        change.after.rack_id = said.rack_id;
    }
    let names_changed = change.write_member();
    let changed = change.update_regexes()? != RegexChange::Same || names_changed;
    let group_epoch = change.update_epoch(changed);
    let stale = group.assignment_epoch < group_epoch;
    if last.is_none() || !stale {
        // A group that becomes a classic one does not get a new target any more.
        let target_epoch = if last.is_none() { group_epoch } else { group.assignment_epoch };
        let target = change.update_target(target_epoch);
        change.reconcile(target, changed, Some(&said.owned))?;
    }
    let reply = JoinReply {
        error: ErrorCode::None,
        generation_id: change.after.member_epoch,
        protocol_type: Some(Arc::from(CONSUMER)),
        protocol_name: Some(Arc::clone(&preferred.name)),
        leader: None,
        skip_assignment: false,
        member_id: Arc::clone(&change.after.member_id),
        members: Vec::new(),
    };
    if let Some(replaced) = last {
        let (records, joining) = (change.records, change.after);
        return Ok(Joined::Downgrade(Box::new(LastReplaced { records, joining, replaced, rebalance: stale, reply })));
    }
    expect_sync(&mut change, join);
    Ok(Joined::Here(change.finish(|_| reply)))
}

/// The member's session begins, and it has its rebalance timeout to ask for its assignment.
fn expect_sync(change: &mut Change<'_>, join: &Join) {
    let now = change.context.now;
    let member_id = Arc::clone(&change.after.member_id);
    let (session, sync) = (now + millis(join.session_timeout_ms), now + millis(join.rebalance_timeout_ms));
    change.soft.push(SoftChange::Session { member_id: Arc::clone(&member_id), deadline: session });
    change.soft.push(SoftChange::Join { member_id: Arc::clone(&member_id), deadline: None });
    change.soft.push(SoftChange::Sync { member_id: Arc::clone(&member_id), deadline: Some(sync) });
    let timers = [(TimerKind::Session, Some(session)), (TimerKind::Join, None), (TimerKind::Sync, Some(sync))];
    change
        .timers
        .extend(timers.map(|(kind, deadline)| TimerChange { timer: MemberTimer::new(&member_id, kind), deadline }));
}

fn find_member(group: &ConsumerGroup, join: &Join, member_id: &Arc<str>) -> Result<Found, GroupError> {
    let known = |member: &Arc<Member>| Found { member: Arc::clone(member), is_known: true, replaced: None };
    let new = || Found { member: Arc::new(Member::new(Arc::clone(member_id))), is_known: false, replaced: None };
    let Some(instance_id) = join.instance_id.as_deref() else {
        return Ok(group.member(member_id).map_or_else(new, known));
    };
    if !join.member_id.is_empty() {
        return group.checked_static_member(instance_id, member_id).map(known);
    }
    Ok(group.static_member(instance_id).map_or_else(new, |existing| taking_over(existing, member_id)))
}

fn say(member: &mut Member, join: &Join) {
    if let Some(instance_id) = &join.instance_id {
        member.instance_id = Some(Arc::clone(instance_id));
    }
    if join.rebalance_timeout_ms != -1 {
        member.rebalance_timeout_ms = join.rebalance_timeout_ms;
    }
    // There are no such subscriptions in the classic protocol: the client looks for topics itself.
    member.subscribed_topic_regex = Arc::default();
    member.client_id = Arc::clone(&join.client_id);
    member.client_host = Arc::clone(&join.client_host);
    member.classic = Some(Arc::new(ClassicMember {
        session_timeout_ms: join.session_timeout_ms,
        protocols: join.protocols.iter().map(|it| (Arc::clone(&it.name), it.metadata.clone())).collect(),
    }));
}

/// Decides a SyncGroup: the member is given what its join gave it.
pub fn sync(group: &ConsumerGroup, sync: &Sync, context: &Context<'_>) -> Outcome<SyncReply> {
    let checked = checked_member(group, &sync.member_id, sync.instance_id.as_deref(), sync.generation_id).and_then(
        |(member, classic)| {
            check_protocol(classic, sync)?;
            Ok((member, classic))
        },
    );
    let (member, classic) = match checked {
        Ok(found) => found,
        Err(error) => return Outcome::reply(SyncReply::refused(error.code())),
    };
    // One that has to give partitions up knows of the rebalance: it joins again when it has.
    if group.assignment_epoch > member.member_epoch && member.state != MemberState::UnrevokedPartitions {
        return told_to_join(group, member, context, SyncReply::refused(ErrorCode::RebalanceInProgress));
    }
    let first = classic.protocols.first().map(|(_, metadata)| metadata);
    let assignment = member.assigned.to_assignment();
    let written = first.and_then(|metadata| write_assignment(&assignment, metadata, context.topics).ok());
    let Some(assignment) = written else {
        return Outcome::reply(SyncReply::refused(ErrorCode::UnknownServerError));
    };
    let mut outcome = Outcome::reply(SyncReply {
        error: ErrorCode::None,
        protocol_type: sync.protocol_type.clone(),
        protocol_name: sync.protocol_name.clone(),
        assignment,
    });
    heard_of(group, member, classic, context);
    outcome.soft.push(SoftChange::Sync { member_id: Arc::clone(&member.member_id), deadline: None });
    outcome.timers.push(TimerChange { timer: MemberTimer::new(&member.member_id, TimerKind::Sync), deadline: None });
    outcome
}

/// Decides a Heartbeat: the member is told to join again when there is something for it to do.
pub fn heartbeat(group: &ConsumerGroup, heartbeat: &Heartbeat, context: &Context<'_>) -> Outcome<ErrorCode> {
    let checked =
        checked_member(group, &heartbeat.member_id, heartbeat.instance_id.as_deref(), heartbeat.generation_id);
    let (member, classic) = match checked {
        Ok(found) => found,
        Err(error) => return Outcome::reply(error.code()),
    };
    heard_of(group, member, classic, context);
    let has_to_join = member.member_epoch < group.assignment_epoch
        || member.state == MemberState::UnrevokedPartitions
        || (member.state == MemberState::UnreleasedPartitions && !group.waits_for_others(member));
    if has_to_join {
        return told_to_join(group, member, context, ErrorCode::RebalanceInProgress);
    }
    Outcome::reply(ErrorCode::None)
}

/// Decides a LeaveGroup, of members of either protocol: an administrator may take out any.
pub fn leave(group: &ConsumerGroup, request: &LeaveRequest, context: &Context<'_>) -> Leave<LeaveReply> {
    let mut leaving: Vec<&Arc<Member>> = Vec::new();
    let mut left = Vec::with_capacity(request.members.len());
    for asked in &request.members {
        let found = find_leaving(group, asked);
        let error = found.as_ref().map_or_else(super::error::GroupError::code, |_| ErrorCode::None);
        if let Ok(member) = found
            && !leaving.iter().any(|known| Arc::ptr_eq(known, member))
        {
            leaving.push(member);
        }
        left.push(LeftMember {
            member_id: Arc::clone(&asked.member_id),
            instance_id: asked.instance_id.clone(),
            error,
        });
    }
    remove(group, &leaving, context, LeaveReply { error: ErrorCode::None, members: left })
}

fn find_leaving<'a>(group: &'a ConsumerGroup, asked: &LeavingMember) -> Result<&'a Arc<Member>, GroupError> {
    let member_id = &*asked.member_id;
    match asked.instance_id.as_deref() {
        None => group.member(member_id).ok_or_else(|| group.unknown_member(member_id)),
        Some(instance_id) if member_id.is_empty() => {
            group.static_member(instance_id).ok_or_else(|| group.unknown_member(instance_id))
        }
        Some(instance_id) => group.checked_static_member(instance_id, member_id),
    }
}

/// A member of the classic protocol that comes with its generation.
fn checked_member<'a>(
    group: &'a ConsumerGroup,
    member_id: &str,
    instance_id: Option<&str>,
    generation_id: i32,
) -> Result<(&'a Arc<Member>, &'a ClassicMember), GroupError> {
    let member = match instance_id {
        None => group.member(member_id).ok_or_else(|| group.unknown_member(member_id))?,
        Some(instance_id) => group.checked_static_member(instance_id, member_id)?,
    };
    let Some(classic) = member.classic.as_deref() else {
        return Err(GroupError::UnknownMemberId(format!("{member_id} does not speak the classic protocol")));
    };
    if generation_id != member.member_epoch {
        return Err(GroupError::IllegalGeneration(format!("{generation_id} is not {}", member.member_epoch)));
    }
    Ok((member, classic))
}

fn check_protocol(classic: &ClassicMember, sync: &Sync) -> Result<(), GroupError> {
    let chosen = classic.protocols.first().map(|(name, _)| &**name);
    let other_type = sync.protocol_type.as_deref().is_some_and(|it| it != CONSUMER);
    let other_name = sync.protocol_name.as_deref().is_some_and(|it| Some(it) != chosen);
    if other_type || other_name {
        return Err(GroupError::InconsistentGroupProtocol("not the protocol of the join".to_owned()));
    }
    Ok(())
}

fn heard_of(group: &ConsumerGroup, member: &Member, classic: &ClassicMember, context: &Context<'_>) {
    group.sessions.extend(&member.member_id, context.now + millis(classic.session_timeout_ms));
}

/// The member has its rebalance timeout to join again, from when it was told first.
fn told_to_join<R>(group: &ConsumerGroup, member: &Member, context: &Context<'_>, reply: R) -> Outcome<R> {
    let mut outcome = Outcome::reply(reply);
    if group.sessions.deadlines(&member.member_id).join.is_none() {
        let deadline = Some(context.now + millis(member.rebalance_timeout_ms));
        outcome.soft.push(SoftChange::Join { member_id: Arc::clone(&member.member_id), deadline });
        outcome.timers.push(TimerChange { timer: MemberTimer::new(&member.member_id, TimerKind::Join), deadline });
    }
    outcome
}

impl ConsumerGroup {
    /// Whether the group is to become a classic one when a classic member takes the place of this one.
    fn becomes_classic_by_replacing(&self, member: &Member, context: &Context<'_>) -> bool {
        !member.uses_classic_protocol()
            && self.is_classic_without(&[member])
            && context.settings.migration_policy.allows_downgrade()
            && self.member_count() <= context.settings.classic_max_size
    }
}

impl LastReplaced {
    /// The answer to the join.
    pub fn into_reply(self) -> JoinReply {
        self.reply
    }

    /// The records of the join, and those that delete the group as it is after them.
    pub(super) fn records_to_delete(&self, group: &ConsumerGroup) -> Vec<GroupRecord> {
        let mut records = self.records.clone();
        let renamed = |id: &Arc<str>| {
            if *id == self.replaced.member_id { Arc::clone(&self.joining.member_id) } else { Arc::clone(id) }
        };
        let member_ids: Vec<Arc<str>> = group.members.keys().map(renamed).collect();
        records.extend(records::group_tombstones(group, member_ids.iter().map(|id| &**id)));
        records
    }
}
