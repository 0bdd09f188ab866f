//! ConsumerGroupDescribe (key 69), versions 0-1: groups of the consumer protocol with their members (KIP-848).
//!
//! - 1: which protocol each member speaks (KIP-1099)

use std::collections::BTreeSet;

use super::describe_groups::GROUP_OPERATIONS;
use super::groups::text;
use super::{Outcome, RequestContext};
use crate::coordinator::group::consumer::GroupError;
use crate::error::ErrorCode;
use crate::protocol::wire::messages::consumer_group_describe_response::DescribedGroup;
use crate::protocol::wire::messages::{ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, GroupId};

const MEMBER_TYPE_SINCE: i16 = 1;
const MEMBER_TYPE_UNKNOWN: i8 = -1;
/// What was not asked for.
const NO_OPERATIONS: i32 = i32::MIN;
pub(super) fn handle(cx: RequestContext, request: ConsumerGroupDescribeRequest) -> Outcome {
    let reply_context = cx.clone();
    cx.reply_later(async move {
        let cx = reply_context;
        let operations = if request.include_authorized_operations { GROUP_OPERATIONS } else { NO_OPERATIONS };
        let mut response = ConsumerGroupDescribeResponse::default();
        // Each once: the answer is many times longer than the question.
        let mut seen = BTreeSet::new();
        for group_id in request.group_ids {
            if !seen.insert(group_id.clone()) {
                continue;
            }
            let mut group = describe(&cx, group_id).await;
            group.authorized_operations = operations;
            response.groups.push(group);
        }
        response
    })
}

async fn describe(cx: &RequestContext, group_id: GroupId) -> DescribedGroup {
    if group_id.is_empty() {
        return error(cx, group_id, ErrorCode::InvalidGroupId, None);
    }
    let read = cx.services().groups.read(&group_id, |shard| shard.describe_consumer_group(&group_id));
    let described = match read {
        Ok(pending) => pending.done().await,
        Err(error) => Err(error),
    };
    match described {
        Ok(Ok(mut group)) => {
            if cx.version < MEMBER_TYPE_SINCE {
                group.members.iter_mut().for_each(|member| member.member_type = MEMBER_TYPE_UNKNOWN);
            }
            group
        }
        Ok(Err(refused)) => {
            let refused: GroupError = refused;
            error(cx, group_id, refused.code(), Some(refused.to_string()))
        }
        Err(failed) => error(cx, group_id, failed.code(), None),
    }
}

fn error(cx: &RequestContext, group_id: GroupId, code: ErrorCode, message: Option<String>) -> DescribedGroup {
    cx.count_error(code);
    let mut group = DescribedGroup::default();
    group.group_id = group_id;
    group.error_code = code.code();
    group.error_message = message.as_deref().map(text);
    group
}
