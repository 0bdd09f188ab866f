//! ListConfigResources (key 74), versions 0-1: what can be described and has settings of its own, by kind.
//!
//! - 0: subscriptions to clients' metrics only (KIP-714, there called ListClientMetricsResources)
//! - 1: every kind, those that the request names or all (KIP-1142)

use super::configs::{BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC};
use super::{Outcome, RequestContext};
use crate::error::ErrorCode;
use crate::metadata::MetadataImage;
use crate::metadata::keys::ConfigResource as Stored;
use crate::protocol::wire::messages::list_config_resources_response::ConfigResource;
use crate::protocol::wire::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};
use crate::protocol::wire::protocol::StrBytes;

/// In the order in which they are listed.
const KINDS: [i8; 5] = [GROUP, CLIENT_METRICS, BROKER_LOGGER, BROKER, TOPIC];

pub(super) fn handle(cx: RequestContext, request: ListConfigResourcesRequest) -> Outcome {
    let image = cx.services().metadata.current();
    let mut response = ListConfigResourcesResponse::default();
    if request.resource_types.iter().any(|kind| !KINDS.contains(kind)) {
        cx.count_error(ErrorCode::UnsupportedVersion);
        response.error_code = ErrorCode::UnsupportedVersion.code();
        return cx.reply(response);
    }
    let is_wanted = |kind: &i8| match cx.version {
        0 => *kind == CLIENT_METRICS,
        _ => request.resource_types.is_empty() || request.resource_types.contains(kind),
    };
    response.config_resources = KINDS.into_iter().filter(is_wanted).flat_map(|kind| of_kind(&image, kind)).collect();
    cx.reply(response)
}

fn of_kind(image: &MetadataImage, kind: i8) -> Vec<ConfigResource> {
    let named = |name: StrBytes| {
        let mut resource = ConfigResource::default();
        resource.resource_name = name;
        resource.resource_type = kind;
        resource
    };
    let stored = image.config_resources().filter_map(|resource| match (resource, kind) {
        (Stored::Group(name), GROUP) | (Stored::ClientMetrics(name), CLIENT_METRICS) => Some(name),
        _ => None,
    });
    let owned = |name: &str| named(StrBytes::from_string(name.to_owned()));
    match kind {
        BROKER | BROKER_LOGGER => image.brokers.keys().map(|id| owned(&id.to_string())).collect(),
        TOPIC => image.topics().map(|topic| owned(&topic.name)).collect(),
        _ => stored.map(|name| owned(name)).collect(),
    }
}
