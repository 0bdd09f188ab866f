//! AlterReplicaLogDirs (key 34), versions 1-2: which log directory of this broker a replica lies in (KIP-113).
//!
//! - 2: flexible
//!
//! The answer says that the move has begun; DescribeLogDirs shows how far it is.

use std::collections::BTreeMap;

use super::{Outcome, RequestContext};
use crate::ids::TopicPartition;
use crate::protocol::wire::messages::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult,
};
use crate::protocol::wire::messages::{AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse, TopicName};

pub(super) fn handle(cx: RequestContext, request: AlterReplicaLogDirsRequest) -> Outcome {
    let reply_context = cx.clone();
    cx.reply_exclusively(async move {
        // Creates folders.
        let altering = tokio::task::spawn_blocking(move || alter(&reply_context, request));
        altering.await.unwrap_or_default()
    })
}

fn alter(cx: &RequestContext, request: AlterReplicaLogDirsRequest) -> AlterReplicaLogDirsResponse {
    let mut by_topic: BTreeMap<TopicName, Vec<AlterReplicaLogDirPartitionResult>> = BTreeMap::new();
    for directory in request.dirs {
        for topic in directory.topics {
            let results = by_topic.entry(topic.name.clone()).or_default();
            for index in topic.partitions {
                let partition = TopicPartition::new(topic.name.as_str(), index);
                let altered = cx.services().replicas.alter_log_directory(&partition, &directory.path);
                let mut result = AlterReplicaLogDirPartitionResult::default();
                result.partition_index = index;
                if let Err(code) = altered {
                    cx.count_error(code);
                    result.error_code = code.code();
                }
                results.push(result);
            }
        }
    }
    let mut response = AlterReplicaLogDirsResponse::default();
    response.results = by_topic
        .into_iter()
        .map(|(name, partitions)| {
            let mut result = AlterReplicaLogDirTopicResult::default();
            result.topic_name = name;
            result.partitions = partitions;
            result
        })
        .collect();
    response
}
