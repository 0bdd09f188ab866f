//! AlterPartitionReassignments (key 45), versions 0-1: which brokers a partition shall live on (KIP-455).
//!
//! - 1: the number of replicas may be held fixed (KIP-860)

use std::sync::Arc;

use super::{Outcome, RequestContext};
use crate::controller::{AdminError, Reassignment};
use crate::ids::{BrokerId, TopicName, TopicPartition};
use crate::protocol::wire::messages::alter_partition_reassignments_request::ReassignableTopic;
use crate::protocol::wire::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use crate::protocol::wire::messages::{AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse};

pub(super) fn handle(cx: RequestContext, request: AlterPartitionReassignmentsRequest) -> Outcome {
    let reply_context = cx.clone();
    cx.reply_exclusively(async move { alter(&reply_context, request).await })
}

async fn alter(
    cx: &RequestContext,
    request: AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    let may_change = request.allow_replication_factor_change;
    let asked: Vec<_> = request.topics.iter().flat_map(|topic| asked(topic, may_change)).collect();
    let services = cx.services();
    let mut results = services.controller.alter_reassignments(&asked, &services.config).await.into_iter();
    let mut response = AlterPartitionReassignmentsResponse::default();
    response.error_message = None;
    response.allow_replication_factor_change = may_change;
    for topic in request.topics {
        let mut on_wire = ReassignableTopicResponse::default();
        let partitions = topic.partitions.iter().zip(results.by_ref());
        on_wire.partitions = partitions.map(|(asked, result)| answer(cx, asked.partition_index, result)).collect();
        on_wire.name = topic.name;
        response.responses.push(on_wire);
    }
    response
}

fn asked(topic: &ReassignableTopic, may_change_replication_factor: bool) -> impl Iterator<Item = Reassignment> {
    let name: TopicName = Arc::from(topic.name.as_str());
    topic.partitions.iter().map(move |partition| Reassignment {
        partition: TopicPartition::new(Arc::clone(&name), partition.partition_index),
        replicas: partition.replicas.as_ref().map(|ids| ids.iter().map(|id| BrokerId(id.0)).collect()),
        may_change_replication_factor,
    })
}

fn answer(cx: &RequestContext, partition: i32, result: Result<(), AdminError>) -> ReassignablePartitionResponse {
    let mut on_wire = ReassignablePartitionResponse::default();
    on_wire.partition_index = partition;
    (on_wire.error_code, on_wire.error_message) = cx.told(result);
    on_wire
}
