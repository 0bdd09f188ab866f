//! The target assignment: what all members of a group shall have.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::context::Context;
use super::group::ConsumerGroup;
use super::member::Member;
use super::records;
use super::topics;
use crate::coordinator::group::assignor::{Assignment, GroupSpec, MemberSpec};
use crate::coordinator::group::records::GroupRecord;
use crate::ids::{TopicId, TopicName};

/// What a target assignment is computed of: the group with one change that is not in it yet.
pub(super) struct Input<'a> {
    pub(super) group: &'a ConsumerGroup,
    pub(super) context: &'a Context<'a>,
    /// The epoch that the assignment is of.
    pub(super) group_epoch: i32,
    pub(super) before: Option<&'a Member>,
    /// The member that comes or changes.
    pub(super) after: Option<&'a Member>,
    /// The member whose place it takes.
    pub(super) replaced: Option<&'a Member>,
}

/// A new target assignment.
pub(super) struct Target {
    /// Of the members whose target changed, and of the epoch.
    pub(super) records: Vec<GroupRecord>,
    /// What the member gets that made the change.
    pub(super) of_member: Arc<Assignment>,
}

pub(super) fn compute(input: &Input<'_>) -> Target {
    let Input { group, context, group_epoch, before, after, replaced } = *input;
    let preferred = group.preferred_assignor(before, after);
    let assignor = preferred
        .and_then(|name| context.settings.assignor(name))
        .unwrap_or_else(|| context.settings.default_assignor());

    let members = members_after(group, after, replaced);
    let spec = spec(input, &members);
    let assignments = assignor.assign(&spec);

    let mut records = Vec::new();
    let mut of_member = Arc::default();
    for (member, assignment) in members.iter().zip(assignments) {
        if after.is_some_and(|after| after.member_id == member.member_id) {
            of_member = Arc::clone(&assignment);
        }
        let unchanged =
            group.target(&member.member_id).is_some_and(|old| Arc::ptr_eq(old, &assignment) || *old == assignment);
        if !unchanged {
            records.push(records::target(&group.group_id, &member.member_id, &assignment));
        }
    }
    records.push(records::assignment_epoch(&group.group_id, group_epoch, context.now_ms));
    Target { records, of_member }
}

/// The members with the change, in the order of their ids.
fn members_after<'a>(
    group: &'a ConsumerGroup,
    after: Option<&'a Member>,
    replaced: Option<&'a Member>,
) -> Vec<&'a Member> {
    let gone = |id: &str| {
        after.is_some_and(|after| *after.member_id == *id)
            || replaced.is_some_and(|replaced| *replaced.member_id == *id)
    };
    let mut members: Vec<&Member> =
        group.members().map(|member| &**member).filter(|member| !gone(&member.member_id)).collect();
    if let Some(after) = after {
        let at = members.partition_point(|member| member.member_id < after.member_id);
        members.insert(at, after);
    }
    members
}

fn spec<'a>(input: &Input<'a>, members: &[&'a Member]) -> GroupSpec<'a> {
    let Input { group, context, after, replaced, .. } = *input;
    // Most members want what others want: looked up once.
    let mut wanted: HashMap<(&BTreeSet<TopicName>, &str), Arc<[TopicId]>> = HashMap::new();
    let mut partition_counts = BTreeMap::new();
    let members = members
        .iter()
        .map(|member| {
            let key = (&*member.subscribed_topic_names, &*member.subscribed_topic_regex);
            let topics = wanted.entry(key).or_insert_with(|| {
                let topics = topics::existing(group.subscriptions.wanted_by(member), context.topics);
                for &topic in topics.iter() {
                    partition_counts.insert(topic, context.topics.partition_count(topic).unwrap_or(0));
                }
                topics
            });
            let is_after = after.is_some_and(|after| after.member_id == member.member_id);
            let place = replaced.filter(|_| is_after).map_or(&member.member_id, |replaced| &replaced.member_id);
            MemberSpec {
                member_id: &member.member_id,
                instance_id: member.instance_id.as_deref(),
                topics: Arc::clone(topics),
                assigned: group.target(place).cloned().unwrap_or_default(),
            }
        })
        .collect();
    GroupSpec { members, partition_counts }
}
