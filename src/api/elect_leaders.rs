//! ElectLeaders (key 43), versions 0-2: a leader for partitions that have another than they should, or none (KIP-183).
//!
//! - 1: unclean elections, and an error of the whole request (KIP-460)
//! - 2: flexible

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Outcome, RequestContext};
use crate::controller::{AdminError, ElectionType};
use crate::error::ErrorCode;
use crate::ids::{TopicName, TopicPartition};
use crate::protocol::wire::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use crate::protocol::wire::messages::{ElectLeadersRequest, ElectLeadersResponse};
use crate::protocol::wire::protocol::StrBytes;

pub(super) fn handle(cx: RequestContext, request: ElectLeadersRequest) -> Outcome {
    let reply_context = cx.clone();
    cx.reply_exclusively(async move { elect(&reply_context, &request).await })
}

async fn elect(cx: &RequestContext, request: &ElectLeadersRequest) -> ElectLeadersResponse {
    let mut response = ElectLeadersResponse::default();
    let kind = match request.election_type {
        0 => ElectionType::Preferred,
        1 => ElectionType::Unclean,
        _ => return refused(cx, ErrorCode::InvalidRequest),
    };
    let results = match cx.services().controller.elect_leaders(kind, asked(request)).await {
        Ok(results) => results,
        Err(error) => return refused(cx, error.code),
    };
    let mut by_topic: BTreeMap<TopicName, Vec<PartitionResult>> = BTreeMap::new();
    for (partition, result) in results {
        by_topic.entry(partition.topic).or_default().push(on_wire(cx, partition.partition, result));
    }
    response.replica_election_results = by_topic
        .into_iter()
        .map(|(topic, results)| {
            let mut result = ReplicaElectionResult::default();
            result.topic = StrBytes::from_string(topic.to_string()).into();
            result.partition_result = results;
            result
        })
        .collect();
    response
}

/// None: all partitions.
fn asked(request: &ElectLeadersRequest) -> Option<Vec<TopicPartition>> {
    let topics = request.topic_partitions.as_ref()?;
    let partitions = topics.iter().flat_map(|topic| {
        let name: TopicName = Arc::from(topic.topic.as_str());
        topic.partitions.iter().map(move |&partition| TopicPartition::new(Arc::clone(&name), partition))
    });
    Some(partitions.collect())
}

fn on_wire(cx: &RequestContext, partition: i32, result: Result<(), AdminError>) -> PartitionResult {
    let mut on_wire = PartitionResult::default();
    on_wire.partition_id = partition;
    (on_wire.error_code, on_wire.error_message) = cx.told(result);
    on_wire
}

/// Version 0 has no place for an error of the whole request; it asks for nothing that could be refused so.
fn refused(cx: &RequestContext, code: ErrorCode) -> ElectLeadersResponse {
    cx.count_error(code);
    let mut response = ElectLeadersResponse::default();
    if cx.version >= 1 {
        response.error_code = code.code();
    }
    response
}
