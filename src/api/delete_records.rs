//! DeleteRecords (key 21), versions 0-2: everything below an offset (KIP-107).
//!
//! - 2: flexible

use super::{Outcome, RequestContext};
use crate::error::ErrorCode;
use crate::ids::{LeaderEpoch, Offset};
use crate::protocol::wire::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use crate::protocol::wire::messages::{DeleteRecordsRequest, DeleteRecordsResponse};
use crate::replication::is_internal_topic;

pub(super) fn handle(cx: RequestContext, request: DeleteRecordsRequest) -> Outcome {
    let reply_context = cx.clone();
    cx.reply_exclusively(async move {
        // Moving a log's start removes files.
        let deletion = tokio::task::spawn_blocking(move || delete(&reply_context, request));
        deletion.await.unwrap_or_default()
    })
}

fn delete(cx: &RequestContext, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let mut response = DeleteRecordsResponse::default();
    for topic in request.topics {
        let mut result = DeleteRecordsTopicResult::default();
        result.partitions = topic
            .partitions
            .iter()
            .map(|asked| {
                let mut on_wire = DeleteRecordsPartitionResult::default();
                on_wire.partition_index = asked.partition_index;
                match delete_before(cx, &topic.name, asked.partition_index, Offset(asked.offset)) {
                    Ok(low_watermark) => on_wire.low_watermark = low_watermark.0,
                    Err(code) => {
                        cx.count_error(code);
                        on_wire.low_watermark = Offset::NONE.0;
                        on_wire.error_code = code.code();
                    }
                }
                on_wire
            })
            .collect();
        result.name = topic.name;
        response.topics.push(result);
    }
    response
}

/// The log start offset after everything below `offset` is deleted.
fn delete_before(cx: &RequestContext, topic: &str, partition: i32, offset: Offset) -> Result<Offset, ErrorCode> {
    if is_internal_topic(topic) {
        return Err(ErrorCode::InvalidTopicException);
    }
    let topic = cx.services().replicas.topic(topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let replica = topic.partition(partition)?;
    replica.check_leader(LeaderEpoch::NONE).map_err(|error| error.code())?;
    replica.delete_records(offset).map_err(|error| error.code())
}
