//! AlterConfigs (key 33), versions 0-2: puts new settings in the place of all that a resource has (KIP-133).
//!
//! - 2: flexible
//!
//! Deprecated in favour of IncrementalAlterConfigs, and still what older tools send.

use super::configs::{self, Resource};
use super::{Outcome, RequestContext};
use crate::config::alter;
use crate::controller::AdminError;
use crate::error::ErrorCode;
use crate::protocol::wire::messages::alter_configs_request::AlterConfigsResource;
use crate::protocol::wire::messages::alter_configs_response::AlterConfigsResourceResponse;
use crate::protocol::wire::messages::{AlterConfigsRequest, AlterConfigsResponse};
use crate::protocol::wire::protocol::StrBytes;

pub(super) fn handle(cx: RequestContext, request: AlterConfigsRequest) -> Outcome {
    let reply_context = cx.clone();
    cx.reply_exclusively(async move {
        let cx = reply_context;
        let mut response = AlterConfigsResponse::default();
        for resource in &request.resources {
            let named = request.resources.iter().filter(|other| same(other, resource)).count();
            let result = replace(&cx, resource, named > 1, request.validate_only).await;
            let mut on_wire = AlterConfigsResourceResponse::default();
            on_wire.resource_type = resource.resource_type;
            on_wire.resource_name = resource.resource_name.clone();
            if let Err(error) = result {
                cx.count_error(error.code);
                on_wire.error_code = error.code.code();
                on_wire.error_message = Some(StrBytes::from_string(error.message));
            }
            response.responses.push(on_wire);
        }
        response
    })
}

fn same(a: &AlterConfigsResource, b: &AlterConfigsResource) -> bool {
    a.resource_type == b.resource_type && a.resource_name == b.resource_name
}

async fn replace(
    cx: &RequestContext,
    asked: &AlterConfigsResource,
    is_duplicate: bool,
    validate_only: bool,
) -> Result<(), AdminError> {
    if is_duplicate {
        return Err(AdminError::new(ErrorCode::InvalidRequest, "Each resource must appear at most once."));
    }
    let resource = Resource::from_wire(cx, asked.resource_type, &asked.resource_name)?;
    let settings: Vec<(&str, Option<&str>)> =
        asked.configs.iter().map(|config| (config.name.as_str(), config.value.as_deref())).collect();
    configs::alter(
        cx,
        resource,
        validate_only,
        |layers, _current| alter::replace_topic(layers, &settings),
        |layers, target| alter::replace_broker(layers, target, &settings),
    )
    .await
}
