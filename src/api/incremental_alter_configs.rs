//! IncrementalAlterConfigs (key 44), versions 0-1: sets, deletes, appends, subtracts (KIP-339).
//!
//! - 1: flexible

use super::configs::{self, Resource};
use super::{Outcome, RequestContext};
use crate::config::alter::{self, Change, Operation};
use crate::controller::AdminError;
use crate::error::ErrorCode;
use crate::protocol::wire::messages::incremental_alter_configs_request::AlterConfigsResource;
use crate::protocol::wire::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use crate::protocol::wire::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
use crate::protocol::wire::protocol::StrBytes;

pub(super) fn handle(cx: RequestContext, request: IncrementalAlterConfigsRequest) -> Outcome {
    let reply_context = cx.clone();
    cx.reply_exclusively(async move {
        let cx = reply_context;
        let mut response = IncrementalAlterConfigsResponse::default();
        for resource in &request.resources {
            let named = request.resources.iter().filter(|other| same(other, resource)).count();
            let result = change(&cx, resource, named > 1, request.validate_only).await;
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

async fn change(
    cx: &RequestContext,
    asked: &AlterConfigsResource,
    is_duplicate: bool,
    validate_only: bool,
) -> Result<(), AdminError> {
    if is_duplicate {
        return Err(AdminError::new(ErrorCode::InvalidRequest, "Each resource must appear at most once."));
    }
    let resource = Resource::from_wire(cx, asked.resource_type, &asked.resource_name)?;
    let mut changes = Vec::with_capacity(asked.configs.len());
    for config in &asked.configs {
        changes.push(Change {
            key: config.name.as_str(),
            operation: Operation::try_from(config.config_operation).map_err(configs::refused)?,
            value: config.value.as_deref(),
        });
    }
    configs::alter(
        cx,
        resource,
        validate_only,
        |layers, current| alter::change_topic(layers, current, &changes),
        |layers, target| alter::change_broker(layers, target, &changes),
    )
    .await
}
