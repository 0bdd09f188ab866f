//! DescribeCluster (key 60), versions 0-2: the cluster's id, controller and brokers (KIP-700).
//!
//! - 1: brokers or controllers (KIP-919)
//! - 2: fenced brokers on request (KIP-1073); a broker that lost its registration is gone here, not fenced

use super::metadata::CLUSTER_OPERATIONS;
use super::{Outcome, RequestContext};
use crate::error::ErrorCode;
use crate::ids::BrokerId;
use crate::protocol::wire::messages::describe_cluster_response::DescribeClusterBroker;
use crate::protocol::wire::messages::{DescribeClusterRequest, DescribeClusterResponse};
use crate::protocol::wire::protocol::StrBytes;

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub(super) fn handle(cx: RequestContext, request: DescribeClusterRequest) -> Outcome {
    let mut response = DescribeClusterResponse::default();
    let refusal = match request.endpoint_type {
        BROKERS => None,
        CONTROLLERS => Some((
            ErrorCode::MismatchedEndpointType,
            "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER",
        )),
        _ => Some((ErrorCode::UnsupportedEndpointType, "Unsupported endpoint type")),
    };
    if let Some((code, message)) = refusal {
        cx.count_error(code);
        response.error_code = code.code();
        response.error_message = Some(StrBytes::from_static_str(message));
        return cx.reply(response);
    }
    let image = cx.services().metadata.current();
    response.cluster_id = StrBytes::from_string(image.cluster_id.to_string());
    response.controller_id = image.controller.unwrap_or(BrokerId::NONE).0.into();
    response.brokers = image
        .brokers
        .values()
        .filter_map(|broker| {
            let endpoint = broker.endpoint(&cx.connection.listener.name)?;
            let mut on_wire = DescribeClusterBroker::default();
            on_wire.broker_id = broker.id.0.into();
            on_wire.host = StrBytes::from_string(endpoint.host.clone());
            on_wire.port = i32::from(endpoint.port);
            on_wire.rack = broker.rack.clone().map(StrBytes::from_string);
            Some(on_wire)
        })
        .collect();
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = CLUSTER_OPERATIONS;
    }
    cx.reply(response)
}
