//! DeleteShareGroupOffsets (key 92), version 0: a share group without members forgets topics (KIP-932).

use super::{Outcome, RequestContext};
use crate::coordinator::group::GroupId;
use crate::error::ErrorCode;
use crate::ids::TopicId;
use crate::protocol::wire::messages::delete_share_group_offsets_response::DeleteShareGroupOffsetsResponseTopic;
use crate::protocol::wire::messages::{DeleteShareGroupOffsetsRequest, DeleteShareGroupOffsetsResponse};
use crate::protocol::wire::protocol::StrBytes;

pub(super) fn handle(cx: RequestContext, request: DeleteShareGroupOffsetsRequest) -> Outcome {
    let reply_context = cx.clone();
    cx.reply_later(async move { delete(&reply_context, request).await })
}

async fn delete(cx: &RequestContext, request: DeleteShareGroupOffsetsRequest) -> DeleteShareGroupOffsetsResponse {
    let image = cx.services().metadata.current();
    let id_of = |name: &str| image.topic(name).map(|topic| topic.id);
    let known: Vec<TopicId> = request.topics.iter().filter_map(|topic| id_of(&topic.topic_name)).collect();
    let mut response = DeleteShareGroupOffsetsResponse::default();
    let group_id = GroupId::from(request.group_id.as_str());
    let codes = match cx.services().share_groups.delete_offsets(&group_id, &known).await {
        Ok(codes) => codes,
        Err(error) => {
            cx.count_error(error.code());
            response.error_code = error.code().code();
            response.error_message = error.message().map(StrBytes::from_string);
            return response;
        }
    };
    for asked in request.topics {
        let id = id_of(&asked.topic_name);
        let code = id.and_then(|id| codes.get(&id).copied()).unwrap_or(ErrorCode::UnknownTopicOrPartition);
        cx.count_error(code);
        let mut topic = DeleteShareGroupOffsetsResponseTopic::default();
        topic.topic_id = id.unwrap_or_default().0;
        topic.topic_name = asked.topic_name;
        topic.error_code = code.code();
        if code == ErrorCode::UnknownTopicOrPartition {
            topic.error_message = Some(StrBytes::from_static_str(match id {
                Some(_) => "There is no offset information to delete.",
                None => "This server does not host this topic-partition.",
            }));
        }
        response.responses.push(topic);
    }
    response
}
