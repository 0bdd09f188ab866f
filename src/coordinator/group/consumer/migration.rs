//! Groups with members that change from one protocol to the other (`group.consumer.migration.policy`).
//!
//! ```text
//!  classic group of consumers ── a member of the consumer protocol joins ──▶ consumer group
//!                                                                            │ members of both protocols
//!  classic group ◀── the last member of the consumer protocol goes ──────────┘
//! ```
//! Nobody has to stop: classic members keep what they have and are told to join again with their next heartbeat.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::classic_members::LastReplaced;
use super::context::Context;
use super::embedded::{read_assignment, read_subscription, write_assignment};
use super::error::GroupError;
use super::group::ConsumerGroup;
use super::member::{ClassicMember, Member};
use super::owned::OwnedPartitions;
use super::records;
use super::topics::group_hash;
use crate::coordinator::group::classic::{self, ClassicGroup, ConvertedMember, Protocol, Protocols};
use crate::coordinator::group::records::{GroupKey, GroupRecord};

/// A classic group as one of the consumer protocol, and the records that make it so.
pub fn upgrade(
    group_id: &Arc<str>,
    classic: &ClassicGroup,
    context: &Context<'_>,
) -> Result<(ConsumerGroup, Vec<GroupRecord>), GroupError> {
    let refuse = |reason: &str| {
        Err(GroupError::GroupIdNotFound(format!(
            "Cannot upgrade classic group {group_id} to consumer group because {reason}."
        )))
    };
    if !context.settings.migration_policy.allows_upgrade() {
        return refuse("online upgrade is disabled");
    }
    if !classic.uses_consumer_protocol() {
        return refuse("the group does not use the consumer embedded protocol");
    }
    if classic.member_count() > context.settings.max_size {
        return refuse("the group size exceeds the consumer group maximum size");
    }
    let mut group = ConsumerGroup::new(Arc::clone(group_id));
    group.group_epoch = classic.generation_id();
    group.assignment_epoch = classic.generation_id();
    for member in classic.members() {
        let Ok((member, has_user_data)) = upgraded_member(classic, member, context) else {
            return refuse("the embedded consumer protocol is malformed");
        };
        if has_user_data {
            return refuse("an unsupported custom assignor is in use");
        }
        group.target.insert(Arc::clone(&member.member_id), Arc::new(member.assigned.to_assignment()));
        group.put_member(member);
    }
    group.metadata_hash = group_hash(group.subscriptions.topics(), context.topics);
    let mut written = vec![GroupRecord::GroupMetadata(GroupKey::new(&**group_id), None)];
    written.extend(records::whole_group(&group));
    Ok((group, written))
}

fn upgraded_member(
    group: &ClassicGroup,
    classic: &classic::Member,
    context: &Context<'_>,
) -> Result<(Member, bool), super::embedded::Malformed> {
    let chosen = group.protocol_name().and_then(|name| classic.protocols.metadata(name));
    let metadata = chosen.or_else(|| classic.protocols.iter().next().map(|first| &first.metadata));
    let said = read_subscription(metadata.ok_or(super::embedded::Malformed)?, context.topics)?;
    // One that has not synced yet has nothing.
    let (assignment, has_user_data) = if classic.assignment.is_empty() {
        Default::default()
    } else {
        read_assignment(&classic.assignment, context.topics)?
    };
    let mut member = Member::new(Arc::clone(&classic.member_id));
    member.member_epoch = group.generation_id();
    member.previous_member_epoch = group.generation_id();
    member.instance_id.clone_from(&classic.instance_id);
    member.rack_id = said.rack_id;
    member.rebalance_timeout_ms = classic.rebalance_timeout_ms;
    member.client_id = Arc::clone(&classic.client_id);
    member.client_host = Arc::clone(&classic.client_host);
    member.subscribed_topic_names = said.topics;
    member.assigned = Arc::new(OwnedPartitions::of_assignment(&assignment, group.generation_id()));
    member.classic = Some(Arc::new(ClassicMember {
        session_timeout_ms: classic.session_timeout_ms,
        protocols: classic.protocols.iter().map(|it| (Arc::clone(&it.name), it.metadata.clone())).collect(),
    }));
    Ok((member, has_user_data))
}

/// What a consumer group leaves to the classic group that takes its place.
#[derive(Clone, Debug)]
pub struct Downgrade {
    /// They delete the consumer group.
    pub records: Vec<GroupRecord>,
    /// The generation that the classic group begins in.
    pub generation_id: i32,
    pub members: Vec<ConvertedMember>,
    /// Why the members have to join again; `None`: they need not.
    pub rebalance: Option<&'static str>,
}

/// The last members of the consumer protocol go.
pub fn downgrade_without(group: &ConsumerGroup, leaving: &BTreeSet<Arc<str>>, context: &Context<'_>) -> Downgrade {
    let staying = group.members().filter(|member| !leaving.contains(&member.member_id));
    Downgrade {
        records: group.tombstones(),
        generation_id: group.group_epoch,
        members: staying.filter_map(|member| converted(group, member, member, context)).collect(),
        rebalance: Some("the last member of the consumer protocol has left"),
    }
}

/// A classic static member has taken the place of the last member of the consumer protocol.
pub fn downgrade_with(group: &ConsumerGroup, last: &LastReplaced, context: &Context<'_>) -> Downgrade {
    let staying = group.members().filter(|member| member.member_id != last.replaced.member_id);
    let mut members: Vec<ConvertedMember> =
        staying.filter_map(|member| converted(group, member, member, context)).collect();
    members.extend(converted(group, &last.joining, &last.replaced, context));
    Downgrade {
        records: last.records_to_delete(group),
        generation_id: group.group_epoch,
        members,
        rebalance: last.rebalance.then_some("the assignment of the consumer protocol is out of date"),
    }
}

/// A classic member with the target of `place`; `None`: it does not speak the classic protocol.
fn converted(
    group: &ConsumerGroup,
    member: &Member,
    place: &Member,
    context: &Context<'_>,
) -> Option<ConvertedMember> {
    let classic = member.classic.as_deref()?;
    let target = group.target(&place.member_id).cloned().unwrap_or_default();
    let first = classic.protocols.first().map(|(_, metadata)| metadata)?;
    Some(ConvertedMember {
        member_id: Arc::clone(&member.member_id),
        instance_id: member.instance_id.clone(),
        client_id: Arc::clone(&member.client_id),
        client_host: Arc::clone(&member.client_host),
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        session_timeout_ms: classic.session_timeout_ms,
        protocols: Protocols::new(
            classic
                .protocols
                .iter()
                .map(|(name, metadata)| Protocol { name: Arc::clone(name), metadata: metadata.clone() }),
        ),
        assignment: write_assignment(&target, first, context.topics).unwrap_or_default(),
    })
}
