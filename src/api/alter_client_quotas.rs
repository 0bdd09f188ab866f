//! AlterClientQuotas (key 49), versions 0-1: sets and removes quotas, each entity for itself (KIP-546).
//!
//! - 1: flexible

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Outcome, RequestContext};
use crate::controller::AdminError;
use crate::controller::machine::{QuotaOp, quota_entity};
use crate::error::ErrorCode;
use crate::metadata::quotas::{EntityName, QuotaEntity};
use crate::protocol::wire::messages::alter_client_quotas_request::EntryData as Asked;
use crate::protocol::wire::messages::alter_client_quotas_response::{EntityData, EntryData};
use crate::protocol::wire::messages::{AlterClientQuotasRequest, AlterClientQuotasResponse};
use crate::protocol::wire::protocol::StrBytes;

/// What the parts of an entity are in a request, in the order of their kinds.
type Parts = BTreeMap<StrBytes, Option<StrBytes>>;

pub(super) fn handle(cx: RequestContext, request: AlterClientQuotasRequest) -> Outcome {
    let reply_context = cx.clone();
    cx.reply_exclusively(async move {
        let mut answers: Vec<(Parts, EntryData)> = Vec::new();
        for asked in &request.entries {
            let parts = parts_of(asked);
            // An entity that comes twice is changed as the first one says, and answered once.
            let position = answers.iter().position(|(answered, _)| *answered == parts);
            let result = match position {
                Some(_) => Err(ignored(&parts)),
                None => alter(&reply_context, asked, &parts, request.validate_only).await,
            };
            let answer = on_wire(&reply_context, asked, result);
            match position {
                Some(position) => answers[position].1 = answer,
                None => answers.push((parts, answer)),
            }
        }
        let mut response = AlterClientQuotasResponse::default();
        response.entries = answers.into_iter().map(|(_, answer)| answer).collect();
        response
    })
}

fn parts_of(asked: &Asked) -> Parts {
    asked.entity.iter().map(|part| (part.entity_type.clone(), part.entity_name.clone())).collect()
}

async fn alter(cx: &RequestContext, asked: &Asked, parts: &Parts, validate_only: bool) -> Result<(), AdminError> {
    let mut ops: BTreeMap<&str, Option<f64>> = BTreeMap::new();
    for op in &asked.ops {
        if ops.insert(op.key.as_str(), (!op.remove).then_some(op.value)).is_some() {
            return Err(ignored(parts));
        }
    }
    let named: Vec<_> =
        asked.entity.iter().map(|part| (part.entity_type.as_str(), part.entity_name.as_deref())).collect();
    let entity = quota_entity(&named)?;
    if let QuotaEntity::Ip(EntityName::Named(host)) = &entity {
        check_host(host).await?;
    }
    let ops: Vec<QuotaOp<'_>> = ops.into_iter().collect();
    cx.services().controller.alter_quotas(&entity, &ops, validate_only).await
}

async fn check_host(host: &str) -> Result<(), AdminError> {
    if host.parse::<IpAddr>().is_ok() || tokio::net::lookup_host((host, 0)).await.is_ok() {
        return Ok(());
    }
    let message = format!("{host} is not a valid IP or resolvable host.");
    Err(AdminError::new(ErrorCode::InvalidRequest, message))
}

/// Kafka's answer to an entity and to a key that come twice.
fn ignored(parts: &Parts) -> AdminError {
    let parts: Vec<_> =
        parts.iter().map(|(kind, name)| format!("{kind}={}", name.as_deref().unwrap_or("null"))).collect();
    let message = format!("Ignoring duplicate entity ClientQuotaEntity(entries={{{}}})", parts.join(", "));
    AdminError::new(ErrorCode::InvalidRequest, message)
}

fn on_wire(cx: &RequestContext, asked: &Asked, result: Result<(), AdminError>) -> EntryData {
    let mut entry = EntryData::default();
    entry.error_message = None;
    for part in &asked.entity {
        let mut entity = EntityData::default();
        entity.entity_type = part.entity_type.clone();
        entity.entity_name.clone_from(&part.entity_name);
        entry.entity.push(entity);
    }
    if let Err(error) = result {
        cx.count_error(error.code);
        entry.error_code = error.code.code();
        entry.error_message = Some(StrBytes::from_string(error.message));
    }
    entry
}
