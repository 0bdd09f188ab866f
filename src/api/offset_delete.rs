//! OffsetDelete (key 47), version 0: forgets how far a group has read (KIP-496).
//!
//! Partitions that do not exist are refused here, one by one; the coordinator sees the others, and may refuse the whole
//! request.

use super::{Outcome, RequestContext};
use crate::error::ErrorCode;
use crate::protocol::wire::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use crate::protocol::wire::messages::{OffsetDeleteRequest, OffsetDeleteResponse};

pub(super) fn handle(cx: RequestContext, mut request: OffsetDeleteRequest) -> Outcome {
    if request.group_id.is_empty() {
        return refuse(&cx, ErrorCode::InvalidGroupId);
    }
    let image = cx.services().metadata.current();
    let mut refused = Vec::new();
    for topic in &mut request.topics {
        let known = image.topic(&topic.name);
        let mut answers = OffsetDeleteResponseTopic::default();
        answers.name = topic.name.clone();
        topic.partitions.retain(|asked| {
            let exists = known.is_some_and(|known| known.partition(asked.partition_index).is_some());
            if !exists {
                cx.count_error(ErrorCode::UnknownTopicOrPartition);
                let mut answer = OffsetDeleteResponsePartition::default();
                answer.partition_index = asked.partition_index;
                answer.error_code = ErrorCode::UnknownTopicOrPartition.code();
                answers.partitions.push(answer);
            }
            exists
        });
        refused.push(answers);
    }
    let deleting = cx.services().groups.delete_offsets(&request);
    let reply_context = cx.clone();
    cx.reply_later(async move {
        let deleted = match deleting {
            Ok(deleting) => deleting.done().await.unwrap_or_else(|error| Err(error.code())),
            Err(error) => Err(error.code()),
        };
        match deleted {
            Ok(mut response) => {
                for (answers, refused) in response.topics.iter_mut().zip(refused) {
                    answers.partitions.extend(refused.partitions);
                }
                response.topics.retain(|topic| !topic.partitions.is_empty());
                response
            }
            Err(error) => refusal(&reply_context, error),
        }
    })
}

fn refuse(cx: &RequestContext, error: ErrorCode) -> Outcome {
    cx.reply(refusal(cx, error))
}

fn refusal(cx: &RequestContext, error: ErrorCode) -> OffsetDeleteResponse {
    cx.count_error(error);
    let mut response = OffsetDeleteResponse::default();
    response.error_code = error.code();
    response
}
