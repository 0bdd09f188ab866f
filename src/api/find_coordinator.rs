//! FindCoordinator (key 10), versions 0-6: which broker coordinates a group.
//!
//! - 1: the kind of coordinator (KIP-98)
//! - 3: flexible
//! - 4: several keys at once (KIP-699)
//! - 6: the kind of share groups' state (KIP-932)
//!
//! The topic of the coordinator is created on first use. There is no coordinator of transactions yet: the answer is one
//! that no client repeats.

use indexmap::IndexSet;

use super::{Outcome, RequestContext};
use crate::error::ErrorCode;
use crate::ids::{PartitionIndex, TopicId};
use crate::protocol::wire::messages::find_coordinator_response::Coordinator;
use crate::protocol::wire::messages::{FindCoordinatorRequest, FindCoordinatorResponse};
use crate::protocol::wire::protocol::StrBytes;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;
const SEVERAL_KEYS_SINCE: i16 = 4;
const SHARE_SINCE: i16 = 6;
const NO_BROKER: i32 = -1;

pub(super) fn handle(cx: RequestContext, request: FindCoordinatorRequest) -> Outcome {
    let reply_context = cx.clone();
    cx.reply_later(async move { find_all(&reply_context, request).await })
}

async fn find_all(cx: &RequestContext, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    let mut response = FindCoordinatorResponse::default();
    if cx.version < SEVERAL_KEYS_SINCE {
        let found = coordinator(cx, request.key_type, request.key).await;
        response.error_code = found.error_code;
        response.error_message = found.error_message;
        response.node_id = found.node_id;
        response.host = found.host;
        response.port = found.port;
        return response;
    }
    // Each once, unlike Kafka, which no client notices: a key may be a byte, and its answer takes two hundred.
    let keys: IndexSet<StrBytes> = request.coordinator_keys.into_iter().collect();
    for key in keys {
        response.coordinators.push(coordinator(cx, request.key_type, key).await);
    }
    response
}

async fn coordinator(cx: &RequestContext, key_type: i8, key: StrBytes) -> Coordinator {
    let mut found = Coordinator::default();
    let result = find(cx, key_type, &key).await;
    found.key = key;
    found.node_id = NO_BROKER.into();
    found.port = NO_BROKER;
    match result {
        Ok((node_id, host, port)) => {
            found.node_id = node_id.into();
            found.host = StrBytes::from_string(host);
            found.port = port;
        }
        Err((code, message)) => {
            cx.count_error(code);
            found.error_code = code.code();
            found.error_message = Some(StrBytes::from_static_str(message));
        }
    }
    found
}

/// The coordinator's id, host and port on the listener that was asked.
async fn find(cx: &RequestContext, key_type: i8, key: &str) -> Result<(i32, String, i32), (ErrorCode, &'static str)> {
    let leader = match key_type {
        GROUP => cx.services().groups.find(key).await,
        SHARE => {
            let key = share_key(key).filter(|_| cx.version >= SHARE_SINCE);
            let key = key.ok_or((ErrorCode::InvalidRequest, "The key is none of a share partition."))?;
            cx.services().share_coordinator.find(&key).await
        }
        TRANSACTION => {
            return Err((ErrorCode::TransactionalIdAuthorizationFailed, "this build has no transactions"));
        }
        _ => return Err((ErrorCode::InvalidRequest, "this build has no coordinator of this kind")),
    };
    let not_available = |code| (code, "The coordinator is not available.");
    let leader = leader.map_err(not_available)?;
    let image = cx.services().metadata.current();
    let endpoint = image.broker(leader).and_then(|broker| broker.endpoint(&cx.connection.listener.name));
    let endpoint = endpoint.ok_or_else(|| not_available(ErrorCode::CoordinatorNotAvailable))?;
    Ok((leader.0, endpoint.host.clone(), i32::from(endpoint.port)))
}

/// The key of a share partition's state, of the form `group:topic id:partition`, as its coordinator writes it. Read as Kafka
/// reads it: a group's id may have colons, and colons at the end count for nothing.
fn share_key(key: &str) -> Option<String> {
    let (rest, partition) = key.trim_end_matches(':').rsplit_once(':')?;
    let (group_id, topic_id) = rest.rsplit_once(':')?;
    let (topic_id, partition): (TopicId, PartitionIndex) = (topic_id.parse().ok()?, partition.parse().ok()?);
    (!group_id.trim().is_empty()).then(|| format!("{group_id}:{topic_id}:{partition}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(key: &str, read: Option<&str>) {
        assert_eq!(share_key(key).as_deref(), read, "{key}");
    }

    #[test]
    fn keys_of_share_partitions_are_read_as_kafka_reads_them() {
        let id = "AAAAAAAAAAAAAAAAAAAAAQ";
        check(&format!("g:{id}:0"), Some(&format!("g:{id}:0")));
        check(&format!("g:h: :{id}:0"), Some(&format!("g:h: :{id}:0")));
        check(&format!("g:{id}==:+7::"), Some(&format!("g:{id}:7")));
        for wrong in ["", "g", "g:0", "g:x:0", ":::", &format!(" :{id}:0"), &format!("{id}:0")] {
            check(wrong, None);
        }
        for partition in ["", "x", "1.0", "2147483648"] {
            check(&format!("g:{id}:{partition}"), None);
        }
    }
}
