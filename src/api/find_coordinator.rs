//! FindCoordinator (key 10), versions 0-6: who coordinates a group or a transaction. Nobody yet.
//!
//! - 1: the kind of coordinator (KIP-98)
//! - 3: flexible
//! - 4: several keys at once (KIP-699)
//! - 5, 6: further errors and kinds
//!
//! It is served before there are coordinators because librdkafka takes a broker without it for one older than lz4, and
//! silently sends what should be lz4 uncompressed. librdkafka (versions up to 2) asks for the coordinator of its
//! `group.id` even if it only assigns partitions, and passes every error but a retriable one on to the application; the
//! Java clients (3 and up) ask when they need one, and would wait for ever on a retriable error.

use std::collections::BTreeSet;

use super::{Outcome, RequestContext};
use crate::error::ErrorCode;
use crate::protocol::wire::messages::find_coordinator_response::Coordinator;
use crate::protocol::wire::messages::{FindCoordinatorRequest, FindCoordinatorResponse};
use crate::protocol::wire::protocol::StrBytes;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const FLEXIBLE_SINCE: i16 = 3;
const SEVERAL_KEYS_SINCE: i16 = 4;
const NO_BROKER: i32 = -1;

pub(super) fn handle(cx: RequestContext, request: FindCoordinatorRequest) -> Outcome {
    let (code, message) = refusal(request.key_type, cx.version);
    cx.count_error(code);
    let message = Some(StrBytes::from_static_str(message));
    let mut response = FindCoordinatorResponse::default();
    if cx.version < SEVERAL_KEYS_SINCE {
        response.error_code = code.code();
        response.error_message = message;
        response.node_id = NO_BROKER.into();
        response.port = NO_BROKER;
        return cx.reply(response);
    }
    let coordinator = |key| {
        let mut on_wire = Coordinator::default();
        on_wire.key = key;
        on_wire.node_id = NO_BROKER.into();
        on_wire.port = NO_BROKER;
        on_wire.error_code = code.code();
        on_wire.error_message.clone_from(&message);
        on_wire
    };
    // Each once: the answer is many times longer than the question.
    let keys: BTreeSet<StrBytes> = request.coordinator_keys.into_iter().collect();
    response.coordinators = keys.into_iter().map(coordinator).collect();
    cx.reply(response)
}

fn refusal(key_type: i8, version: i16) -> (ErrorCode, &'static str) {
    match key_type {
        GROUP if version < FLEXIBLE_SINCE => {
            (ErrorCode::CoordinatorNotAvailable, "this build has no consumer groups")
        }
        GROUP => (ErrorCode::UnsupportedVersion, "this build has no consumer groups"),
        TRANSACTION => (ErrorCode::TransactionalIdAuthorizationFailed, "this build has no transactions"),
        _ => (ErrorCode::InvalidRequest, "this build has no coordinator of this kind"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_questions_for_groups_may_be_asked_again() {
        for version in 0..=6 {
            let is_retriable = refusal(GROUP, version).0 == ErrorCode::CoordinatorNotAvailable;
            assert_eq!(is_retriable, version < FLEXIBLE_SINCE, "version {version}");
            assert_eq!(refusal(TRANSACTION, version).0, ErrorCode::TransactionalIdAuthorizationFailed);
            assert_eq!(refusal(2, version).0, ErrorCode::InvalidRequest);
        }
    }
}
