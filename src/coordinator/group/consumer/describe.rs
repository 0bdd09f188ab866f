//! A group as `ConsumerGroupDescribe` shows it.

use std::collections::BTreeMap;

use super::context::Settings;
use super::group::ConsumerGroup;
use super::member::Member;
use super::topics::Topics;
use crate::ids::{PartitionIndex, TopicId};
use crate::protocol::wire::messages::consumer_group_describe_response::{
    Assignment, DescribedGroup, Member as DescribedMember, TopicPartitions,
};
use crate::protocol::wire::messages::{GroupId, TopicName};
use crate::protocol::wire::protocol::StrBytes;

/// What the protocol says a member speaks: it is -1 where the version does not know.
const CLASSIC_MEMBER: i8 = 0;
const CONSUMER_MEMBER: i8 = 1;

/// The whole group. Topics that are gone are left out.
pub fn describe(group: &ConsumerGroup, topics: &dyn Topics, settings: &Settings) -> DescribedGroup {
    let mut described = DescribedGroup::default();
    described.group_id = GroupId(text(&group.group_id));
    described.group_state = StrBytes::from_static_str(group.state().name());
    described.group_epoch = group.group_epoch;
    described.assignment_epoch = group.assignment_epoch;
    let assignor = group.preferred_assignor(None, None).unwrap_or(settings.default_assignor().name());
    described.assignor_name = text(assignor);
    described.members = group.members().map(|member| describe_member(group, member, topics)).collect();
    described
}

fn describe_member(group: &ConsumerGroup, member: &Member, topics: &dyn Topics) -> DescribedMember {
    let mut described = DescribedMember::default();
    described.member_id = text(&member.member_id);
    described.instance_id = member.instance_id.as_deref().map(text);
    described.rack_id = member.rack_id.as_deref().map(text);
    described.member_epoch = member.member_epoch;
    described.client_id = text(&member.client_id);
    described.client_host = text(&member.client_host);
    described.subscribed_topic_names =
        member.subscribed_topic_names.iter().map(|name| TopicName(text(name))).collect();
    described.subscribed_topic_regex = Some(text(&member.subscribed_topic_regex));
    // What it has to give up is its own until it has.
    let owned = member.assigned.iter().chain(member.pending_revocation.iter());
    described.assignment = assignment(owned.map(|(topic, partition, _)| (topic, partition)), topics);
    let target = group.target(&member.member_id);
    described.target_assignment = assignment(target.into_iter().flat_map(|target| target.iter()), topics);
    described.member_type = if member.uses_classic_protocol() { CLASSIC_MEMBER } else { CONSUMER_MEMBER };
    described
}

fn assignment(partitions: impl Iterator<Item = (TopicId, PartitionIndex)>, topics: &dyn Topics) -> Assignment {
    let mut by_topic: BTreeMap<TopicId, Vec<PartitionIndex>> = BTreeMap::new();
    for (topic, partition) in partitions {
        by_topic.entry(topic).or_default().push(partition);
    }
    let mut assignment = Assignment::default();
    assignment.topic_partitions = by_topic
        .into_iter()
        .filter_map(|(id, partitions)| {
            let mut topic = TopicPartitions::default();
            topic.topic_id = id.0;
            topic.topic_name = TopicName(text(&topics.name(id)?));
            topic.partitions = partitions;
            Some(topic)
        })
        .collect();
    assignment
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}
