//! OffsetCommit (key 8), versions 2-10: keeps how far a group has read.
//!
//! - 3: the throttle time
//! - 5: no retention of the client's own any more (KIP-211)
//! - 6: the leader epoch (KIP-320)
//! - 7: static members (KIP-345)
//! - 8: flexible
//! - 9: members of the consumer protocol; GROUP_ID_NOT_FOUND and STALE_MEMBER_EPOCH (KIP-848)
//! - 10: topic ids in the place of names (KIP-848)
//!
//! Partitions that do not exist are refused here, one by one; the coordinator sees the others. What it refuses, it
//! refuses for all of them.

use super::{Outcome, RequestContext};
use crate::error::ErrorCode;
use crate::ids::TopicId;
use crate::metadata::MetadataImage;
use crate::protocol::messages::{OffsetCommitRequest, OffsetCommitRequestTopic};
use crate::protocol::wire::messages::offset_commit_request::OffsetCommitRequestPartition;
use crate::protocol::wire::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use crate::protocol::wire::messages::{OffsetCommitResponse, TopicName};
use crate::protocol::wire::protocol::StrBytes;

const MEMBER_EPOCHS_SINCE: i16 = 9;
const TOPIC_IDS_SINCE: i16 = 10;

pub(super) fn handle(cx: RequestContext, mut request: OffsetCommitRequest) -> Outcome {
    let image = cx.services().metadata.current();
    let mut response = OffsetCommitResponse::default();
    // Which topic of the response each topic that goes to the coordinator belongs to.
    let mut places = Vec::new();
    for mut topic in std::mem::take(&mut request.topics) {
        let mut answers = OffsetCommitResponseTopic::default();
        answers.name = topic.base.name.clone();
        answers.topic_id = topic.topic_id;
        keep_known(&cx, &image, &mut topic, &mut answers);
        if !topic.base.partitions.is_empty() {
            places.push(response.topics.len());
            request.topics.push(topic);
        }
        response.topics.push(answers);
    }
    if request.topics.is_empty() {
        return cx.reply(response);
    }
    let committing = cx.services().groups.commit_offsets(&request, cx.version >= MEMBER_EPOCHS_SINCE);
    let reply_context = cx.clone();
    cx.reply_later(async move {
        let committed = match committing {
            Ok(committing) => committing.done().await.unwrap_or_else(|error| Err(error.code())),
            Err(error) => Err(error.code()),
        };
        match committed {
            Ok(committed) => {
                for (place, answers) in places.into_iter().zip(committed.topics) {
                    for answer in &answers.partitions {
                        if answer.error_code == ErrorCode::OffsetMetadataTooLarge.code() {
                            reply_context.count_error(ErrorCode::OffsetMetadataTooLarge);
                        }
                    }
                    response.topics[place].partitions.extend(answers.partitions);
                }
            }
            Err(error) => {
                for (place, topic) in places.into_iter().zip(request.topics) {
                    let refused = topic.base.partitions.iter().map(|asked| refusal(&reply_context, asked, error));
                    response.topics[place].partitions.extend(refused);
                }
            }
        }
        response
    })
}

/// Leaves the partitions that exist in `topic`, with name and id, and refuses the others.
fn keep_known(
    cx: &RequestContext,
    image: &MetadataImage,
    topic: &mut OffsetCommitRequestTopic,
    answers: &mut OffsetCommitResponseTopic,
) {
    let (known, unknown) = if cx.version >= TOPIC_IDS_SINCE {
        (image.topic_by_id(TopicId(topic.topic_id)), ErrorCode::UnknownTopicId)
    } else {
        (image.topic(&topic.base.name), ErrorCode::UnknownTopicOrPartition)
    };
    let Some(known) = known else {
        answers.partitions.extend(topic.base.partitions.drain(..).map(|asked| refusal(cx, &asked, unknown)));
        return;
    };
    topic.base.partitions.retain(|asked| {
        let exists = known.partition(asked.partition_index).is_some();
        if !exists {
            answers.partitions.push(refusal(cx, asked, ErrorCode::UnknownTopicOrPartition));
        }
        exists
    });
    if topic.base.name.is_empty() {
        topic.base.name = TopicName(StrBytes::from_string(known.name.to_string()));
    }
    topic.topic_id = known.id.0;
}

fn refusal(
    cx: &RequestContext,
    asked: &OffsetCommitRequestPartition,
    error: ErrorCode,
) -> OffsetCommitResponsePartition {
    cx.count_error(error);
    let mut answer = OffsetCommitResponsePartition::default();
    answer.partition_index = asked.partition_index;
    answer.error_code = error.code();
    answer
}
