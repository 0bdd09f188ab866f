//! ListGroups (key 16), versions 0-5: the groups that this broker coordinates.
//!
//! - 3: flexible
//! - 4: states, told and asked for (KIP-518)
//! - 5: types, told and asked for (KIP-848)

use super::groups::text;
use super::{Outcome, RequestContext};
use crate::coordinator::CoordinatorError;
use crate::coordinator::group::ListFilter;
use crate::error::ErrorCode;
use crate::protocol::wire::messages::list_groups_response::ListedGroup;
use crate::protocol::wire::messages::{ListGroupsRequest, ListGroupsResponse};

const STATE_SINCE: i16 = 4;
const TYPE_SINCE: i16 = 5;

pub(super) fn handle(cx: RequestContext, request: ListGroupsRequest) -> Outcome {
    let reply_context = cx.clone();
    cx.reply_later(async move {
        list(&reply_context, &request).await.unwrap_or_else(|code| {
            reply_context.count_error(code);
            let mut response = ListGroupsResponse::default();
            response.error_code = code.code();
            response
        })
    })
}

async fn list(cx: &RequestContext, request: &ListGroupsRequest) -> Result<ListGroupsResponse, ErrorCode> {
    let filter = ListFilter::new(
        request.states_filter.iter().map(|name| &**name),
        request.types_filter.iter().map(|name| &**name),
    );
    let mut response = ListGroupsResponse::default();
    for shard in cx.services().groups.read_all(|shard| shard.list(&filter)) {
        let listed = match shard {
            Ok(listed) => listed.done().await,
            Err(error) => Err(error),
        };
        let listed = match listed {
            Ok(listed) => listed,
            // Another broker coordinates these now, and lists them.
            Err(CoordinatorError::NotCoordinator) => continue,
            Err(error) => return Err(error.code()),
        };
        response.groups.extend(listed.into_iter().map(|group| {
            let mut on_wire = ListedGroup::default();
            on_wire.group_id = text(&group.group_id).into();
            on_wire.protocol_type = text(&group.protocol_type);
            if cx.version >= STATE_SINCE {
                on_wire.group_state = text(group.state);
            }
            if cx.version >= TYPE_SINCE {
                on_wire.group_type = text(group.group_type.name());
            }
            on_wire
        }));
    }
    Ok(response)
}
