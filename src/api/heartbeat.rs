//! Heartbeat (key 12), versions 0-4: a member of a classic group is alive.
//!
//! - 3: static members (KIP-345)
//! - 4: flexible

use super::groups::{classic_answer, own};
use super::{Outcome, RequestContext};
use crate::coordinator::CoordinatorError;
use crate::coordinator::group::classic::Heartbeat;
use crate::error::ErrorCode;
use crate::protocol::wire::messages::{HeartbeatRequest, HeartbeatResponse};

pub(super) fn handle(cx: RequestContext, request: HeartbeatRequest) -> Outcome {
    if request.group_id.is_empty() {
        return cx.reply(response(&cx, ErrorCode::InvalidGroupId));
    }
    let heartbeat = Heartbeat {
        generation_id: request.generation_id,
        member_id: own(&request.member_id),
        instance_id: request.group_instance_id.as_deref().map(own),
    };
    let beating = cx.services().groups.heartbeat(&own(&request.group_id), &heartbeat);
    let reply_context = cx.clone();
    cx.reply_later_without_request(async move {
        let code = match classic_answer(beating).await {
            Ok(code) => code,
            // The members' sessions begin anew once the state is read.
            Err(CoordinatorError::Loading) => ErrorCode::None,
            Err(error) => error.code(),
        };
        response(&reply_context, code)
    })
}

fn response(cx: &RequestContext, code: ErrorCode) -> HeartbeatResponse {
    if code.is_error() {
        cx.count_error(code);
    }
    let mut response = HeartbeatResponse::default();
    response.error_code = code.code();
    response
}
