//! Deleting offsets: those that somebody names, those of a group, those of a deleted topic.

use super::{CommittingGroup, Offsets, SimpleGroup};
use crate::coordinator::group::records::{GroupRecord, OffsetCommitKey};
use crate::error::ErrorCode;
use crate::ids::{PartitionIndex, TopicId};
use crate::protocol::wire::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use crate::protocol::wire::messages::{OffsetDeleteRequest, OffsetDeleteResponse};

/// A topic that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedTopic {
    pub name: String,
    pub id: TopicId,
}

impl Offsets {
    /// Deletes offsets of partitions of topics that no member reads.
    pub fn delete(
        &self,
        group: Option<&dyn CommittingGroup>,
        request: &OffsetDeleteRequest,
    ) -> Result<(Vec<GroupRecord>, OffsetDeleteResponse), ErrorCode> {
        let group_id = &request.group_id;
        let group = match group {
            Some(group) => group,
            None if self.has_group(group_id) => &SimpleGroup,
            None => return Err(ErrorCode::GroupIdNotFound),
        };
        group.check_delete()?;
        let mut records = Vec::new();
        let mut response = OffsetDeleteResponse::default();
        for topic in &request.topics {
            // Of topics that do not exist nothing is left to ask for.
            let is_read = !topic.partitions.is_empty() && group.is_subscribed_to(&topic.name);
            let mut answers = OffsetDeleteResponseTopic::default();
            answers.name = topic.name.clone();
            for partition in &topic.partitions {
                let mut answer = OffsetDeleteResponsePartition::default();
                answer.partition_index = partition.partition_index;
                if is_read {
                    answer.error_code = ErrorCode::GroupSubscribedToTopic.code();
                } else if self.is_known(group_id, &topic.name, partition.partition_index) {
                    records.push(tombstone(group_id, &topic.name, partition.partition_index));
                }
                answers.partitions.push(answer);
            }
            response.topics.push(answers);
        }
        Ok((records, response))
    }

    /// Tombstones for all offsets of a group that is going to be deleted, those of open transactions included.
    pub fn tombstones_of_group(&self, group_id: &str) -> Vec<GroupRecord> {
        let mut records: Vec<_> = self
            .of_group(group_id)
            .into_iter()
            .flat_map(super::GroupOffsets::iter)
            .map(|(topic, partition, _)| tombstone(group_id, topic, partition))
            .collect();
        for offsets in self.open_offsets(group_id).filter_map(|offsets| offsets.group(group_id)) {
            let only_open =
                offsets.iter().filter(|(topic, partition, _)| self.get(group_id, topic, *partition).is_none());
            records.extend(only_open.map(|(topic, partition, _)| tombstone(group_id, topic, partition)));
        }
        records
    }

    /// Tombstones for the offsets of topics that are deleted. Offsets of a topic that took the name since stay.
    pub fn tombstones_of_topics(&self, topics: &[DeletedTopic]) -> Vec<GroupRecord> {
        let mut records = Vec::new();
        for offsets in std::iter::once(&self.committed).chain(self.open.values()) {
            for (group_id, offsets) in offsets.groups() {
                for topic in topics {
                    let gone = offsets
                        .of_topic(&topic.name)
                        .filter(|(_, offset)| offset.topic_id == TopicId::default() || offset.topic_id == topic.id);
                    records.extend(gone.map(|(partition, _)| tombstone(group_id, &topic.name, partition)));
                }
            }
        }
        records
    }

    fn is_known(&self, group_id: &str, topic: &str, partition: PartitionIndex) -> bool {
        self.get(group_id, topic, partition).is_some() || self.is_unstable(group_id, topic, partition)
    }
}

pub(super) fn tombstone(group_id: &str, topic: &str, partition: PartitionIndex) -> GroupRecord {
    let key = OffsetCommitKey { group_id: group_id.to_owned(), topic: topic.to_owned(), partition };
    GroupRecord::OffsetCommit(key, None)
}
