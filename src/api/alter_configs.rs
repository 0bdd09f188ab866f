//! AlterConfigs (key 33), versions 0-2: puts new settings in the place of all that a resource has (KIP-133).
//!
//! - 2: flexible
//!
//! Deprecated in favour of IncrementalAlterConfigs, and still what older tools send.

use super::configs::{self, Resource};
use super::{Outcome, RequestContext};
use crate::config::alter;
use crate::controller::AdminError;
use crate::protocol::wire::messages::alter_configs_request::AlterConfigsResource;
use crate::protocol::wire::messages::alter_configs_response::AlterConfigsResourceResponse;
use crate::protocol::wire::messages::{AlterConfigsRequest, AlterConfigsResponse};

pub(super) fn handle(cx: RequestContext, request: AlterConfigsRequest) -> Outcome {
    let reply_context = cx.clone();
    cx.reply_exclusively(async move {
        let cx = &reply_context;
        let named: Vec<_> =
            request.resources.iter().map(|asked| (asked.resource_type, asked.resource_name.as_str())).collect();
        let mut response = AlterConfigsResponse::default();
        for (asked, resource) in request.resources.iter().zip(configs::each_once(cx, &named)) {
            let result = match resource {
                Ok(resource) => replace(cx, resource, asked, request.validate_only).await,
                Err(error) => Err(error),
            };
            response.responses.push(on_wire(cx, asked, result));
        }
        response
    })
}

async fn replace(
    cx: &RequestContext,
    resource: Resource,
    asked: &AlterConfigsResource,
    validate_only: bool,
) -> Result<(), AdminError> {
    let settings: Vec<(&str, Option<&str>)> =
        asked.configs.iter().map(|config| (config.name.as_str(), config.value.as_deref())).collect();
    configs::alter(cx, resource, validate_only, |layers, target, _current| alter::replace(layers, target, &settings))
        .await
}

fn on_wire(
    cx: &RequestContext,
    asked: &AlterConfigsResource,
    result: Result<(), AdminError>,
) -> AlterConfigsResourceResponse {
    let mut on_wire = AlterConfigsResourceResponse::default();
    on_wire.resource_type = asked.resource_type;
    on_wire.resource_name = asked.resource_name.clone();
    (on_wire.error_code, on_wire.error_message) = cx.told(result);
    on_wire
}
