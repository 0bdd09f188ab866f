//! DescribeClientQuotas (key 48), versions 0-1: the quotas that a filter selects (KIP-546).
//!
//! - 1: flexible

use super::{Outcome, RequestContext};
use crate::controller::machine::QuotaFilter;
use crate::metadata::quotas::{QuotaEntity, QuotaImage};
use crate::protocol::wire::messages::describe_client_quotas_response::{EntityData, EntryData, ValueData};
use crate::protocol::wire::messages::{DescribeClientQuotasRequest, DescribeClientQuotasResponse};
use crate::protocol::wire::protocol::StrBytes;

pub(super) fn handle(cx: RequestContext, request: DescribeClientQuotasRequest) -> Outcome {
    let components: Vec<_> = request
        .components
        .iter()
        .map(|part| (part.entity_type.as_str(), part.match_type, part._match.as_deref()))
        .collect();
    let mut response = DescribeClientQuotasResponse::default();
    match QuotaFilter::new(&components, request.strict) {
        Ok(filter) => {
            let image = cx.services().metadata.current();
            let selected = image.quotas().filter(|(entity, _)| filter.selects(entity));
            response.entries = Some(selected.map(|(entity, quotas)| on_wire(entity, quotas)).collect());
        }
        Err(error) => {
            cx.count_error(error.code);
            response.error_code = error.code.code();
            response.error_message = Some(StrBytes::from_string(error.message));
            response.entries = None;
        }
    }
    cx.reply(response)
}

fn on_wire(entity: &QuotaEntity, quotas: &QuotaImage) -> EntryData {
    let mut entry = EntryData::default();
    for (kind, name) in entity.parts() {
        let mut part = EntityData::default();
        part.entity_type = StrBytes::from_static_str(kind);
        part.entity_name = name.name().map(|name| StrBytes::from_string(name.to_owned()));
        entry.entity.push(part);
    }
    for (key, &limit) in &quotas.values {
        let mut value = ValueData::default();
        value.key = StrBytes::from_string(key.clone());
        value.value = limit;
        entry.values.push(value);
    }
    entry
}
