//! DescribeTopicPartitions (key 75), version 0: topics in pages of partitions, with eligible leader replicas (KIP-966).

use std::collections::BTreeSet;

use super::metadata::TOPIC_OPERATIONS;
use super::{Outcome, RequestContext};
use crate::controller::machine::validate_topic_name;
use crate::error::ErrorCode;
use crate::ids::BrokerId;
use crate::metadata::image::{MetadataImage, PartitionImage};
use crate::protocol::wire::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use crate::protocol::wire::messages::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse};
use crate::protocol::wire::protocol::StrBytes;
use crate::replication::is_internal_topic;

pub(super) fn handle(cx: RequestContext, request: DescribeTopicPartitionsRequest) -> Outcome {
    let image = cx.services().metadata.current();
    let (from_topic, from_partition) = match &request.cursor {
        Some(cursor) => (cursor.topic_name.to_string(), cursor.partition_index),
        None => (String::new(), 0),
    };
    let asked: BTreeSet<&str> = request.topics.iter().map(|topic| topic.name.as_str()).collect();
    let all = asked.is_empty();
    if from_partition < 0 || (!all && !from_topic.is_empty() && !asked.contains(from_topic.as_str())) {
        return cx.reply(refusal(&cx, &asked));
    }
    let names: Vec<&str> = if all {
        image.topics_from(&from_topic).map(|topic| &*topic.name).collect()
    } else {
        asked.into_iter().filter(|&name| name >= from_topic.as_str()).collect()
    };
    let limit =
        cx.services().config.max_request_partition_size_limit.min(request.response_partition_limit.max(1) as u32);
    let mut page = Page { response: DescribeTopicPartitionsResponse::default(), left: limit.max(1) as usize };
    for name in names {
        let first = if name == from_topic { from_partition } else { 0 };
        if !page.add(&cx, &image, name, first) {
            break;
        }
    }
    cx.reply(page.response)
}

/// What fits into one response.
struct Page {
    response: DescribeTopicPartitionsResponse,
    left: usize,
}

impl Page {
    /// Adds a topic from partition `first` on; false when the page is full and says where to go on.
    fn add(&mut self, cx: &RequestContext, image: &MetadataImage, name: &str, first: i32) -> bool {
        let Some(topic) = image.topic(name) else {
            let code = match validate_topic_name(name) {
                Ok(()) => ErrorCode::UnknownTopicOrPartition,
                Err(_) => ErrorCode::InvalidTopicException,
            };
            cx.count_error(code);
            self.response.topics.push(failed(name, code));
            return true;
        };
        if self.left == 0 {
            self.response.next_cursor = Some(cursor(name, 0));
            return false;
        }
        let mut on_wire = DescribeTopicPartitionsResponseTopic::default();
        on_wire.name = Some(StrBytes::from_string(name.to_owned()).into());
        on_wire.topic_id = topic.id.0;
        on_wire.is_internal = is_internal_topic(name);
        on_wire.topic_authorized_operations = TOPIC_OPERATIONS;
        let partitions = topic.partitions().filter(|(index, _)| *index >= first);
        on_wire.partitions =
            partitions.take(self.left).map(|(index, partition)| describe(cx, image, index, partition)).collect();
        self.left -= on_wire.partitions.len();
        let next = on_wire.partitions.last().map_or(first, |last| last.partition_index + 1);
        self.response.topics.push(on_wire);
        let is_whole = next as usize >= topic.partitions.len();
        if !is_whole {
            self.response.next_cursor = Some(cursor(name, next));
        }
        is_whole
    }
}

fn describe(
    cx: &RequestContext,
    image: &MetadataImage,
    index: i32,
    partition: &PartitionImage,
) -> DescribeTopicPartitionsResponsePartition {
    let ids = |brokers: &[BrokerId]| brokers.iter().map(|broker| broker.0.into()).collect::<Vec<_>>();
    let leader = super::metadata::reachable_leader(cx, image, partition);
    let mut on_wire = DescribeTopicPartitionsResponsePartition::default();
    on_wire.error_code = if leader.is_some() { ErrorCode::None.code() } else { ErrorCode::LeaderNotAvailable.code() };
    on_wire.partition_index = index;
    on_wire.leader_id = leader.unwrap_or(BrokerId::NONE).0.into();
    on_wire.leader_epoch = partition.leader_epoch.0;
    on_wire.replica_nodes = ids(&partition.replicas);
    on_wire.isr_nodes = ids(&partition.isr);
    on_wire.eligible_leader_replicas = Some(ids(&partition.elr));
    on_wire.last_known_elr = Some(ids(&partition.last_known_elr));
    on_wire.offline_replicas = ids(&super::metadata::offline_replicas(image, partition));
    on_wire
}

fn cursor(topic: &str, partition_index: i32) -> Cursor {
    let mut cursor = Cursor::default();
    cursor.topic_name = StrBytes::from_string(topic.to_owned()).into();
    cursor.partition_index = partition_index;
    cursor
}

fn failed(name: &str, code: ErrorCode) -> DescribeTopicPartitionsResponseTopic {
    let mut topic = DescribeTopicPartitionsResponseTopic::default();
    topic.error_code = code.code();
    topic.name = Some(StrBytes::from_string(name.to_owned()).into());
    topic.is_internal = is_internal_topic(name);
    topic
}

/// A cursor that does not belong to the request; the response has no place for an error but its topics.
fn refusal(cx: &RequestContext, asked: &BTreeSet<&str>) -> DescribeTopicPartitionsResponse {
    cx.count_error(ErrorCode::InvalidRequest);
    let mut response = DescribeTopicPartitionsResponse::default();
    response.topics = asked.iter().map(|name| failed(name, ErrorCode::InvalidRequest)).collect();
    response
}
