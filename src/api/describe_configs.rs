//! DescribeConfigs (key 32), versions 1-4: keys, values, where they come from.
//!
//! - 1: sources and synonyms (KIP-226)
//! - 3: types and documentation (KIP-569)
//! - 4: flexible

use std::collections::HashSet;

use super::configs::{self, Resource};
use super::{Outcome, RequestContext};
use crate::config::alter::BrokerTarget;
use crate::config::describe::{self, ConfigEntry};
use crate::controller::AdminError;
use crate::metadata::MetadataImage;
use crate::protocol::wire::messages::describe_configs_request::DescribeConfigsResource;
use crate::protocol::wire::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use crate::protocol::wire::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use crate::protocol::wire::protocol::StrBytes;

pub(super) fn handle(cx: RequestContext, request: DescribeConfigsRequest) -> Outcome {
    let image = cx.services().metadata.current();
    let mut response = DescribeConfigsResponse::default();
    let mut seen = HashSet::new();
    // Each once: a few bytes that name a resource again must not describe all of it again.
    for resource in request.resources.iter().filter(|resource| seen.insert(identity(resource))) {
        let mut result = DescribeConfigsResult::default();
        result.resource_type = resource.resource_type;
        result.resource_name = resource.resource_name.clone();
        result.error_message = None;
        match describe(&cx, &image, resource) {
            Ok(entries) => {
                result.configs = entries
                    .into_iter()
                    .map(|entry| on_wire(entry, request.include_synonyms, request.include_documentation))
                    .collect();
            }
            Err(error) => {
                cx.count_error(error.code);
                result.error_code = error.code.code();
                result.error_message = Some(StrBytes::from_string(error.message));
            }
        }
        response.results.push(result);
    }
    cx.reply(response)
}

/// What is the same for every spelling of a resource: broker ids are numbers.
fn identity(resource: &DescribeConfigsResource) -> (i8, Option<i32>, &str) {
    match resource.resource_name.parse::<i32>() {
        Ok(id) if resource.resource_type == configs::BROKER => (resource.resource_type, Some(id), ""),
        _ => (resource.resource_type, None, &resource.resource_name),
    }
}

fn describe(
    cx: &RequestContext,
    image: &MetadataImage,
    resource: &DescribeConfigsResource,
) -> Result<Vec<ConfigEntry>, AdminError> {
    let keys: Option<Vec<&str>> =
        resource.configuration_keys.as_ref().map(|keys| keys.iter().map(StrBytes::as_str).collect());
    let wanted = describe::wanted(keys.as_deref());
    let layers = configs::layers(cx, image);
    check_name(resource)?;
    if resource.resource_type == configs::BROKER_LOGGER {
        configs::check_logger_broker(cx, &resource.resource_name)?;
        let levels = cx.services().loggers.levels().into_iter().filter(|(logger, _)| wanted(logger));
        return Ok(levels.map(|(logger, level)| describe::logger(logger, &level)).collect());
    }
    Ok(match Resource::from_wire(cx, resource.resource_type, &resource.resource_name)? {
        Resource::Topic(name) => {
            crate::controller::machine::validate_topic_name(&name)?;
            let topic = image.topic(&name).ok_or_else(configs::unknown_topic)?;
            describe::topic(&layers, &topic.configs, wanted)
        }
        Resource::Broker(BrokerTarget::ThisBroker) => describe::broker(&layers, wanted),
        Resource::Broker(BrokerTarget::AllBrokers) => describe::cluster_default(&layers, wanted),
        group @ Resource::Group(_) => describe::group(&layers, image.configs(&group.stored(cx)), wanted),
        metrics @ Resource::ClientMetrics(_) => describe::client_metrics(image.configs(&metrics.stored(cx)), wanted),
    })
}

/// Kafka has other words here than where the same is changed.
fn check_name(resource: &DescribeConfigsResource) -> Result<(), AdminError> {
    match resource.resource_type {
        configs::GROUP if resource.resource_name.is_empty() => Err(configs::invalid("Group name must not be empty")),
        configs::CLIENT_METRICS if resource.resource_name.is_empty() => {
            Err(configs::invalid("Client metrics subscription name must not be empty"))
        }
        _ => Ok(()),
    }
}

fn on_wire(entry: ConfigEntry, synonyms: bool, documentation: bool) -> DescribeConfigsResourceResult {
    let mut result = DescribeConfigsResourceResult::default();
    result.name = StrBytes::from_string(entry.name);
    result.value = entry.value.map(StrBytes::from_string);
    result.read_only = entry.is_read_only;
    result.config_source = entry.source as i8;
    result.is_sensitive = entry.is_sensitive;
    result.config_type = entry.config_type;
    if documentation {
        result.documentation = entry.documentation.map(StrBytes::from_static_str);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_broker_is_the_same_resource() {
        let asked = |resource_type, name: &'static str| {
            let mut resource = DescribeConfigsResource::default();
            resource.resource_type = resource_type;
            resource.resource_name = StrBytes::from_static_str(name);
            resource
        };
        for name in ["1", "+1", "001"] {
            assert_eq!(identity(&asked(configs::BROKER, name)), identity(&asked(configs::BROKER, "1")));
        }
        assert_ne!(identity(&asked(configs::BROKER, "1")), identity(&asked(configs::BROKER, "")));
        assert_ne!(identity(&asked(2, "1")), identity(&asked(2, "01")), "topics are called so");
    }
}
