//! CreatePartitions (key 37), versions 0-3: more partitions for a topic (KIP-195).
//!
//! - 2: flexible
//! - 3: throttling by controller mutations (KIP-599)

use std::collections::HashMap;

use super::{Outcome, RequestContext};
use crate::controller::{AdminError, NewPartitions};
use crate::error::ErrorCode;
use crate::ids::BrokerId;
use crate::protocol::wire::messages::create_partitions_request::CreatePartitionsTopic;
use crate::protocol::wire::messages::create_partitions_response::CreatePartitionsTopicResult;
use crate::protocol::wire::messages::{CreatePartitionsRequest, CreatePartitionsResponse, TopicName};

/// Since then a request over the quota on partitions is refused (KIP-599).
const STRICT_QUOTA_SINCE: i16 = 3;

pub(super) fn handle(cx: RequestContext, request: CreatePartitionsRequest) -> Outcome {
    let reply_context = cx.clone();
    cx.reply_exclusively(async move { create(&reply_context, request).await })
}

async fn create(cx: &RequestContext, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let mut times_named: HashMap<TopicName, usize> = HashMap::new();
    for topic in &request.topics {
        *times_named.entry(topic.name.clone()).or_default() += 1;
    }
    let mut response = CreatePartitionsResponse::default();
    let mut quota = cx.mutation_quota(STRICT_QUOTA_SINCE);
    for topic in request.topics {
        let result = match times_named.get(&topic.name) {
            Some(1) => match quota.take(cx, added_partitions(cx, &topic)) {
                Ok(()) => {
                    let new = new_partitions(&topic);
                    cx.services().controller.create_partitions(&new, request.validate_only).await
                }
                Err(exceeded) => Err(exceeded),
            },
            Some(_) => {
                times_named.remove(&topic.name);
                Err(AdminError::new(ErrorCode::InvalidRequest, "Duplicate topic name."))
            }
            None => continue,
        };
        response.results.push(on_wire(cx, topic.name, result));
    }
    response.throttle_time_ms = quota.throttle_time_ms(cx);
    response
}

/// What a topic takes of the quota on partitions.
fn added_partitions(cx: &RequestContext, topic: &CreatePartitionsTopic) -> usize {
    let image = cx.services().metadata.current();
    let present = image.topic(&topic.name).map(|topic| topic.partitions.len());
    present.map_or(0, |present| usize::try_from(topic.count).unwrap_or_default().saturating_sub(present))
}

fn new_partitions(topic: &CreatePartitionsTopic) -> NewPartitions {
    let assignments = topic.assignments.as_ref().map(|assignments| {
        let ids = |brokers: &[crate::protocol::wire::messages::BrokerId]| {
            brokers.iter().map(|id| BrokerId(id.0)).collect::<Vec<_>>()
        };
        assignments.iter().map(|assignment| ids(&assignment.broker_ids)).collect()
    });
    NewPartitions { topic: topic.name.to_string(), count: topic.count, assignments }
}

fn on_wire(cx: &RequestContext, name: TopicName, result: Result<(), AdminError>) -> CreatePartitionsTopicResult {
    let mut on_wire = CreatePartitionsTopicResult::default();
    on_wire.name = name;
    (on_wire.error_code, on_wire.error_message) = cx.told(result);
    on_wire
}
