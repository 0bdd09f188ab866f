//! CreateTopics (key 19), versions 2-7.
//!
//! - 4: -1 partitions or replicas mean the broker's defaults (KIP-464)
//! - 5: flexible; the response tells what was created, configuration included (KIP-525)
//! - 6: a quota may refuse (KIP-599)
//! - 7: topic ids (KIP-516)

use std::collections::HashMap;

use super::configs;
use super::throttle::MutationQuota;
use super::{Outcome, RequestContext};
use crate::config::alter;
use crate::config::describe::{self, ConfigEntry};
use crate::controller::{AdminError, CreatedTopic, NewTopic};
use crate::error::ErrorCode;
use crate::ids::BrokerId;
use crate::protocol::wire::messages::create_topics_request::CreatableTopic;
use crate::protocol::wire::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use crate::protocol::wire::messages::{CreateTopicsRequest, CreateTopicsResponse, TopicName};
use crate::protocol::wire::protocol::StrBytes;

/// Since then a request over the quota on partitions is refused (KIP-599).
const STRICT_QUOTA_SINCE: i16 = 6;
const DEFAULT_PARTITIONS: i32 = -1;

pub(super) fn handle(cx: RequestContext, request: CreateTopicsRequest) -> Outcome {
    let reply_context = cx.clone();
    cx.reply_exclusively(async move { create(&reply_context, request).await })
}

async fn create(cx: &RequestContext, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let mut times_named: HashMap<TopicName, usize> = HashMap::new();
    for topic in &request.topics {
        *times_named.entry(topic.name.clone()).or_default() += 1;
    }
    let mut response = CreateTopicsResponse::default();
    let mut quota = cx.mutation_quota(STRICT_QUOTA_SINCE);
    let mut new_topics = Vec::new();
    for topic in request.topics {
        match times_named.get(&topic.name) {
            Some(1) => match new_topic(cx, &topic).and_then(|new| take(cx, &mut quota, new)) {
                Ok(new) => new_topics.push(new),
                Err(error) => response.topics.push(failure(cx, topic.name, error)),
            },
            // One answer for all of them.
            Some(_) => {
                times_named.remove(&topic.name);
                let error = AdminError::new(ErrorCode::InvalidRequest, "Duplicate topic name.");
                response.topics.push(failure(cx, topic.name, error));
            }
            None => {}
        }
    }
    response.throttle_time_ms = quota.throttle_time_ms(cx);
    let names: Vec<_> = new_topics.iter().map(|new| StrBytes::from_string(new.name.clone()).into()).collect();
    let results = cx.services().controller.create_topics(new_topics, request.validate_only).await;
    for (name, result) in names.into_iter().zip(results) {
        response.topics.push(match result {
            Ok(created) => success(cx, name, created),
            Err(error) => failure(cx, name, error),
        });
    }
    response
}

/// What a topic takes of the quota on partitions: nothing where it will be refused for another reason.
fn take(cx: &RequestContext, quota: &mut MutationQuota, new: NewTopic) -> Result<NewTopic, AdminError> {
    let partitions = match (new.assignments.len(), new.partitions) {
        (0, DEFAULT_PARTITIONS) => cx.services().config.num_partitions,
        (0, partitions) => partitions,
        (assigned, _) => assigned as i32,
    };
    if cx.services().metadata.current().topic(&new.name).is_none() {
        quota.take(cx, usize::try_from(partitions).unwrap_or_default())?;
    }
    Ok(new)
}

fn new_topic(cx: &RequestContext, topic: &CreatableTopic) -> Result<NewTopic, AdminError> {
    let image = cx.services().metadata.current();
    let settings: Vec<(&str, Option<&str>)> =
        topic.configs.iter().map(|config| (config.name.as_str(), config.value.as_deref())).collect();
    let overrides = alter::create_topic(&configs::layers(cx, &image), &settings).map_err(configs::refused)?;
    let assignments = topic.assignments.iter().map(|assignment| {
        (assignment.partition_index, assignment.broker_ids.iter().map(|id| BrokerId(id.0)).collect())
    });
    Ok(NewTopic {
        name: topic.name.to_string(),
        partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: assignments.collect(),
        configs: overrides,
    })
}

fn success(cx: &RequestContext, name: TopicName, created: CreatedTopic) -> CreatableTopicResult {
    let mut result = CreatableTopicResult::default();
    result.name = name;
    result.error_message = None;
    result.topic_id = created.id.0;
    result.num_partitions = created.partitions;
    result.replication_factor = created.replication_factor;
    let image = cx.services().metadata.current();
    let entries = describe::topic(&configs::layers(cx, &image), &created.configs, |_| true);
    result.configs = Some(entries.into_iter().map(on_wire).collect());
    result
}

fn on_wire(entry: ConfigEntry) -> CreatableTopicConfigs {
    let mut config = CreatableTopicConfigs::default();
    config.name = StrBytes::from_string(entry.name);
    config.value = entry.value.map(StrBytes::from_string);
    config.read_only = entry.is_read_only;
    config.config_source = entry.source as i8;
    config.is_sensitive = entry.is_sensitive;
    config
}

fn failure(cx: &RequestContext, name: TopicName, error: AdminError) -> CreatableTopicResult {
    cx.count_error(error.code);
    let mut result = CreatableTopicResult::default();
    result.name = name;
    result.error_code = error.code.code();
    result.error_message = Some(StrBytes::from_string(error.message));
    result.num_partitions = -1;
    result.replication_factor = -1;
    result.configs = Some(Vec::new());
    result
}
