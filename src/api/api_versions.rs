//! ApiVersions (key 18), versions 0-5: what this broker serves.
//!
//! - 1: throttle time
//! - 3: flexible; the client names its software (KIP-511); features (KIP-584)
//! - 4: features whose least level is 0 may be listed (KIP-1022)
//! - 5: the client says which cluster and node it means to talk to (KIP-1242)
//!
//! The response header is always version 0, because a client reads it before it knows what the broker speaks. A
//! version that is not served is answered with version 0 of the response and UNSUPPORTED_VERSION; the client tries
//! again on the same connection.

use super::reply::{PendingReply, Reply};
use super::table::TABLE;
use super::{Outcome, RequestContext};
use crate::error::ErrorCode;
use crate::metadata::features::FEATURES;
use crate::protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use crate::protocol::wire::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use crate::protocol::wire::protocol::StrBytes;

pub(super) const KEY: i16 = 18;

/// Since then the client says what software it is.
const SOFTWARE_SINCE: i16 = 3;
const FEATURES_SINCE: i16 = 3;

/// Clients before this version fail on a supported feature that may be at level 0 (KAFKA-17492).
const LEVEL_ZERO_SINCE: i16 = 4;

pub(super) fn handle(cx: RequestContext, request: ApiVersionsRequest) -> Outcome {
    let mut response = ApiVersionsResponse::default();
    match check(&cx, &request) {
        Ok(()) => {
            response.api_keys = api_keys();
            if cx.version >= FEATURES_SINCE {
                add_features(&cx, &mut response);
            }
        }
        Err(code) => {
            cx.count_error(code);
            response.error_code = code.code();
        }
    }
    response.throttle_time_ms = cx.charge_time();
    let throttle_time_ms = response.throttle_time_ms;
    cx.reply(response).muting(throttle_time_ms)
}

fn check(cx: &RequestContext, request: &ApiVersionsRequest) -> Result<(), ErrorCode> {
    if cx.version >= SOFTWARE_SINCE {
        let (name, version) = (&request.base.client_software_name, &request.base.client_software_version);
        if !is_software_name(name) || !is_software_name(version) {
            return Err(ErrorCode::InvalidRequest);
        }
        cx.connection.set_software(name, version);
    }
    if let Some(cluster_id) = &request.cluster_id {
        let is_other_cluster = cluster_id.as_str() != &*cx.services().metadata.current().cluster_id;
        let is_other_node = request.node_id >= 0 && request.node_id != cx.services().broker_id.0;
        if is_other_cluster || is_other_node {
            return Err(ErrorCode::RebootstrapRequired);
        }
    }
    Ok(())
}

/// The answer to a version that is not served.
pub(super) fn reply_to_unsupported_version(correlation_id: i32) -> PendingReply {
    let mut response = ApiVersionsResponse::default();
    response.error_code = ErrorCode::UnsupportedVersion.code();
    response.api_keys = api_keys().into_iter().filter(|api| api.api_key == KEY).collect();
    PendingReply::ready(Reply::encode(response, 0, correlation_id))
}

/// Letters, digits, dots and dashes, not at either end (KIP-511).
fn is_software_name(text: &str) -> bool {
    let alphanumeric = |character: Option<char>| character.is_some_and(|character| character.is_ascii_alphanumeric());
    alphanumeric(text.chars().next())
        && alphanumeric(text.chars().next_back())
        && text.chars().all(|character| character.is_ascii_alphanumeric() || matches!(character, '.' | '-'))
}

fn api_keys() -> Vec<ApiVersion> {
    TABLE
        .iter()
        .map(|row| {
            let mut api = ApiVersion::default();
            api.api_key = row.key;
            api.min_version = row.advertised_min;
            api.max_version = *row.versions.end();
            api
        })
        .collect()
}

fn add_features(cx: &RequestContext, response: &mut ApiVersionsResponse) {
    let image = cx.services().metadata.current();
    let told = FEATURES.iter().filter(|feature| feature.min_level > 0 || cx.version >= LEVEL_ZERO_SINCE);
    response.supported_features = told
        .map(|feature| {
            let mut supported = SupportedFeatureKey::default();
            supported.name = StrBytes::from_static_str(feature.name);
            supported.min_version = feature.min_level;
            supported.max_version = feature.max_level;
            supported
        })
        .collect();
    response.finalized_features = image
        .features
        .iter()
        .map(|(name, &level)| {
            let mut finalized = FinalizedFeatureKey::default();
            finalized.name = StrBytes::from_string(name.clone());
            finalized.max_version_level = level;
            finalized.min_version_level = level;
            finalized
        })
        .collect();
    response.finalized_features_epoch = image.revision.0;
}

#[cfg(test)]
mod tests {
    use super::is_software_name;

    #[test]
    fn software_names() {
        for good in ["librdkafka", "apache-kafka-java", "4.4.0", "a"] {
            assert!(is_software_name(good), "{good}");
        }
        for bad in ["", "-a", "a.", "a b", "ä"] {
            assert!(!is_software_name(bad), "{bad}");
        }
    }
}
