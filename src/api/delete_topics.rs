//! DeleteTopics (key 20), versions 1-6: by name, and by id since 6 (KIP-516).
//!
//! - 4: flexible
//! - 5: an error message (KIP-599)
//! - 6: topics by id

use std::collections::HashMap;

use super::{Outcome, RequestContext};
use crate::controller::{AdminError, TopicRef};
use crate::error::ErrorCode;
use crate::ids::TopicId;
use crate::protocol::wire::messages::delete_topics_response::DeletableTopicResult;
use crate::protocol::wire::messages::{DeleteTopicsRequest, DeleteTopicsResponse};
use crate::protocol::wire::protocol::StrBytes;

/// Since then a broker may say that deletion is disabled.
const DELETION_DISABLED_SINCE: i16 = 3;

/// Since then a request over the quota on partitions is refused (KIP-599).
const STRICT_QUOTA_SINCE: i16 = 5;

pub(super) fn handle(cx: RequestContext, request: DeleteTopicsRequest) -> Outcome {
    let reply_context = cx.clone();
    cx.reply_exclusively(async move { delete(&reply_context, request).await })
}

async fn delete(cx: &RequestContext, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let mut named = named_topics(&request);
    let mut response = DeleteTopicsResponse::default();
    let mut times_named: HashMap<TopicRef, usize> = HashMap::new();
    for topic in named.iter().flatten() {
        *times_named.entry(topic.clone()).or_default() += 1;
    }
    let disabled = !cx.services().config.delete_topic_enable;
    let mut quota = cx.mutation_quota(STRICT_QUOTA_SINCE);
    let mut deletable = Vec::new();
    for topic in named.drain(..) {
        let checked = topic.and_then(|topic| match times_named.get(&topic) {
            _ if disabled => Err((topic, deletion_disabled(cx.version)).into()),
            Some(1) => match quota.take(cx, partitions_of(cx, &topic)) {
                Ok(()) => Ok(Some(topic)),
                Err(exceeded) => Err((topic, exceeded).into()),
            },
            Some(_) => {
                times_named.remove(&topic);
                let what = if matches!(topic, TopicRef::Name(_)) { "name" } else { "id" };
                let message = format!("Duplicate topic {what}.");
                Err((topic, AdminError::new(ErrorCode::InvalidRequest, message)).into())
            }
            None => Ok(None),
        });
        match checked {
            Ok(Some(topic)) => deletable.push(topic),
            Ok(None) => {}
            Err(refused) => response.responses.push(failure(cx, refused)),
        }
    }
    response.throttle_time_ms = quota.throttle_time_ms(cx);
    let results = cx.services().controller.delete_topics(deletable.clone()).await;
    for (topic, result) in deletable.into_iter().zip(results) {
        response.responses.push(match result {
            Ok(deleted) => {
                let mut result = DeletableTopicResult::default();
                result.name = Some(StrBytes::from_string(deleted.name.to_string()).into());
                result.topic_id = deleted.id.0;
                result
            }
            Err(error) => failure(cx, (topic, error).into()),
        });
    }
    response
}

/// What a topic takes of the quota on partitions.
fn partitions_of(cx: &RequestContext, topic: &TopicRef) -> usize {
    let image = cx.services().metadata.current();
    let found = match topic {
        TopicRef::Name(name) => image.topic(name),
        TopicRef::Id(id) => image.topic_by_id(*id),
    };
    found.map_or(0, |topic| topic.partitions.len())
}

/// A topic that is not deleted, as the request named it.
struct Refused {
    name: Option<String>,
    id: TopicId,
    error: AdminError,
}

impl From<(TopicRef, AdminError)> for Refused {
    fn from((topic, error): (TopicRef, AdminError)) -> Self {
        match topic {
            TopicRef::Name(name) => Self { name: Some(name), id: TopicId::default(), error },
            TopicRef::Id(id) => Self { name: None, id, error },
        }
    }
}

fn named_topics(request: &DeleteTopicsRequest) -> Vec<Result<TopicRef, Refused>> {
    let by_name = request.topic_names.iter().map(|name| Ok(TopicRef::Name(name.to_string())));
    let by_either = request.topics.iter().map(|topic| match (&topic.name, topic.topic_id.is_nil()) {
        (Some(name), true) => Ok(TopicRef::Name(name.to_string())),
        (None, false) => Ok(TopicRef::Id(TopicId(topic.topic_id))),
        (name, is_nil) => {
            let message = if is_nil {
                "Neither topic name nor id were specified."
            } else {
                "You may not specify both topic name and topic id."
            };
            Err(Refused {
                name: name.as_ref().map(|name| name.to_string()),
                id: TopicId(topic.topic_id),
                error: AdminError::new(ErrorCode::InvalidRequest, message),
            })
        }
    });
    by_name.chain(by_either).collect()
}

fn deletion_disabled(version: i16) -> AdminError {
    if version < DELETION_DISABLED_SINCE {
        return AdminError::new(ErrorCode::InvalidRequest, "Topic deletion is disabled.");
    }
    AdminError::new(ErrorCode::TopicDeletionDisabled, "Topic deletion is disabled.")
}

fn failure(cx: &RequestContext, refused: Refused) -> DeletableTopicResult {
    cx.count_error(refused.error.code);
    let mut result = DeletableTopicResult::default();
    // Before version 6 the name may not be null.
    result.name = match refused.name {
        Some(name) => Some(StrBytes::from_string(name).into()),
        None => (cx.version < 6).then(Default::default),
    };
    result.topic_id = refused.id.0;
    result.error_code = refused.error.code.code();
    result.error_message = Some(StrBytes::from_string(refused.error.message));
    result
}
