//! InitProducerId (key 22), versions 0-5: an id for an idempotent producer (KIP-98).
//!
//! - 2: flexible
//! - 3: the id and epoch that a producer has, to be bumped (KIP-360)
//! - 4, 5: further errors, for transactions
//!
//! Without a transactional id every call gets a new id, as in Kafka. A transactional id gets an error that is fatal to
//! every client, so that none waits for transactions that are not served.

use std::ops::Range;

use tokio::sync::Mutex;

use super::{Outcome, RequestContext};
use crate::controller::{AdminError, Controller};
use crate::error::ErrorCode;
use crate::ids::{ProducerEpoch, ProducerId};
use crate::protocol::wire::messages::{InitProducerIdRequest, InitProducerIdResponse};

pub(super) fn handle(cx: RequestContext, request: InitProducerIdRequest) -> Outcome {
    if let Some(id) = &request.transactional_id {
        let code =
            if id.is_empty() { ErrorCode::InvalidRequest } else { ErrorCode::TransactionalIdAuthorizationFailed };
        cx.count_error(code);
        return cx.reply(response(Err(code)));
    }
    let reply_context = cx.clone();
    cx.reply_exclusively(async move {
        let services = reply_context.services();
        let allocated = services.producer_ids.next(&services.controller).await;
        response(allocated.map_err(|error| {
            tracing::warn!(%error, "no producer id can be allocated");
            reply_context.count_error(error.code);
            error.code
        }))
    })
}

fn response(allocated: Result<ProducerId, ErrorCode>) -> InitProducerIdResponse {
    let mut response = InitProducerIdResponse::default();
    match allocated {
        Ok(id) => {
            response.producer_id = id.0.into();
            response.producer_epoch = 0;
        }
        Err(code) => {
            response.error_code = code.code();
            response.producer_id = ProducerId::NONE.0.into();
            response.producer_epoch = ProducerEpoch::NONE.0;
        }
    }
    response
}

/// Hands out producer ids from blocks that the metadata store has given to this broker alone (KIP-730).
#[derive(Debug, Default)]
pub struct ProducerIds {
    block: Mutex<Range<i64>>,
}

impl ProducerIds {
    /// An id that no producer has had; what is left of a block at a stop is never used.
    async fn next(&self, controller: &Controller) -> Result<ProducerId, AdminError> {
        let mut block = self.block.lock().await;
        if block.is_empty() {
            *block = controller.allocate_producer_ids().await?;
        }
        match block.next() {
            Some(id) => Ok(ProducerId(id)),
            None => Err(AdminError::new(ErrorCode::UnknownServerError, "an empty block of producer ids")),
        }
    }
}
