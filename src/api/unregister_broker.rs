//! UnregisterBroker (key 64), version 0: forget a broker that will not come back (KIP-500).

use super::{Outcome, RequestContext};
use crate::ids::BrokerId;
use crate::protocol::wire::messages::{UnregisterBrokerRequest, UnregisterBrokerResponse};
use crate::protocol::wire::protocol::StrBytes;

pub(super) fn handle(cx: RequestContext, request: UnregisterBrokerRequest) -> Outcome {
    let reply_context = cx.clone();
    cx.reply_exclusively(async move {
        let mut response = UnregisterBrokerResponse::default();
        let controller = &reply_context.services().controller;
        if let Err(error) = controller.unregister_broker(BrokerId(request.broker_id.0)).await {
            reply_context.count_error(error.code);
            response.error_code = error.code.code();
            response.error_message = Some(StrBytes::from_string(error.message));
        }
        response
    })
}
