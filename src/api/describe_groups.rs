//! DescribeGroups (key 15), versions 0-6: classic groups and their members.
//!
//! - 3: which operations are allowed (KIP-430)
//! - 4: instance ids (KIP-345)
//! - 5: flexible
//! - 6: a group that is not there is an error (KIP-1043); before, it is dead

use indexmap::IndexSet;

use super::groups::{own, text};
use super::{Outcome, RequestContext};
use crate::coordinator::CoordinatorError;
use crate::coordinator::group::GroupRefusal;
use crate::coordinator::group::classic::{ClassicGroupState, DescribedClassicGroup};
use crate::protocol::wire::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use crate::protocol::wire::messages::{DescribeGroupsRequest, DescribeGroupsResponse, GroupId};

const OPERATIONS_SINCE: i16 = 3;
const INSTANCE_ID_SINCE: i16 = 4;
const NOT_FOUND_SINCE: i16 = 6;

/// READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS: there is no authorization, so all that groups have.
pub(super) const GROUP_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;

pub(super) fn handle(cx: RequestContext, request: DescribeGroupsRequest) -> Outcome {
    let reply_context = cx.clone();
    cx.reply_later(async move {
        let mut response = DescribeGroupsResponse::default();
        let tells_operations = request.include_authorized_operations && reply_context.version >= OPERATIONS_SINCE;
        // Each once: the answer is many times longer than the question.
        let group_ids: IndexSet<GroupId> = request.groups.into_iter().collect();
        for group_id in group_ids {
            let mut group = describe(&reply_context, group_id).await;
            if tells_operations && group.error_code == 0 {
                group.authorized_operations = GROUP_OPERATIONS;
            }
            response.groups.push(group);
        }
        response
    })
}

async fn describe(cx: &RequestContext, group_id: GroupId) -> DescribedGroup {
    let id = own(&group_id);
    let found = match cx.services().groups.read(&id, |shard| shard.describe_classic(&id)) {
        Ok(found) => found.done().await,
        Err(error) => Err(error),
    };
    let mut described = match found {
        Ok(Ok(group)) => on_wire(cx, group),
        Ok(Err(refusal)) => not_found(cx, &refusal),
        Err(error) => not_told(cx, error),
    };
    described.group_id = group_id;
    described
}

fn on_wire(cx: &RequestContext, group: DescribedClassicGroup) -> DescribedGroup {
    let mut described = DescribedGroup::default();
    described.group_state = text(group.state.name());
    described.protocol_type = text(group.protocol_type.as_deref().unwrap_or_default());
    described.protocol_data = text(group.protocol_name.as_deref().unwrap_or_default());
    described.members = group
        .members
        .into_iter()
        .map(|member| {
            let mut on_wire = DescribedGroupMember::default();
            on_wire.member_id = text(&member.member_id);
            if cx.version >= INSTANCE_ID_SINCE {
                on_wire.group_instance_id = member.instance_id.as_deref().map(text);
            }
            on_wire.client_id = text(&member.client_id);
            on_wire.client_host = text(&member.client_host);
            on_wire.member_metadata = member.metadata;
            on_wire.member_assignment = member.assignment;
            on_wire
        })
        .collect();
    described
}

fn not_found(cx: &RequestContext, refusal: &GroupRefusal) -> DescribedGroup {
    let mut described = DescribedGroup::default();
    described.group_state = text(ClassicGroupState::Dead.name());
    if cx.version >= NOT_FOUND_SINCE {
        cx.count_error(refusal.code);
        described.error_code = refusal.code.code();
        described.error_message = Some(text(&refusal.message));
    }
    described
}

fn not_told(cx: &RequestContext, error: CoordinatorError) -> DescribedGroup {
    cx.count_error(error.code());
    let mut described = DescribedGroup::default();
    described.error_code = error.code().code();
    described
}
