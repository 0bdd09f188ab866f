//! ShareGroupHeartbeat (key 76), version 1: all that a member of a share group says (KIP-932).

use super::{Outcome, RequestContext};
use crate::coordinator::group::GroupId;
use crate::coordinator::group::share::{ShareGroupError, ShareHeartbeat, ShareHeartbeatReply};
use crate::error::ErrorCode;
use crate::protocol::wire::messages::share_group_heartbeat_response::{Assignment, TopicPartitions};
use crate::protocol::wire::messages::{ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse};
use crate::protocol::wire::protocol::StrBytes;

pub(super) fn handle(cx: RequestContext, request: ShareGroupHeartbeatRequest) -> Outcome {
    let level = cx.services().metadata.current().features.get("share.version").copied();
    if level.unwrap_or(0) == 0 && !cx.services().config.groups.rebalance_protocols.share {
        return cx.reply(refusal(&cx, ErrorCode::UnsupportedVersion, None));
    }
    let reply_context = cx.clone();
    cx.reply_later(async move { answer(&reply_context, &request).await })
}

async fn answer(cx: &RequestContext, request: &ShareGroupHeartbeatRequest) -> ShareGroupHeartbeatResponse {
    let host = cx.client_host();
    let names = request.subscribed_topic_names.as_ref();
    let heartbeat = ShareHeartbeat {
        member_id: &request.member_id,
        member_epoch: request.member_epoch,
        rack_id: request.rack_id.as_deref(),
        client_id: cx.client_id.as_deref().unwrap_or_default(),
        client_host: &host,
        subscribed_topic_names: names.map(|names| names.iter().map(|name| name.as_str()).collect()),
    };
    let checked: Result<(), ShareGroupError> = heartbeat.check(&request.group_id);
    if let Err(error) = checked {
        return refusal(cx, error.code(), Some(error.to_string()));
    }
    let group_id = GroupId::from(request.group_id.as_str());
    match cx.services().share_groups.heartbeat(&group_id, &heartbeat).await {
        Ok(reply) => response(reply),
        Err(error) => refusal(cx, error.code(), error.message()),
    }
}

fn response(reply: ShareHeartbeatReply) -> ShareGroupHeartbeatResponse {
    let mut response = ShareGroupHeartbeatResponse::default();
    response.member_id = Some(StrBytes::from_string(reply.member_id));
    response.member_epoch = reply.member_epoch;
    response.heartbeat_interval_ms = reply.heartbeat_interval_ms;
    response.assignment = reply.assignment.map(|assigned| {
        let topics = assigned.topics().map(|(id, partitions)| {
            let mut topic = TopicPartitions::default();
            topic.topic_id = id.0;
            topic.partitions = partitions.to_vec();
            topic
        });
        let mut assignment = Assignment::default();
        assignment.topic_partitions = topics.collect();
        assignment
    });
    response
}

fn refusal(cx: &RequestContext, code: ErrorCode, message: Option<String>) -> ShareGroupHeartbeatResponse {
    cx.count_error(code);
    let mut response = ShareGroupHeartbeatResponse::default();
    response.error_code = code.code();
    response.error_message = message.map(StrBytes::from_string);
    response
}
