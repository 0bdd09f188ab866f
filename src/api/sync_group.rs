//! SyncGroup (key 14), versions 0-5: the leader of a classic group assigns, the others ask for their part.
//!
//! - 3: static members (KIP-345)
//! - 4: flexible
//! - 5: protocol type and name, in both directions (KIP-559)
//!
//! The reply waits for the leader: it keeps nothing of the request's frame.

use bytes::Bytes;

use super::groups::{classic_answer, own, text};
use super::{Outcome, RequestContext};
use crate::coordinator::group::classic::{ClassicReply, Sync, SyncReply};
use crate::error::ErrorCode;
use crate::protocol::wire::messages::{SyncGroupRequest, SyncGroupResponse};

const PROTOCOL_SINCE: i16 = 5;

pub(super) fn handle(cx: RequestContext, request: SyncGroupRequest) -> Outcome {
    let says_protocol = request.protocol_type.is_some() && request.protocol_name.is_some();
    if cx.version >= PROTOCOL_SINCE && !says_protocol {
        return cx.reply(response(&cx, SyncReply::refused(ErrorCode::InconsistentGroupProtocol)));
    }
    if request.group_id.is_empty() {
        return cx.reply(response(&cx, SyncReply::refused(ErrorCode::InvalidGroupId)));
    }
    let group_id = own(&request.group_id);
    let syncing = cx.services().groups.sync(&group_id, sync(&request));
    let reply_context = cx.clone();
    cx.reply_later_without_request(async move {
        let reply = match classic_answer(syncing).await {
            Ok(ClassicReply::Sync(reply)) => reply,
            Ok(_) => SyncReply::refused(ErrorCode::UnknownServerError),
            Err(error) => SyncReply::refused(error.code()),
        };
        response(&reply_context, reply)
    })
}

/// What the group keeps is copied: slices would keep the whole frame.
fn sync(request: &SyncGroupRequest) -> Sync {
    let assignments = request
        .assignments
        .iter()
        .map(|assignment| (own(&assignment.member_id), Bytes::copy_from_slice(&assignment.assignment)));
    Sync {
        generation_id: request.generation_id,
        member_id: own(&request.member_id),
        instance_id: request.group_instance_id.as_deref().map(own),
        protocol_type: request.protocol_type.as_deref().map(own),
        protocol_name: request.protocol_name.as_deref().map(own),
        assignments: assignments.collect(),
    }
}

fn response(cx: &RequestContext, reply: SyncReply) -> SyncGroupResponse {
    if reply.error.is_error() {
        cx.count_error(reply.error);
    }
    let mut response = SyncGroupResponse::default();
    response.error_code = reply.error.code();
    if cx.version >= PROTOCOL_SINCE {
        response.protocol_type = reply.protocol_type.as_deref().map(text);
        response.protocol_name = reply.protocol_name.as_deref().map(text);
    }
    response.assignment = reply.assignment;
    response
}
