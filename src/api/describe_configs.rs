//! DescribeConfigs (key 32), versions 1-4: keys, values, where they come from.
//!
//! - 1: sources and synonyms (KIP-226)
//! - 3: types and documentation (KIP-569)
//! - 4: flexible

use std::collections::HashSet;
use std::sync::Arc;

use super::configs::{self, Resource};
use super::{Outcome, RequestContext};
use crate::config::alter::BrokerTarget;
use crate::config::describe::{self, ConfigEntry};
use crate::controller::AdminError;
use crate::error::ErrorCode;
use crate::ids::BrokerId;
use crate::metadata::MetadataImage;
use crate::metadata::keys::ConfigResource;
use crate::protocol::wire::messages::describe_configs_request::DescribeConfigsResource;
use crate::protocol::wire::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use crate::protocol::wire::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use crate::protocol::wire::protocol::StrBytes;

/// What the entries of one response may take of memory. A resource that is named in ten bytes is told in thousands, and
/// groups and subscriptions to metrics are described whether they exist or not: nothing else bounds a response.
const MAX_ENTRIES_BYTES: usize = 64 << 20;
/// The answer to the resources behind that.
const TOO_MUCH: &str = "The response would be too large, ask for fewer resources or keys at once.";

pub(super) fn handle(cx: RequestContext, request: DescribeConfigsRequest) -> Outcome {
    let image = cx.services().metadata.current();
    let mut response = DescribeConfigsResponse::default();
    let mut seen = HashSet::new();
    let mut left_bytes = MAX_ENTRIES_BYTES;
    for asked in request.resources {
        if left_bytes == 0 {
            let message = StrBytes::from_static_str(TOO_MUCH);
            response.results.push(refusal(&cx, asked, ErrorCode::InvalidRequest, message));
            continue;
        }
        let resource = resolve(&cx, &asked);
        // Kafka answers a resource each time that it is named; its clients keep one answer. Once is enough: a few bytes
        // that name a resource again must not describe all of it again.
        if resource.as_ref().is_ok_and(|resource| !seen.insert(resource.clone())) {
            continue;
        }
        match resource.and_then(|resource| describe(&cx, &image, &resource, asked.configuration_keys.as_deref())) {
            Ok(entries) => {
                let mut result = result_for(asked);
                for entry in entries {
                    let entry = on_wire(entry, request.include_synonyms, request.include_documentation);
                    left_bytes = left_bytes.saturating_sub(size_bytes(&entry));
                    result.configs.push(entry);
                }
                response.results.push(result);
            }
            Err(error) => {
                let message = StrBytes::from_string(error.message);
                response.results.push(refusal(&cx, asked, error.code, message));
            }
        }
    }
    cx.reply(response)
}

fn result_for(asked: DescribeConfigsResource) -> DescribeConfigsResult {
    let mut result = DescribeConfigsResult::default();
    result.resource_type = asked.resource_type;
    result.resource_name = asked.resource_name;
    // As Kafka has it where others tell of no message.
    result.error_message = Some(StrBytes::default());
    result
}

fn refusal(
    cx: &RequestContext,
    asked: DescribeConfigsResource,
    code: ErrorCode,
    message: StrBytes,
) -> DescribeConfigsResult {
    cx.count_error(code);
    let mut result = result_for(asked);
    result.error_code = code.code();
    result.error_message = Some(message);
    result
}

/// The resource by its name. Kafka has other words here than where the same is changed.
fn resolve(cx: &RequestContext, asked: &DescribeConfigsResource) -> Result<Resource, AdminError> {
    let (name, this) = (asked.resource_name.as_str(), cx.services().broker_id);
    let no_number = |_| configs::invalid(format!("Broker id must be an integer, but it is: {name}"));
    let id = || name.parse().map(BrokerId).map_err(no_number);
    match asked.resource_type {
        configs::BROKER if name.is_empty() => Ok(Resource::Broker(BrokerTarget::AllBrokers)),
        configs::BROKER if id()? == this => Ok(Resource::Broker(BrokerTarget::ThisBroker)),
        configs::BROKER => Err(configs::invalid(format!(
            "Unexpected broker id, expected {this} or empty string, but received {name}"
        ))),
        configs::BROKER_LOGGER if name.is_empty() => Err(configs::invalid("Broker id must not be empty")),
        configs::BROKER_LOGGER if id()? == this => Ok(Resource::BrokerLogger),
        configs::BROKER_LOGGER => {
            Err(configs::invalid(format!("Unexpected broker id, expected {this} but received {name}")))
        }
        configs::GROUP if name.is_empty() => Err(configs::invalid("Group name must not be empty")),
        configs::CLIENT_METRICS if name.is_empty() => {
            Err(configs::invalid("Client metrics subscription name must not be empty"))
        }
        resource_type => Resource::from_wire(cx, resource_type, name),
    }
}

fn describe(
    cx: &RequestContext,
    image: &MetadataImage,
    resource: &Resource,
    keys: Option<&[StrBytes]>,
) -> Result<Vec<ConfigEntry>, AdminError> {
    let wanted = describe::wanted(keys.unwrap_or_default().iter().map(|key| &**key));
    let layers = configs::layers(cx, image);
    Ok(match resource {
        Resource::Topic(name) => {
            crate::controller::machine::validate_topic_name(name)?;
            let topic = image.topic(name).ok_or_else(|| AdminError::wordless(ErrorCode::UnknownTopicOrPartition))?;
            describe::topic(&layers, &topic.configs, wanted)
        }
        Resource::Broker(BrokerTarget::ThisBroker) => describe::broker(&layers, wanted),
        Resource::Broker(BrokerTarget::AllBrokers) => describe::cluster_default(&layers, wanted),
        Resource::BrokerLogger => {
            let levels = cx.services().loggers.levels().into_iter().filter(|(logger, _)| wanted(logger));
            levels.map(|(logger, level)| describe::logger(logger, &level)).collect()
        }
        Resource::Group(id) => {
            let overrides = image.configs(&ConfigResource::Group(Arc::clone(id)));
            describe::group(&layers, overrides, wanted)
        }
        Resource::ClientMetrics(name) => {
            let overrides = image.configs(&ConfigResource::ClientMetrics(Arc::clone(name)));
            describe::client_metrics(overrides, wanted)
        }
    })
}

/// What an entry takes of memory.
fn size_bytes(entry: &DescribeConfigsResourceResult) -> usize {
    let text = |text: &Option<StrBytes>| text.as_ref().map_or(0, |text| text.len());
    let synonym = |synonym: &DescribeConfigsSynonym| {
        size_of::<DescribeConfigsSynonym>() + synonym.name.len() + text(&synonym.value)
    };
    let synonyms: usize = entry.synonyms.iter().map(synonym).sum();
    // The documentation is static, and is copied where the response is encoded.
    size_of::<DescribeConfigsResourceResult>()
        + entry.name.len()
        + text(&entry.value)
        + text(&entry.documentation)
        + synonyms
}

fn on_wire(entry: ConfigEntry, synonyms: bool, documentation: bool) -> DescribeConfigsResourceResult {
    let mut result = DescribeConfigsResourceResult::default();
    result.name = StrBytes::from_string(entry.name);
    result.value = entry.value.map(StrBytes::from_string);
    result.read_only = entry.is_read_only;
    result.config_source = entry.source as i8;
    result.is_sensitive = entry.is_sensitive;
    result.config_type = entry.config_type;
    result.documentation = entry.documentation.filter(|_| documentation).map(StrBytes::from_static_str);
    if synonyms {
        let synonyms = entry.synonyms.into_iter().map(|synonym| {
            let mut on_wire = DescribeConfigsSynonym::default();
            on_wire.name = StrBytes::from_string(synonym.name);
            on_wire.value = synonym.value.map(StrBytes::from_string);
            on_wire.source = synonym.source as i8;
            on_wire
        });
        result.synonyms = synonyms.collect();
    }
    result
}
