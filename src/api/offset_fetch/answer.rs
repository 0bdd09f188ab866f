//! What OffsetFetch answers, in the form of each version.

use crate::coordinator::group::offsets::nothing_committed;
use crate::error::ErrorCode;
use crate::protocol::messages::{OffsetFetchRequestGroup, OffsetFetchRequestTopic};
use crate::protocol::wire::messages::OffsetFetchResponse;
use crate::protocol::wire::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};

const GROUP_ERRORS_SINCE: i16 = 2;
const LEADER_EPOCHS_SINCE: i16 = 5;
const SEVERAL_GROUPS_SINCE: i16 = 8;
const NO_EPOCH: i32 = -1;

/// What a group is told whose offsets can't be given. The partitions stand by for version 1, which knows no errors of
/// groups: a client that saw none at all would begin at the topic's start.
pub(super) fn refusal(group: &OffsetFetchRequestGroup, error: ErrorCode) -> OffsetFetchResponseGroup {
    let mut answer = OffsetFetchResponseGroup::default();
    answer.group_id = group.base.group_id.clone();
    answer.error_code = error.code();
    answer.topics = group.topics.iter().flatten().map(|topic| refused_topic(topic, error)).collect();
    answer
}

pub(super) fn unknown_topic(topic: &OffsetFetchRequestTopic) -> OffsetFetchResponseTopics {
    refused_topic(topic, ErrorCode::UnknownTopicId)
}

fn refused_topic(topic: &OffsetFetchRequestTopic, error: ErrorCode) -> OffsetFetchResponseTopics {
    let mut answer = OffsetFetchResponseTopics::default();
    answer.name = topic.base.name.clone();
    answer.topic_id = topic.topic_id;
    let partitions = topic.base.partition_indexes.iter().map(|&partition| {
        let mut answer = nothing_committed(partition);
        answer.error_code = error.code();
        answer
    });
    answer.partitions = partitions.collect();
    answer
}

pub(super) fn in_version(version: i16, groups: Vec<OffsetFetchResponseGroup>) -> OffsetFetchResponse {
    let mut response = OffsetFetchResponse::default();
    if version >= SEVERAL_GROUPS_SINCE {
        response.groups = groups;
        for group in &mut response.groups {
            if group.error_code != ErrorCode::None.code() {
                group.topics.clear();
            }
        }
        return response;
    }
    let Some(group) = groups.into_iter().next() else { return response };
    if version >= GROUP_ERRORS_SINCE {
        response.error_code = group.error_code;
        if group.error_code != ErrorCode::None.code() {
            return response;
        }
    }
    response.topics = group.topics.into_iter().map(|topic| topic_before_groups(version, topic)).collect();
    response
}

fn topic_before_groups(version: i16, topic: OffsetFetchResponseTopics) -> OffsetFetchResponseTopic {
    let mut answer = OffsetFetchResponseTopic::default();
    answer.name = topic.name;
    let partitions = topic.partitions.into_iter().map(|partition| {
        let mut answer = OffsetFetchResponsePartition::default();
        answer.partition_index = partition.partition_index;
        answer.committed_offset = partition.committed_offset;
        answer.committed_leader_epoch =
            if version >= LEADER_EPOCHS_SINCE { partition.committed_leader_epoch } else { NO_EPOCH };
        answer.metadata = partition.metadata;
        answer.error_code = partition.error_code;
        answer
    });
    answer.partitions = partitions.collect();
    answer
}
