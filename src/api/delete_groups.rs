//! DeleteGroups (key 42), versions 0-3: groups without members, of any type, with their offsets.
//!
//! - 2: flexible
//! - 3: a message with each error

use std::collections::BTreeSet;

use super::groups::{own, text};
use super::{Outcome, RequestContext};
use crate::coordinator::ShareGroupsError;
use crate::coordinator::group::{GroupId, GroupRefusal, ShardDeletion};
use crate::protocol::messages::{DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse};
use crate::protocol::wire::protocol::StrBytes;

pub(super) fn handle(cx: RequestContext, request: DeleteGroupsRequest) -> Outcome {
    // Each once, however often it is named.
    let group_ids: BTreeSet<GroupId> = request.groups_names.iter().map(|group_id| own(group_id)).collect();
    let reply_context = cx.clone();
    cx.reply_exclusively(async move {
        let mut response = DeleteGroupsResponse::default();
        let mut without_state = BTreeSet::new();
        for group_id in group_ids {
            match reply_context.services().share_groups.delete_state(&group_id).await {
                // A group of this name would go on where this one was.
                Err(ShareGroupsError::Coordinator(error)) => {
                    let refusal = GroupRefusal { code: error.code(), message: error.to_string() };
                    response.results.push(on_wire(&reply_context, &group_id, Err(refusal)));
                }
                // Of a group that is not there, of another type or not empty, the deletion says so.
                Ok(()) | Err(ShareGroupsError::Group(_)) => drop(without_state.insert(group_id)),
            }
        }
        let shards = reply_context.services().groups.delete(without_state);
        for ShardDeletion { group_ids, deletion } in shards {
            let results = match deletion {
                Ok(deletion) => deletion.done().await,
                Err(error) => Err(error),
            };
            let results = results.unwrap_or_else(|error| {
                let refusal = || GroupRefusal { code: error.code(), message: error.to_string() };
                group_ids.into_iter().map(|group_id| (group_id, Err(refusal()))).collect()
            });
            let results = results.into_iter().map(|(group_id, result)| on_wire(&reply_context, &group_id, result));
            response.results.extend(results);
        }
        response
    })
}

fn on_wire(cx: &RequestContext, group_id: &str, result: Result<(), GroupRefusal>) -> DeletableGroupResult {
    let mut on_wire = DeletableGroupResult::default();
    on_wire.base.group_id = text(group_id).into();
    if let Err(refusal) = result {
        cx.count_error(refusal.code);
        on_wire.base.error_code = refusal.code.code();
        on_wire.error_message = Some(StrBytes::from_string(refusal.message));
    }
    on_wire
}
