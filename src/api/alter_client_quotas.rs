//! AlterClientQuotas (key 49), versions 0-1: sets and removes quotas, each entity for itself (KIP-546).
//!
//! - 1: flexible

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use super::{Outcome, RequestContext};
use crate::controller::AdminError;
use crate::controller::machine::{QuotaOp, quota_entity};
use crate::error::ErrorCode;
use crate::metadata::quotas::{EntityName, QuotaEntity};
use crate::protocol::wire::messages::alter_client_quotas_request::{EntityData as Part, OpData};
use crate::protocol::wire::messages::alter_client_quotas_response::{EntityData, EntryData};
use crate::protocol::wire::messages::{AlterClientQuotasRequest, AlterClientQuotasResponse};
use crate::protocol::wire::protocol::StrBytes;

/// Kind and name of each part of an entity, in the order of the kinds.
type Parts = [(StrBytes, Option<StrBytes>)];

pub(super) fn handle(cx: RequestContext, request: AlterClientQuotasRequest) -> Outcome {
    let reply_context = cx.clone();
    cx.reply_exclusively(async move {
        let cx = &reply_context;
        let mut response = AlterClientQuotasResponse::default();
        let mut answered: HashMap<Box<Parts>, usize> = HashMap::new();
        for asked in request.entries {
            match answered.entry(parts_of(asked.entity)) {
                // An entity that comes twice is changed as the first one says, and answered once.
                Entry::Occupied(first) => {
                    response.entries[*first.get()] = on_wire(cx, first.key(), Err(ignored(first.key())));
                }
                Entry::Vacant(entity) => {
                    let result = alter(cx, entity.key(), &asked.ops, request.validate_only).await;
                    response.entries.push(on_wire(cx, entity.key(), result));
                    entity.insert(response.entries.len() - 1);
                }
            }
        }
        response
    })
}

/// Of parts of one kind the last counts, as in Kafka.
fn parts_of(entity: Vec<Part>) -> Box<Parts> {
    let mut parts: Vec<_> = entity.into_iter().rev().map(|part| (part.entity_type, part.entity_name)).collect();
    parts.sort_by(|(one, _), (other, _)| one.cmp(other));
    parts.dedup_by(|(later, _), (earlier, _)| later == earlier);
    parts.into_boxed_slice()
}

async fn alter(cx: &RequestContext, parts: &Parts, asked: &[OpData], validate_only: bool) -> Result<(), AdminError> {
    let mut ops: BTreeMap<&str, Option<f64>> = BTreeMap::new();
    for op in asked {
        if ops.insert(op.key.as_str(), (!op.remove).then_some(op.value)).is_some() {
            return Err(ignored(parts));
        }
    }
    let entity = quota_entity(parts.iter().map(|(kind, name)| (&**kind, name.as_deref())))?;
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

fn on_wire(cx: &RequestContext, parts: &Parts, result: Result<(), AdminError>) -> EntryData {
    let mut entry = EntryData::default();
    for (kind, name) in parts {
        let mut entity = EntityData::default();
        entity.entity_type = kind.clone();
        entity.entity_name.clone_from(name);
        entry.entity.push(entity);
    }
    (entry.error_code, entry.error_message) = cx.told(result);
    entry
}
