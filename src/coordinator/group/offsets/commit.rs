//! Committing offsets.

use super::{CommitCheck, CommittingGroup, Offsets, SimpleGroup};
use crate::coordinator::Now;
use crate::coordinator::group::records::{GroupRecord, OffsetCommitKey, OffsetCommitValue};
use crate::error::ErrorCode;
use crate::ids::{PartitionIndex, TopicId};
use crate::protocol::messages::{OffsetCommitRequest, OffsetCommitRequestTopic};
use crate::protocol::wire::messages::OffsetCommitResponse;
use crate::protocol::wire::messages::offset_commit_request::OffsetCommitRequestPartition;
use crate::protocol::wire::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};

/// What OffsetCommit 2 to 4 say to leave the retention to the broker.
const BROKERS_RETENTION: i64 = -1;

impl Offsets {
    /// Commits offsets of partitions that exist; topics carry both name and id. `group` is the group of that id that
    /// has members or had some; a group may also exist by its offsets alone, or come to be by this commit.
    ///
    /// Metadata of more than `metadata_max_length` UTF-16 units, as Kafka counts, is an error of its partition.
    pub fn commit(
        &self,
        group: Option<&dyn CommittingGroup>,
        request: &OffsetCommitRequest,
        knows_member_epochs: bool,
        metadata_max_length: usize,
        now: Now,
    ) -> Result<(Vec<GroupRecord>, OffsetCommitResponse), ErrorCode> {
        let is_too_large = |partition: &OffsetCommitRequestPartition| {
            let metadata = partition.committed_metadata.as_deref().unwrap_or_default();
            metadata.len() > metadata_max_length && metadata.encode_utf16().count() > metadata_max_length
        };
        let fitting: Vec<_> = request
            .topics
            .iter()
            .flat_map(|topic| topic.base.partitions.iter().map(move |partition| (topic, partition)))
            .filter(|(_, partition)| !is_too_large(partition))
            .map(|(topic, partition)| (TopicId(topic.topic_id), partition.partition_index))
            .collect();
        self.check(group, request, knows_member_epochs, &fitting)?;

        let retention_ms = request.base.retention_time_ms;
        let expires = (retention_ms != BROKERS_RETENTION).then(|| now.wall_ms.saturating_add(retention_ms));
        let mut records = Vec::with_capacity(fitting.len());
        let mut response = OffsetCommitResponse::default();
        for topic in &request.topics {
            let mut answers = OffsetCommitResponseTopic::default();
            answers.name = topic.base.name.clone();
            answers.topic_id = topic.topic_id;
            for partition in &topic.base.partitions {
                let mut answer = OffsetCommitResponsePartition::default();
                answer.partition_index = partition.partition_index;
                if is_too_large(partition) {
                    answer.error_code = ErrorCode::OffsetMetadataTooLarge.code();
                } else {
                    records.push(record(&request.base.group_id, topic, partition, expires, now));
                }
                answers.partitions.push(answer);
            }
            response.topics.push(answers);
        }
        Ok((records, response))
    }

    fn check(
        &self,
        group: Option<&dyn CommittingGroup>,
        request: &OffsetCommitRequest,
        knows_member_epochs: bool,
        partitions: &[(TopicId, PartitionIndex)],
    ) -> Result<(), ErrorCode> {
        let check = CommitCheck {
            member_id: &request.base.member_id,
            group_instance_id: request.base.group_instance_id.as_deref(),
            generation_or_epoch: request.base.generation_id_or_member_epoch,
            knows_member_epochs,
            partitions,
        };
        match group {
            Some(group) => group.check_commit(&check),
            None if self.has_group(&request.base.group_id) => SimpleGroup.check_commit(&check),
            // A consumer that assigns its partitions itself, or a tool: the group comes to be by its offsets.
            None if check.generation_or_epoch < 0 => Ok(()),
            None if knows_member_epochs => Err(ErrorCode::GroupIdNotFound),
            None => Err(ErrorCode::IllegalGeneration),
        }
    }
}

fn record(
    group_id: &str,
    topic: &OffsetCommitRequestTopic,
    partition: &OffsetCommitRequestPartition,
    expire_timestamp_ms: Option<i64>,
    now: Now,
) -> GroupRecord {
    let key = OffsetCommitKey {
        group_id: group_id.to_owned(),
        topic: topic.base.name.to_string(),
        partition: partition.partition_index,
    };
    let value = OffsetCommitValue {
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: partition.committed_metadata.as_deref().unwrap_or_default().to_owned(),
        commit_timestamp_ms: now.wall_ms,
        expire_timestamp_ms,
        topic_id: TopicId(topic.topic_id),
    };
    GroupRecord::OffsetCommit(key, Some(value))
}
