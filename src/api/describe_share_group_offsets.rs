//! DescribeShareGroupOffsets (key 90), versions 0-1: how far share groups are (KIP-932).
//!
//! - 1: the lag (KIP-1226)

use std::collections::BTreeMap;

use super::{Outcome, RequestContext};
use crate::coordinator::ShareGroupsError;
use crate::coordinator::group::share::TopicPartitions;
use crate::error::ErrorCode;
use crate::ids::{Offset, PartitionIndex, TopicId};
use crate::protocol::messages::{
    DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsResponse, DescribedShareGroupOffsets,
    DescribedSharePartitionOffsets, DescribedShareTopicOffsets,
};
use crate::protocol::wire::messages::TopicName;
use crate::protocol::wire::messages::describe_share_group_offsets_request::{
    DescribeShareGroupOffsetsRequestGroup, DescribeShareGroupOffsetsRequestTopic,
};
use crate::protocol::wire::protocol::StrBytes;
use crate::replication::Visibility;

const UNKNOWN_LAG: i64 = -1;

pub(super) fn handle(cx: RequestContext, request: DescribeShareGroupOffsetsRequest) -> Outcome {
    let reply_context = cx.clone();
    cx.reply_later(async move {
        let mut response = DescribeShareGroupOffsetsResponse::default();
        for group in request.0.groups {
            response.groups.push(describe(&reply_context, group).await);
        }
        response
    })
}

async fn describe(cx: &RequestContext, asked: DescribeShareGroupOffsetsRequestGroup) -> DescribedShareGroupOffsets {
    let mut described =
        DescribedShareGroupOffsets { group_id: asked.group_id, ..DescribedShareGroupOffsets::default() };
    let topics = match asked.topics {
        Some(topics) => topics,
        None => match cx.services().share_groups.read(&described.group_id, |group| all(group.initialized())).await {
            Ok(topics) => topics,
            // Who is not there has begun to read nothing, which is no error here.
            Err(ShareGroupsError::Group(_)) => Vec::new(),
            Err(error) => {
                cx.count_error(error.code());
                described.error_code = error.code().code();
                described.error_message = error.message().map(StrBytes::from_string);
                return described;
            }
        },
    };
    for topic in topics {
        described.topics.push(describe_topic(cx, &described.group_id, topic).await);
    }
    described
}

/// Every partition that the group has begun to read.
fn all(initialized: &TopicPartitions) -> Vec<DescribeShareGroupOffsetsRequestTopic> {
    let topics: BTreeMap<_, _> = initialized.values().map(|(name, partitions)| (name, partitions)).collect();
    let topics = topics.into_iter().map(|(name, partitions)| {
        let mut topic = DescribeShareGroupOffsetsRequestTopic::default();
        topic.topic_name = TopicName(StrBytes::from_string((**name).to_owned()));
        topic.partitions = partitions.iter().copied().collect();
        topic
    });
    topics.collect()
}

async fn describe_topic(
    cx: &RequestContext,
    group_id: &str,
    asked: DescribeShareGroupOffsetsRequestTopic,
) -> DescribedShareTopicOffsets {
    let topic_id = cx.services().metadata.current().topic(&asked.topic_name).map(|topic| topic.id);
    let mut described = DescribedShareTopicOffsets {
        topic_id: topic_id.unwrap_or_default().0,
        topic_name: asked.topic_name,
        partitions: Vec::new(),
    };
    for partition in asked.partitions {
        let found = match topic_id {
            Some(topic_id) => describe_partition(cx, group_id, topic_id, partition).await,
            None => Ok(nothing()),
        };
        let mut on_wire = found.unwrap_or_else(|code| {
            cx.count_error(code);
            let mut failed = nothing();
            failed.base.error_code = code.code();
            failed
        });
        on_wire.base.partition_index = partition;
        described.partitions.push(on_wire);
    }
    described
}

async fn describe_partition(
    cx: &RequestContext,
    group_id: &str,
    topic_id: TopicId,
    partition: PartitionIndex,
) -> Result<DescribedSharePartitionOffsets, ErrorCode> {
    let mut described = nothing();
    let Some(state) = cx.services().share_groups.state(group_id, topic_id, partition).await? else {
        return Ok(described);
    };
    described.base.start_offset = state.start_offset.0;
    described.base.leader_epoch = state.leader_epoch.0.max(0);
    if state.start_offset == Offset::NONE {
        return Ok(described);
    }
    if let (Ok(replica), 0..) = (cx.services().shares.replica((topic_id, partition)), state.delivery_complete_count) {
        let behind = replica.visible_end(Visibility::Committed) - state.start_offset;
        described.lag = (behind - i64::from(state.delivery_complete_count)).max(0);
    }
    Ok(described)
}

/// Where the group has not begun.
fn nothing() -> DescribedSharePartitionOffsets {
    let mut described =
        DescribedSharePartitionOffsets { lag: UNKNOWN_LAG, ..DescribedSharePartitionOffsets::default() };
    described.base.start_offset = Offset::NONE.0;
    described
}
