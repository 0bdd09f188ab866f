//! DescribeUserScramCredentials (key 50), version 0: who can authenticate by SCRAM, and how (KIP-554).
//!
//! Nobody can: there is no authentication. It is served because `kafka-configs.sh --describe --entity-type users` asks
//! for credentials wherever it asks for quotas.

use indexmap::IndexMap;

use super::{Outcome, RequestContext};
use crate::error::ErrorCode;
use crate::protocol::wire::messages::describe_user_scram_credentials_response::DescribeUserScramCredentialsResult;
use crate::protocol::wire::messages::{DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse};
use crate::protocol::wire::protocol::StrBytes;

pub(super) fn handle(cx: RequestContext, request: DescribeUserScramCredentialsRequest) -> Outcome {
    let mut response = DescribeUserScramCredentialsResponse::default();
    response.error_message = None;
    let mut users: IndexMap<StrBytes, usize> = IndexMap::new();
    for user in request.users.into_iter().flatten() {
        *users.entry(user.name).or_default() += 1;
    }
    for (name, times) in users {
        let (code, message) = if times > 1 {
            let what = "Cannot describe SCRAM credentials for the same user twice in a single request";
            (ErrorCode::DuplicateResource, format!("{what}: {name}"))
        } else {
            let what = "Attempt to describe a user credential that does not exist";
            (ErrorCode::ResourceNotFound, format!("{what}: {name}"))
        };
        cx.count_error(code);
        let mut result = DescribeUserScramCredentialsResult::default();
        result.user = name;
        result.error_code = code.code();
        result.error_message = Some(StrBytes::from_string(message));
        response.results.push(result);
    }
    cx.reply(response)
}
