//! JoinGroup (key 11), versions 0-9: becoming a member of a classic group, or taking part in its next generation.
//!
//! - 1: a rebalance timeout of its own (KIP-62); before, the session timeout holds for both
//! - 4: the member id has to be known (KIP-394)
//! - 5: static members (KIP-345)
//! - 6: flexible
//! - 7: the protocol type in the reply (KIP-559)
//! - 8: a reason (KIP-800)
//! - 9: leaders that must not assign (KIP-814)
//!
//! The reply waits for the other members, up to the rebalance timeout: it keeps nothing of the request's frame.

use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::groups::{classic_answer, own, text};
use super::{Outcome, RequestContext};
use crate::coordinator::group::classic::{ClassicReply, Join, JoinReply, Protocol, Protocols, new_member_id};
use crate::error::ErrorCode;
use crate::protocol::wire::messages::join_group_response::JoinGroupResponseMember;
use crate::protocol::wire::messages::{JoinGroupRequest, JoinGroupResponse};

const KNOWN_MEMBER_ID_SINCE: i16 = 4;
const INSTANCE_ID_SINCE: i16 = 5;
const NO_PROTOCOL_SINCE: i16 = 7;
const SKIPPED_ASSIGNMENT_SINCE: i16 = 9;

pub(super) fn handle(cx: RequestContext, request: JoinGroupRequest) -> Outcome {
    let config = &cx.services().config.groups;
    let sessions = config.min_session_timeout_ms..=config.max_session_timeout_ms;
    let refused = if request.group_id.is_empty() {
        Some(ErrorCode::InvalidGroupId)
    } else if !sessions.contains(&request.session_timeout_ms) {
        Some(ErrorCode::InvalidSessionTimeout)
    } else {
        None
    };
    if let Some(error) = refused {
        return cx.reply(response(&cx, JoinReply::refused(error, &*request.member_id)));
    }
    let group_id = own(&request.group_id);
    let joining = cx.services().groups.join(&group_id, &join(&cx, &request));
    let reply_context = cx.clone();
    cx.reply_later_without_request(async move {
        let reply = match classic_answer(joining).await {
            Ok(ClassicReply::Join(reply)) => reply,
            Ok(_) => JoinReply::refused(ErrorCode::UnknownServerError, ""),
            Err(error) => JoinReply::refused(error.code(), ""),
        };
        response(&reply_context, reply)
    })
}

/// What the group keeps is copied: slices would keep the whole frame.
fn join(cx: &RequestContext, request: &JoinGroupRequest) -> Join {
    let client_id = cx.client_id.as_deref().unwrap_or_default();
    let instance_id = request.group_instance_id.as_deref();
    let protocols = request
        .protocols
        .iter()
        .map(|protocol| Protocol { name: own(&protocol.name), metadata: Bytes::copy_from_slice(&protocol.metadata) });
    let rebalance_timeout_ms =
        if cx.version == 0 { request.session_timeout_ms } else { request.rebalance_timeout_ms };
    Join {
        member_id: own(&request.member_id),
        new_member_id: new_member_id(client_id, instance_id, Uuid::new_v4()),
        instance_id: instance_id.map(Arc::from),
        client_id: own(client_id),
        client_host: cx.client_host().into(),
        protocol_type: own(&request.protocol_type),
        protocols: Protocols::new(protocols),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms,
        requires_known_member_id: cx.version >= KNOWN_MEMBER_ID_SINCE,
        supports_skipping_assignment: cx.version >= SKIPPED_ASSIGNMENT_SINCE,
        reason: request.reason.as_deref().map(str::to_owned),
    }
}

fn response(cx: &RequestContext, reply: JoinReply) -> JoinGroupResponse {
    if reply.error.is_error() {
        cx.count_error(reply.error);
    }
    let mut response = JoinGroupResponse::default();
    response.error_code = reply.error.code();
    response.generation_id = reply.generation_id;
    if cx.version >= NO_PROTOCOL_SINCE {
        response.protocol_type = reply.protocol_type.as_deref().map(text);
        response.protocol_name = reply.protocol_name.as_deref().map(text);
    } else {
        response.protocol_name = Some(text(reply.protocol_name.as_deref().unwrap_or_default()));
    }
    response.leader = text(reply.leader.as_deref().unwrap_or_default());
    response.skip_assignment = reply.skip_assignment;
    response.member_id = text(&reply.member_id);
    response.members = reply
        .members
        .into_iter()
        .map(|member| {
            let mut on_wire = JoinGroupResponseMember::default();
            on_wire.member_id = text(&member.member_id);
            if cx.version >= INSTANCE_ID_SINCE {
                on_wire.group_instance_id = member.instance_id.as_deref().map(text);
            }
            on_wire.metadata = member.metadata;
            on_wire
        })
        .collect();
    response
}
