//! IncrementalAlterConfigs (key 44), versions 0-1: sets, deletes, appends, subtracts (KIP-339).
//!
//! - 1: flexible

use super::configs::{self, Resource};
use super::{LevelChange, Outcome, RequestContext};
use crate::config::alter::{self, Change, Operation};
use crate::controller::AdminError;
use crate::protocol::wire::messages::incremental_alter_configs_request::AlterConfigsResource;
use crate::protocol::wire::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use crate::protocol::wire::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

pub(super) fn handle(cx: RequestContext, request: IncrementalAlterConfigsRequest) -> Outcome {
    let reply_context = cx.clone();
    cx.reply_exclusively(async move {
        let cx = &reply_context;
        let named: Vec<_> =
            request.resources.iter().map(|asked| (asked.resource_type, asked.resource_name.as_str())).collect();
        let mut response = IncrementalAlterConfigsResponse::default();
        for (asked, resource) in request.resources.iter().zip(configs::each_once(cx, &named)) {
            let result = match resource {
                Ok(Resource::BrokerLogger) => change_loggers(cx, asked, request.validate_only),
                Ok(resource) => change(cx, resource, asked, request.validate_only).await,
                Err(error) => Err(error),
            };
            response.responses.push(on_wire(cx, asked, result));
        }
        response
    })
}

async fn change(
    cx: &RequestContext,
    resource: Resource,
    asked: &AlterConfigsResource,
    validate_only: bool,
) -> Result<(), AdminError> {
    let changes = changes(asked)?;
    configs::alter(cx, resource, validate_only, |layers, target, current| {
        alter::change(layers, target, current, &changes)
    })
    .await
}

fn change_loggers(cx: &RequestContext, asked: &AlterConfigsResource, validate_only: bool) -> Result<(), AdminError> {
    let changes = changes(asked)?;
    let changes: Vec<_> = changes
        .iter()
        .map(|change| LevelChange { logger: change.key, operation: change.operation, level: change.value })
        .collect();
    cx.services().loggers.change(&changes, validate_only)
}

fn changes(asked: &AlterConfigsResource) -> Result<Vec<Change<'_>>, AdminError> {
    asked
        .configs
        .iter()
        .map(|config| {
            Ok(Change {
                key: config.name.as_str(),
                operation: Operation::try_from(config.config_operation).map_err(configs::refused)?,
                value: config.value.as_deref(),
            })
        })
        .collect()
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
