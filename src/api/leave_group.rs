//! LeaveGroup (key 13), versions 0-5: members leave a classic group, or are taken out of it.
//!
//! - 3: several members at once, also by their instance ids (KIP-345)
//! - 4: flexible
//! - 5: reasons (KIP-800)

use super::groups::{classic_answer, own, text};
use super::{Outcome, RequestContext};
use crate::coordinator::group::classic::{ClassicReply, Leave, LeaveReply, LeavingMember};
use crate::error::ErrorCode;
use crate::protocol::wire::messages::leave_group_response::MemberResponse;
use crate::protocol::wire::messages::{LeaveGroupRequest, LeaveGroupResponse};

const SEVERAL_MEMBERS_SINCE: i16 = 3;

pub(super) fn handle(cx: RequestContext, request: LeaveGroupRequest) -> Outcome {
    if request.group_id.is_empty() {
        return cx.reply(response(&cx, LeaveReply::refused(ErrorCode::InvalidGroupId)));
    }
    let leaving = cx.services().groups.leave(&own(&request.group_id), &leave(cx.version, &request));
    let reply_context = cx.clone();
    cx.reply_later_without_request(async move {
        let reply = match classic_answer(leaving).await {
            Ok(ClassicReply::Leave(reply)) => reply,
            Ok(_) => LeaveReply::refused(ErrorCode::UnknownServerError),
            Err(error) => LeaveReply::refused(error.code()),
        };
        response(&reply_context, reply)
    })
}

fn leave(version: i16, request: &LeaveGroupRequest) -> Leave {
    if version < SEVERAL_MEMBERS_SINCE {
        let member = LeavingMember { member_id: own(&request.member_id), instance_id: None, reason: None };
        return Leave { members: vec![member] };
    }
    let members = request.members.iter().map(|member| LeavingMember {
        member_id: own(&member.member_id),
        instance_id: member.group_instance_id.as_deref().map(own),
        reason: member.reason.as_deref().map(str::to_owned),
    });
    Leave { members: members.collect() }
}

/// Before there could be several members, the one's error was the whole's.
fn response(cx: &RequestContext, reply: LeaveReply) -> LeaveGroupResponse {
    let mut response = LeaveGroupResponse::default();
    response.error_code = reply.error.code();
    for error in std::iter::once(reply.error).chain(reply.members.iter().map(|member| member.error)) {
        if error.is_error() {
            cx.count_error(error);
        }
    }
    if cx.version < SEVERAL_MEMBERS_SINCE {
        if let (ErrorCode::None, Some(only)) = (reply.error, reply.members.first()) {
            response.error_code = only.error.code();
        }
        return response;
    }
    response.members = reply
        .members
        .into_iter()
        .map(|member| {
            let mut on_wire = MemberResponse::default();
            on_wire.member_id = text(&member.member_id);
            on_wire.group_instance_id = member.instance_id.as_deref().map(text);
            on_wire.error_code = member.error.code();
            on_wire
        })
        .collect();
    response
}
