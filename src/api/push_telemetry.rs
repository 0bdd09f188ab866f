//! PushTelemetry (key 72), version 0: takes the metrics of a client (KIP-714).

use super::{Outcome, RequestContext};
use crate::io::relieving_worker;
use crate::protocol::wire::messages::{PushTelemetryRequest, PushTelemetryResponse};
use crate::telemetry::Push;

/// Decompressing and reading more than this may take a worker for long.
const LONG_WORK_BYTES: usize = 32 * 1024;

pub(super) fn handle(cx: RequestContext, request: PushTelemetryRequest) -> Outcome {
    let push = Push {
        instance: request.client_instance_id,
        subscription_id: request.subscription_id,
        is_terminating: request.terminating,
        compression_type: request.compression_type,
        metrics: request.metrics,
    };
    let mut response = PushTelemetryResponse::default();
    let telemetry = &cx.services().telemetry;
    let facts = cx.client_facts();
    let taken = if push.metrics.len() > LONG_WORK_BYTES {
        relieving_worker(|| telemetry.push(&push, &facts))
    } else {
        telemetry.push(&push, &facts)
    };
    if let Err(error) = taken {
        cx.count_error(error.code());
        response.error_code = error.code().code();
    }
    cx.reply(response)
}
