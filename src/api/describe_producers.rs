//! DescribeProducers (key 61), version 0: who writes to a partition (KIP-664).

use std::collections::HashSet;

use super::{Outcome, RequestContext};
use crate::controller::machine::validate_topic_name;
use crate::error::ErrorCode;
use crate::ids::{LeaderEpoch, Offset, PartitionIndex};
use crate::log::producer_state::ProducerStateEntry;
use crate::protocol::wire::messages::describe_producers_request::TopicRequest;
use crate::protocol::wire::messages::describe_producers_response::{PartitionResponse, ProducerState, TopicResponse};
use crate::protocol::wire::messages::{DescribeProducersRequest, DescribeProducersResponse};
use crate::protocol::wire::protocol::StrBytes;

pub(super) fn handle(cx: RequestContext, request: DescribeProducersRequest) -> Outcome {
    let mut response = DescribeProducersResponse::default();
    let mut seen = HashSet::new();
    for topic in request.topics {
        let mut on_wire = TopicResponse::default();
        // Each once: a few bytes that name a partition again must not tell all its producers again.
        let asked = topic.partition_indexes.iter().filter(|&&index| seen.insert((topic.name.clone(), index)));
        on_wire.partitions = asked.map(|&index| describe(&cx, &topic, index)).collect();
        on_wire.name = topic.name;
        response.topics.push(on_wire);
    }
    cx.reply(response)
}

fn describe(cx: &RequestContext, topic: &TopicRequest, index: PartitionIndex) -> PartitionResponse {
    let mut on_wire = PartitionResponse::default();
    on_wire.partition_index = index;
    match producers(cx, &topic.name, index) {
        Ok(producers) => on_wire.active_producers = producers.iter().map(producer).collect(),
        Err((code, message)) => {
            cx.count_error(code);
            on_wire.error_code = code.code();
            on_wire.error_message = message.map(StrBytes::from_string);
        }
    }
    on_wire
}

fn producers(
    cx: &RequestContext,
    topic: &str,
    index: PartitionIndex,
) -> Result<Vec<ProducerStateEntry>, (ErrorCode, Option<String>)> {
    validate_topic_name(topic).map_err(|error| (error.code, Some(error.message)))?;
    let plain = |code| (code, None);
    let topic = cx.services().replicas.topic(topic).ok_or(plain(ErrorCode::UnknownTopicOrPartition))?;
    let replica = topic.partition(index).map_err(plain)?;
    replica.check_leader(LeaderEpoch::NONE).map_err(|error| plain(error.code()))?;
    Ok(replica.log().producers())
}

fn producer(entry: &ProducerStateEntry) -> ProducerState {
    let mut on_wire = ProducerState::default();
    on_wire.producer_id = entry.producer_id.0.into();
    on_wire.producer_epoch = i32::from(entry.epoch.0);
    on_wire.last_sequence = entry.last_sequence();
    on_wire.last_timestamp = entry.last_timestamp;
    on_wire.coordinator_epoch = entry.coordinator_epoch;
    on_wire.current_txn_start_offset = entry.current_txn_first_offset.unwrap_or(Offset::NONE).0;
    on_wire
}
