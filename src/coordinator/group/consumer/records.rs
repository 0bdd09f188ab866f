//! The records of a consumer group: how state becomes records and records become state.

use std::sync::Arc;

use super::group::ConsumerGroup;
use super::member::{ClassicMember, LEAVING_EPOCH, Member, MemberId, MemberState};
use super::owned::OwnedPartitions;
use super::regex::ResolvedRegex;
use crate::coordinator::group::assignor::Assignment;
use crate::coordinator::group::records::{
    AssignedTopic, ClassicMemberMetadata, ClassicProtocol, ConsumerGroupCurrentMemberAssignmentValue,
    ConsumerGroupMemberMetadataValue, ConsumerGroupMetadataValue, ConsumerGroupRegularExpressionValue,
    ConsumerGroupTargetAssignmentMemberValue, ConsumerGroupTargetAssignmentMetadataValue, GroupKey, GroupRecord,
    MemberKey, OwnedTopic, RegularExpressionKey,
};
use crate::ids::TopicName;
use crate::time::TimestampMs;

/// A member's subscription.
pub(super) fn member(group_id: &str, member: &Member) -> GroupRecord {
    let text = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
    let value = ConsumerGroupMemberMetadataValue {
        instance_id: text(&member.instance_id),
        rack_id: text(&member.rack_id),
        client_id: member.client_id.to_string(),
        client_host: member.client_host.to_string(),
        subscribed_topic_names: member.subscribed_topic_names.iter().map(ToString::to_string).collect(),
        subscribed_topic_regex: Some(member.subscribed_topic_regex.to_string()),
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        server_assignor: text(&member.server_assignor),
        classic_member_metadata: member.classic.as_deref().map(|classic| ClassicMemberMetadata {
            session_timeout_ms: classic.session_timeout_ms,
            supported_protocols: classic
                .protocols
                .iter()
                .map(|(name, metadata)| ClassicProtocol { name: name.to_string(), metadata: metadata.clone() })
                .collect(),
        }),
    };
    GroupRecord::ConsumerGroupMemberMetadata(MemberKey::new(group_id, &*member.member_id), Some(value))
}

pub(super) fn group_epoch(group_id: &str, epoch: i32, metadata_hash: i64) -> GroupRecord {
    let value = ConsumerGroupMetadataValue { epoch, metadata_hash };
    GroupRecord::ConsumerGroupMetadata(GroupKey::new(group_id), Some(value))
}

pub(super) fn target(group_id: &str, member_id: &str, assignment: &Assignment) -> GroupRecord {
    let topic_partitions = assignment
        .topics()
        .map(|(topic_id, partitions)| AssignedTopic { topic_id, partitions: partitions.to_vec() })
        .collect();
    let value = ConsumerGroupTargetAssignmentMemberValue { topic_partitions };
    GroupRecord::ConsumerGroupTargetAssignmentMember(MemberKey::new(group_id, member_id), Some(value))
}

pub(super) fn assignment_epoch(group_id: &str, assignment_epoch: i32, timestamp_ms: TimestampMs) -> GroupRecord {
    let value =
        ConsumerGroupTargetAssignmentMetadataValue { assignment_epoch, assignment_timestamp_ms: timestamp_ms };
    GroupRecord::ConsumerGroupTargetAssignmentMetadata(GroupKey::new(group_id), Some(value))
}

/// What a member has.
pub(super) fn current(group_id: &str, member: &Member) -> GroupRecord {
    let value = ConsumerGroupCurrentMemberAssignmentValue {
        member_epoch: member.member_epoch,
        previous_member_epoch: member.previous_member_epoch,
        state: member.state.code(),
        assigned_partitions: owned_topics(&member.assigned),
        partitions_pending_revocation: owned_topics(&member.pending_revocation),
    };
    GroupRecord::ConsumerGroupCurrentMemberAssignment(MemberKey::new(group_id, &*member.member_id), Some(value))
}

fn owned_topics(owned: &OwnedPartitions) -> Vec<OwnedTopic> {
    owned
        .topics()
        .map(|(topic_id, partitions)| OwnedTopic {
            topic_id,
            partitions: partitions.keys().copied().collect(),
            assignment_epochs: Some(partitions.values().copied().collect()),
        })
        .collect()
}

pub(super) fn regex(group_id: &str, pattern: &str, resolved: &ResolvedRegex) -> GroupRecord {
    let value = ConsumerGroupRegularExpressionValue {
        topics: resolved.topics.iter().map(ToString::to_string).collect(),
        version: resolved.version,
        timestamp_ms: resolved.timestamp_ms,
    };
    GroupRecord::ConsumerGroupRegularExpression(regex_key(group_id, pattern), Some(value))
}

pub(super) fn regex_tombstone(group_id: &str, pattern: &str) -> GroupRecord {
    GroupRecord::ConsumerGroupRegularExpression(regex_key(group_id, pattern), None)
}

fn regex_key(group_id: &str, pattern: &str) -> RegularExpressionKey {
    RegularExpressionKey { group_id: group_id.to_owned(), regular_expression: pattern.to_owned() }
}

/// What Kafka 4.0 kept of the topics.
pub(super) fn partition_metadata_tombstone(group_id: &str) -> GroupRecord {
    GroupRecord::ConsumerGroupPartitionMetadata(GroupKey::new(group_id), None)
}

/// All that takes a member out, in the order that lets every prefix be replayed.
pub(super) fn member_tombstones(group_id: &str, member_id: &str) -> [GroupRecord; 3] {
    let key = || MemberKey::new(group_id, member_id);
    [
        GroupRecord::ConsumerGroupCurrentMemberAssignment(key(), None),
        GroupRecord::ConsumerGroupTargetAssignmentMember(key(), None),
        GroupRecord::ConsumerGroupMemberMetadata(key(), None),
    ]
}

/// All that takes a group out. `member_ids` has to name every member.
pub(super) fn group_tombstones<'a>(
    group: &ConsumerGroup,
    member_ids: impl Iterator<Item = &'a str> + Clone,
) -> Vec<GroupRecord> {
    let group_id = &*group.group_id;
    let key = |member_id: &str| MemberKey::new(group_id, member_id);
    let mut records = Vec::with_capacity(3 * group.members.len() + 3);
    records.extend(member_ids.clone().map(|id| GroupRecord::ConsumerGroupCurrentMemberAssignment(key(id), None)));
    records.extend(member_ids.clone().map(|id| GroupRecord::ConsumerGroupTargetAssignmentMember(key(id), None)));
    records.push(GroupRecord::ConsumerGroupTargetAssignmentMetadata(GroupKey::new(group_id), None));
    records.extend(member_ids.map(|id| GroupRecord::ConsumerGroupMemberMetadata(key(id), None)));
    records.extend(group.subscriptions.all_resolved().map(|(pattern, _)| regex_tombstone(group_id, pattern)));
    records.push(partition_metadata_tombstone(group_id));
    records.push(GroupRecord::ConsumerGroupMetadata(GroupKey::new(group_id), None));
    records
}

/// All records of a group, as if it were new.
pub(super) fn whole_group(group: &ConsumerGroup) -> Vec<GroupRecord> {
    let group_id = &*group.group_id;
    let nothing = Assignment::new();
    let mut records: Vec<GroupRecord> = group.members.values().map(|it| member(group_id, it)).collect();
    records.push(group_epoch(group_id, group.group_epoch, group.metadata_hash));
    for member_id in group.members.keys() {
        let assignment = group.target.get(member_id).map_or(&nothing, |assignment| assignment);
        records.push(target(group_id, member_id, assignment));
    }
    records.push(assignment_epoch(group_id, group.assignment_epoch, group.assignment_timestamp_ms));
    records.extend(group.members.values().map(|it| current(group_id, it)));
    records
}

/// What a record did to a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    Changed,
    /// The group is no more.
    Deleted,
}

impl ConsumerGroup {
    /// Makes a record true: the only way that hard state changes, live and in replay. Records of other kinds change
    /// nothing. Nothing in a record can make this fail: what contradicts the state replaces it.
    pub fn apply(&mut self, record: GroupRecord) -> Applied {
        match record {
            GroupRecord::ConsumerGroupMetadata(_, Some(value)) => {
                self.group_epoch = value.epoch;
                self.metadata_hash = value.metadata_hash;
            }
            GroupRecord::ConsumerGroupMetadata(_, None) => return Applied::Deleted,
            GroupRecord::ConsumerGroupPartitionMetadata(_, value) => self.has_partition_metadata = value.is_some(),
            GroupRecord::ConsumerGroupMemberMetadata(key, Some(value)) => {
                let member = subscribed(self.member_or_new(key.member_id), value);
                self.put_member(member);
            }
            GroupRecord::ConsumerGroupMemberMetadata(key, None) => {
                self.remove_member(&key.member_id);
                self.target.remove(&*key.member_id);
            }
            GroupRecord::ConsumerGroupTargetAssignmentMetadata(_, value) => {
                let (epoch, timestamp_ms) =
                    value.map_or((-1, 0), |value| (value.assignment_epoch, value.assignment_timestamp_ms));
                self.assignment_epoch = epoch;
                self.assignment_timestamp_ms = timestamp_ms;
            }
            GroupRecord::ConsumerGroupTargetAssignmentMember(key, Some(value)) => {
                let partitions = value
                    .topic_partitions
                    .iter()
                    .flat_map(|topic| topic.partitions.iter().map(|&partition| (topic.topic_id, partition)));
                let assignment = Arc::new(partitions.collect());
                let member_id = self.member_id(&key.member_id);
                self.target.insert(member_id, assignment);
            }
            GroupRecord::ConsumerGroupTargetAssignmentMember(key, None) => {
                self.target.remove(&*key.member_id);
            }
            GroupRecord::ConsumerGroupCurrentMemberAssignment(key, Some(value)) => {
                let member = owning(self.member_or_new(key.member_id), &value);
                self.put_member(member);
            }
            GroupRecord::ConsumerGroupCurrentMemberAssignment(key, None) => {
                if let Some(member) = self.members.get(&*key.member_id) {
                    let mut member = Member::clone(member);
                    member.member_epoch = LEAVING_EPOCH;
                    member.previous_member_epoch = LEAVING_EPOCH;
                    member.assigned = Arc::default();
                    member.pending_revocation = Arc::default();
                    self.put_member(member);
                }
            }
            GroupRecord::ConsumerGroupRegularExpression(key, value) => {
                let resolved = value.map(|value| {
                    Arc::new(ResolvedRegex {
                        topics: value.topics.into_iter().map(TopicName::from).collect(),
                        version: value.version,
                        timestamp_ms: value.timestamp_ms,
                    })
                });
                self.subscriptions.resolve(&key.regular_expression.into(), resolved);
            }
            _ => {}
        }
        Applied::Changed
    }

    /// The records that delete the group with all its members.
    pub fn tombstones(&self) -> Vec<GroupRecord> {
        group_tombstones(self, self.members.keys().map(|id| &**id))
    }

    fn member_id(&self, member_id: &str) -> MemberId {
        self.members.get_key_value(member_id).map_or_else(|| member_id.into(), |(id, _)| Arc::clone(id))
    }

    fn member_or_new(&self, member_id: String) -> Member {
        self.members.get(&*member_id).map_or_else(|| Member::new(member_id.into()), |member| Member::clone(member))
    }
}

/// The member with the subscription that a record gives it.
fn subscribed(mut member: Member, value: ConsumerGroupMemberMetadataValue) -> Member {
    member.instance_id = value.instance_id.map(Arc::from);
    member.rack_id = value.rack_id.map(Arc::from);
    member.client_id = value.client_id.into();
    member.client_host = value.client_host.into();
    member.subscribed_topic_names = Arc::new(value.subscribed_topic_names.into_iter().map(TopicName::from).collect());
    member.subscribed_topic_regex = value.subscribed_topic_regex.unwrap_or_default().into();
    member.rebalance_timeout_ms = value.rebalance_timeout_ms;
    member.server_assignor = value.server_assignor.map(Arc::from);
    member.classic =
        value.classic_member_metadata.filter(|classic| !classic.supported_protocols.is_empty()).map(|classic| {
            let protocols = classic.supported_protocols.into_iter();
            Arc::new(ClassicMember {
                session_timeout_ms: classic.session_timeout_ms,
                protocols: protocols.map(|protocol| (protocol.name.into(), protocol.metadata)).collect(),
            })
        });
    member
}

/// The member with the partitions that a record gives it.
fn owning(mut member: Member, value: &ConsumerGroupCurrentMemberAssignmentValue) -> Member {
    member.member_epoch = value.member_epoch;
    member.previous_member_epoch = value.previous_member_epoch;
    member.state = MemberState::from_code(value.state);
    member.assigned = Arc::new(owned_partitions(&value.assigned_partitions, value.member_epoch));
    member.pending_revocation = Arc::new(owned_partitions(&value.partitions_pending_revocation, value.member_epoch));
    member
}

/// Without epochs, or with a wrong number of them, the member's own stands in: records of Kafka before 4.3 have none.
fn owned_partitions(topics: &[OwnedTopic], member_epoch: i32) -> OwnedPartitions {
    let instead = member_epoch.max(0);
    let mut owned = OwnedPartitions::default();
    for topic in topics {
        let epochs = topic.assignment_epochs.as_deref().filter(|epochs| epochs.len() == topic.partitions.len());
        for (at, &partition) in topic.partitions.iter().enumerate() {
            owned.insert(topic.topic_id, partition, epochs.map_or(instead, |epochs| epochs[at]));
        }
    }
    owned
}
