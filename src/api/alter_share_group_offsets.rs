//! AlterShareGroupOffsets (key 91), version 0: where a share group without members goes on (KIP-932).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Outcome, RequestContext};
use crate::coordinator::group::GroupId;
use crate::error::ErrorCode;
use crate::ids::{Offset, PartitionIndex, TopicId};
use crate::protocol::wire::messages::alter_share_group_offsets_response::{
    AlterShareGroupOffsetsResponsePartition, AlterShareGroupOffsetsResponseTopic,
};
use crate::protocol::wire::messages::{AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsResponse};
use crate::protocol::wire::protocol::StrBytes;

pub(super) fn handle(cx: RequestContext, request: AlterShareGroupOffsetsRequest) -> Outcome {
    let reply_context = cx.clone();
    cx.reply_later(async move { alter(&reply_context, request).await })
}

async fn alter(cx: &RequestContext, request: AlterShareGroupOffsetsRequest) -> AlterShareGroupOffsetsResponse {
    let image = cx.services().metadata.current();
    let mut offsets = Vec::new();
    for asked in &request.topics {
        let Some(topic) = image.topic(&asked.topic_name) else { continue };
        let there = asked.partitions.iter().filter(|partition| topic.partition(partition.partition_index).is_some());
        let of_topic: Vec<_> =
            there.map(|partition| (partition.partition_index, Offset(partition.start_offset))).collect();
        offsets.push((topic.id, Arc::clone(&topic.name), of_topic));
    }
    let mut response = AlterShareGroupOffsetsResponse::default();
    let group_id = GroupId::from(request.group_id.as_str());
    let codes = match cx.services().share_groups.alter_offsets(&group_id, &offsets).await {
        Ok(codes) => codes,
        Err(error) => {
            cx.count_error(error.code());
            response.error_code = error.code().code();
            response.error_message = error.message().map(StrBytes::from_string);
            return response;
        }
    };
    for asked in request.topics {
        let topic_id = image.topic(&asked.topic_name).map(|topic| topic.id);
        let mut topic = AlterShareGroupOffsetsResponseTopic::default();
        topic.topic_name = asked.topic_name;
        topic.topic_id = topic_id.unwrap_or_default().0;
        topic.partitions =
            asked.partitions.iter().map(|one| partition(cx, &codes, topic_id, one.partition_index)).collect();
        response.responses.push(topic);
    }
    response
}

fn partition(
    cx: &RequestContext,
    codes: &BTreeMap<(TopicId, PartitionIndex), ErrorCode>,
    topic_id: Option<TopicId>,
    partition: PartitionIndex,
) -> AlterShareGroupOffsetsResponsePartition {
    let code = topic_id.and_then(|topic_id| codes.get(&(topic_id, partition)).copied());
    let code = code.unwrap_or(ErrorCode::UnknownTopicOrPartition);
    cx.count_error(code);
    let mut on_wire = AlterShareGroupOffsetsResponsePartition::default();
    on_wire.partition_index = partition;
    on_wire.error_code = code.code();
    if code == ErrorCode::UnknownTopicOrPartition {
        on_wire.error_message = Some(StrBytes::from_static_str("This server does not host this topic-partition."));
    }
    on_wire
}
