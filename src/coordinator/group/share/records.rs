//! A share group's records: written from its state, and its state from them.

use std::sync::Arc;

use super::group::{ShareGroup, ShareMember};
use super::partitions::{StatePartitions, TopicPartitions};
use crate::coordinator::group::assignor::Assignment;
use crate::coordinator::group::records::{
    AssignedTopic, DeletingTopic, GroupKey, GroupRecord, MemberKey, ShareGroupCurrentMemberAssignmentValue,
    ShareGroupMemberMetadataValue, ShareGroupMetadataValue, ShareGroupStatePartitionMetadataValue,
    ShareGroupTargetAssignmentMemberValue, ShareGroupTargetAssignmentMetadataValue, ShareStateTopic,
};
use crate::time::TimestampMs;

/// A member that has all that its target says; share groups know no other.
const STABLE: i8 = 0;
const INITIAL_MEMBER_EPOCH: i32 = 0;

pub(super) fn member(group_id: &str, member: &ShareMember) -> GroupRecord {
    let value = ShareGroupMemberMetadataValue {
        rack_id: member.rack_id.as_deref().map(str::to_owned),
        client_id: (*member.client_id).to_owned(),
        client_host: (*member.client_host).to_owned(),
        subscribed_topic_names: member.subscribed_topic_names.iter().map(|name| (**name).to_owned()).collect(),
    };
    GroupRecord::ShareGroupMemberMetadata(MemberKey::new(group_id, &*member.member_id), Some(value))
}

pub(super) fn group_epoch(group_id: &str, epoch: i32, metadata_hash: i64) -> GroupRecord {
    GroupRecord::ShareGroupMetadata(GroupKey::new(group_id), Some(ShareGroupMetadataValue { epoch, metadata_hash }))
}

pub(super) fn target_epoch(
    group_id: &str,
    assignment_epoch: i32,
    assignment_timestamp_ms: TimestampMs,
) -> GroupRecord {
    let value = ShareGroupTargetAssignmentMetadataValue { assignment_epoch, assignment_timestamp_ms };
    GroupRecord::ShareGroupTargetAssignmentMetadata(GroupKey::new(group_id), Some(value))
}

pub(super) fn target(group_id: &str, member_id: &str, target: &Assignment) -> GroupRecord {
    let value = ShareGroupTargetAssignmentMemberValue { topic_partitions: topics(target) };
    GroupRecord::ShareGroupTargetAssignmentMember(MemberKey::new(group_id, member_id), Some(value))
}

pub(super) fn current(group_id: &str, member: &ShareMember) -> GroupRecord {
    let value = ShareGroupCurrentMemberAssignmentValue {
        member_epoch: member.member_epoch,
        previous_member_epoch: member.previous_member_epoch,
        state: STABLE,
        assigned_partitions: topics(&member.assigned),
    };
    GroupRecord::ShareGroupCurrentMemberAssignment(MemberKey::new(group_id, &*member.member_id), Some(value))
}

pub(super) fn member_tombstones(group_id: &str, member_id: &str) -> [GroupRecord; 3] {
    let key = || MemberKey::new(group_id, member_id);
    [
        GroupRecord::ShareGroupCurrentMemberAssignment(key(), None),
        GroupRecord::ShareGroupTargetAssignmentMember(key(), None),
        GroupRecord::ShareGroupMemberMetadata(key(), None),
    ]
}

pub(super) fn group_tombstones(group_id: &str) -> [GroupRecord; 3] {
    let key = || GroupKey::new(group_id);
    [
        GroupRecord::ShareGroupStatePartitionMetadata(key(), None),
        GroupRecord::ShareGroupTargetAssignmentMetadata(key(), None),
        GroupRecord::ShareGroupMetadata(key(), None),
    ]
}

pub(super) fn state_partitions(group_id: &str, partitions: &StatePartitions) -> GroupRecord {
    let topics = |partitions: &TopicPartitions| {
        let topics = partitions.iter().map(|(&topic_id, (name, partitions))| ShareStateTopic {
            topic_id,
            topic_name: (**name).to_owned(),
            partitions: partitions.iter().copied().collect(),
        });
        topics.collect()
    };
    let deleting = partitions.deleting.iter();
    let value = ShareGroupStatePartitionMetadataValue {
        initializing_topics: topics(&partitions.initializing),
        initialized_topics: topics(&partitions.initialized),
        deleting_topics: deleting
            .map(|(&topic_id, name)| DeletingTopic { topic_id, topic_name: (**name).to_owned() })
            .collect(),
    };
    GroupRecord::ShareGroupStatePartitionMetadata(GroupKey::new(group_id), Some(value))
}

fn topics(assignment: &Assignment) -> Vec<AssignedTopic> {
    let topics = assignment.topics();
    topics.map(|(topic_id, partitions)| AssignedTopic { topic_id, partitions: partitions.to_vec() }).collect()
}

impl ShareGroup {
    /// Takes in a record of this group; of other kinds of groups' records nothing is taken.
    pub fn apply(&mut self, record: &GroupRecord) {
        self.settled_in = None;
        match record {
            GroupRecord::ShareGroupMetadata(_, value) => {
                (self.group_epoch, self.metadata_hash) =
                    value.as_ref().map_or((0, 0), |value| (value.epoch, value.metadata_hash));
            }
            GroupRecord::ShareGroupTargetAssignmentMetadata(_, value) => {
                (self.assignment_epoch, self.assignment_timestamp_ms) =
                    value.as_ref().map_or((0, 0), |value| (value.assignment_epoch, value.assignment_timestamp_ms));
            }
            GroupRecord::ShareGroupMemberMetadata(key, value) => self.apply_member(&key.member_id, value.as_ref()),
            GroupRecord::ShareGroupTargetAssignmentMember(key, Some(value)) => {
                self.target.insert(key.member_id.as_str().into(), assignment(&value.topic_partitions));
            }
            GroupRecord::ShareGroupTargetAssignmentMember(key, None) => {
                self.target.remove(key.member_id.as_str());
            }
            GroupRecord::ShareGroupCurrentMemberAssignment(key, value) => {
                self.apply_current(&key.member_id, value.as_ref());
            }
            GroupRecord::ShareGroupStatePartitionMetadata(_, value) => {
                self.partitions = value.as_ref().map(parsed).unwrap_or_default();
                let initializing = &self.partitions.initializing;
                self.initializing_since.forget_all_but(initializing);
            }
            _ => {}
        }
    }

    fn apply_member(&mut self, member_id: &str, value: Option<&ShareGroupMemberMetadataValue>) {
        let Some(value) = value else {
            self.members.remove(member_id);
            self.sessions.remove(member_id);
            return;
        };
        let mut names: Vec<Arc<str>> = value.subscribed_topic_names.iter().map(|name| name.as_str().into()).collect();
        names.sort_unstable();
        names.dedup();
        let before = self.members.get(member_id).map(|member| ShareMember::clone(member)).unwrap_or_default();
        let member = ShareMember {
            member_id: member_id.into(),
            rack_id: value.rack_id.as_deref().map(Arc::from),
            client_id: value.client_id.as_str().into(),
            client_host: value.client_host.as_str().into(),
            subscribed_topic_names: names.into(),
            ..before
        };
        self.members.insert(member_id.into(), Arc::new(member));
    }

    /// A tombstone leaves the member without assignment; the one of the member itself follows.
    fn apply_current(&mut self, member_id: &str, value: Option<&ShareGroupCurrentMemberAssignmentValue>) {
        let before = match self.members.get(member_id) {
            Some(member) => ShareMember::clone(member),
            None if value.is_none() => return,
            None => ShareMember { member_id: member_id.into(), ..ShareMember::default() },
        };
        let member = match value {
            Some(value) => ShareMember {
                member_epoch: value.member_epoch,
                previous_member_epoch: value.previous_member_epoch,
                assigned: assignment(&value.assigned_partitions),
                ..before
            },
            None => ShareMember {
                member_epoch: INITIAL_MEMBER_EPOCH,
                previous_member_epoch: INITIAL_MEMBER_EPOCH,
                assigned: Arc::default(),
                ..before
            },
        };
        self.members.insert(member_id.into(), Arc::new(member));
    }
}

fn assignment(topics: &[AssignedTopic]) -> Arc<Assignment> {
    let partitions =
        topics.iter().flat_map(|topic| topic.partitions.iter().map(|&partition| (topic.topic_id, partition)));
    Arc::new(partitions.collect())
}

fn parsed(value: &ShareGroupStatePartitionMetadataValue) -> StatePartitions {
    let topics = |topics: &[ShareStateTopic]| -> TopicPartitions {
        let topics = topics.iter().map(|topic| {
            (topic.topic_id, (Arc::from(topic.topic_name.as_str()), topic.partitions.iter().copied().collect()))
        });
        topics.collect()
    };
    let deleting = value.deleting_topics.iter();
    StatePartitions {
        initializing: topics(&value.initializing_topics),
        initialized: topics(&value.initialized_topics),
        deleting: deleting.map(|topic| (topic.topic_id, Arc::from(topic.topic_name.as_str()))).collect(),
    }
}
