//! UpdateFeatures (key 57), versions 0-2: which level of a feature is in force (KIP-584).
//!
//! - 1: validation only; safe and unsafe downgrades are told apart (KIP-778). Kafka does not look at what version 0
//!   had instead: with that version every update is an upgrade
//! - 2: no result for each feature: all succeed or none (KIP-1022)

use super::{Outcome, RequestContext};
use crate::controller::{FeatureUpdate, LevelChange};
use crate::protocol::wire::messages::update_features_request::FeatureUpdateKey;
use crate::protocol::wire::messages::update_features_response::UpdatableFeatureResult;
use crate::protocol::wire::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};
use crate::protocol::wire::protocol::StrBytes;

/// Since then there is no result for each feature.
const ALL_OR_NONE_SINCE: i16 = 2;

pub(super) fn handle(cx: RequestContext, request: UpdateFeaturesRequest) -> Outcome {
    let reply_context = cx.clone();
    cx.reply_exclusively(async move { update(&reply_context, request).await })
}

async fn update(cx: &RequestContext, request: UpdateFeaturesRequest) -> UpdateFeaturesResponse {
    let updates: Vec<FeatureUpdate> = request.feature_updates.iter().map(from_wire).collect();
    let mut response = UpdateFeaturesResponse::default();
    response.error_message = None;
    match cx.services().controller.update_features(&updates, request.validate_only).await {
        Ok(()) if cx.version < ALL_OR_NONE_SINCE => {
            let results = request.feature_updates.into_iter().map(|asked| {
                let mut result = UpdatableFeatureResult::default();
                result.feature = asked.feature;
                // Kafka's word for success, here alone.
                result.error_message = Some(StrBytes::from_static_str("NONE"));
                result
            });
            response.results = results.collect();
        }
        Ok(()) => {}
        Err(error) => {
            cx.count_error(error.code);
            response.error_code = error.code.code();
            response.error_message = Some(StrBytes::from_string(error.message));
        }
    }
    response
}

fn from_wire(asked: &FeatureUpdateKey) -> FeatureUpdate {
    let change = match asked.upgrade_type {
        1 => LevelChange::Upgrade,
        2 => LevelChange::SafeDowngrade,
        3 => LevelChange::UnsafeDowngrade,
        _ => LevelChange::Unknown,
    };
    FeatureUpdate { name: asked.feature.to_string(), level: asked.max_version_level, change }
}
