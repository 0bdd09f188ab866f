//! ConsumerGroupHeartbeat (key 68), versions 0-1: all that a member of a group of the consumer protocol says (KIP-848).
//!
//! - 1: the member makes its own id (KIP-1082); subscriptions by regular expression

use std::collections::BTreeMap;

use uuid::Uuid;

use super::groups::text;
use super::{Outcome, RequestContext};
use crate::coordinator::group::GroupId;
use crate::coordinator::group::consumer::{
    Client, GroupError, Heartbeat, HeartbeatReply, OwnedPartitions, check_heartbeat,
};
use crate::error::ErrorCode;
use crate::ids::uuid_to_base64;
use crate::protocol::wire::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use crate::protocol::wire::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};

const OWN_MEMBER_ID_SINCE: i16 = 1;

pub(super) fn handle(cx: RequestContext, request: ConsumerGroupHeartbeatRequest) -> Outcome {
    let groups = &cx.services().groups;
    if !cx.services().config.groups.rebalance_protocols.consumer {
        return cx.reply(error_response(&cx, ErrorCode::UnsupportedVersion, None));
    }
    let assignors = groups.consumer_assignors();
    if let Err(error) = check_heartbeat(&request, cx.version >= OWN_MEMBER_ID_SINCE, &assignors) {
        return cx.reply(refusal(&cx, &error));
    }
    let new_member_id = if request.member_id.is_empty() { uuid_to_base64(Uuid::new_v4()) } else { String::new() };
    let host = cx.client_host();
    let client = Client { id: cx.client_id.as_deref().unwrap_or_default(), host: &host };
    let heartbeat = Heartbeat { request: &request, client, new_member_id: &new_member_id };
    let beating = groups.consumer_heartbeat(&GroupId::from(&**request.group_id), &heartbeat);
    let reply_context = cx.clone();
    cx.reply_later_without_request(async move {
        let cx = reply_context;
        let answer = match beating {
            Ok(pending) => pending.done().await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(Ok(reply)) => response(&reply),
            Ok(Err(error)) => refusal(&cx, &error),
            Err(error) => error_response(&cx, error.code(), None),
        }
    })
}

fn response(reply: &HeartbeatReply) -> ConsumerGroupHeartbeatResponse {
    let mut response = ConsumerGroupHeartbeatResponse::default();
    response.member_id = Some(text(&reply.member_id));
    response.member_epoch = reply.member_epoch;
    response.heartbeat_interval_ms = reply.heartbeat_interval_ms;
    response.assignment = reply.assignment.as_deref().map(assignment);
    response
}

fn assignment(owned: &OwnedPartitions) -> Assignment {
    let topics = owned.topics().map(|(id, partitions): (_, &BTreeMap<_, _>)| {
        let mut topic = TopicPartitions::default();
        topic.topic_id = id.0;
        topic.partitions = partitions.keys().copied().collect();
        topic
    });
    let mut assignment = Assignment::default();
    assignment.topic_partitions = topics.collect();
    assignment
}

fn refusal(cx: &RequestContext, error: &GroupError) -> ConsumerGroupHeartbeatResponse {
    error_response(cx, error.code(), Some(error.to_string()))
}

fn error_response(cx: &RequestContext, code: ErrorCode, message: Option<String>) -> ConsumerGroupHeartbeatResponse {
    cx.count_error(code);
    let mut response = ConsumerGroupHeartbeatResponse::default();
    response.error_code = code.code();
    response.error_message = message.as_deref().map(text);
    response
}
