//! GetTelemetrySubscriptions (key 71), version 0: which metrics a client is to push, and how often (KIP-714).

use super::{Outcome, RequestContext};
use crate::protocol::batch::Compression;
use crate::protocol::wire::messages::{GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse};
use crate::protocol::wire::protocol::StrBytes;

/// In Kafka's order of preference.
const ACCEPTED: [Compression; 4] = [Compression::Zstd, Compression::Lz4, Compression::Gzip, Compression::Snappy];

pub(super) fn handle(cx: RequestContext, request: GetTelemetrySubscriptionsRequest) -> Outcome {
    let mut response = GetTelemetrySubscriptionsResponse::default();
    let telemetry = &cx.services().telemetry;
    match telemetry.ask(request.client_instance_id, &cx.client_facts()) {
        Ok(told) => {
            response.client_instance_id = told.instance;
            response.subscription_id = told.subscription_id;
            response.accepted_compression_types = ACCEPTED.map(|codec| codec as i8).to_vec();
            response.push_interval_ms = told.push_interval_ms;
            response.telemetry_max_bytes = telemetry.max_bytes();
            response.delta_temporality = true;
            response.requested_metrics = told.metrics.into_iter().map(StrBytes::from_string).collect();
        }
        Err(error) => {
            cx.count_error(error.code());
            response.error_code = error.code().code();
        }
    }
    cx.reply(response)
}
