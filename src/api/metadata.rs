//! Metadata (key 3), versions 0-13: brokers, topics, leaders.
//!
//! - 0: an empty list of topics means all; since 1 null does, and empty means none
//! - 1: racks, the controller, which topics are internal
//! - 2: the cluster id
//! - 4: the client says whether a missing topic may be created
//! - 5: offline replicas
//! - 7: leader epochs (KIP-320)
//! - 8: authorized operations (KIP-430); of the cluster up to 10 only
//! - 9: flexible
//! - 10: topics by id (KIP-516); 12: in requests too
//! - 13: a top-level error (KIP-1102)

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::{Outcome, RequestContext};
use crate::controller::NewTopic;
use crate::controller::machine::validate_topic_name;
use crate::error::ErrorCode;
use crate::ids::{BrokerId, TopicId};
use crate::metadata::image::{MetadataImage, PartitionImage, TopicImage};
use crate::protocol::wire::messages::metadata_request::MetadataRequestTopic;
use crate::protocol::wire::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use crate::protocol::wire::messages::{self, MetadataRequest, MetadataResponse};
use crate::protocol::wire::protocol::StrBytes;
use crate::replication::is_internal_topic;

/// Since then the request says whether a missing topic may be created; before, it may.
const AUTO_CREATION_SINCE: i16 = 4;

/// All operations on a topic, as bits by `AclOperation` code (KIP-430): without an authorizer, all are allowed.
pub(super) const TOPIC_OPERATIONS: i32 = 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 11;
/// All operations on the cluster.
pub(super) const CLUSTER_OPERATIONS: i32 = 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12;

pub(super) fn handle(cx: RequestContext, request: MetadataRequest) -> Outcome {
    let image = cx.services().metadata.current();
    let asked = match request.topics {
        None => Asked::All,
        Some(topics) if topics.is_empty() && cx.version == 0 => Asked::All,
        Some(topics) => Asked::Named(topics),
    };
    let may_create = (cx.version < AUTO_CREATION_SINCE || request.allow_auto_topic_creation)
        && cx.services().config.auto_create_topics_enable;
    let missing = if may_create { missing_topics(&image, &asked) } else { Vec::new() };
    let operations = Operations {
        topics: request.include_topic_authorized_operations,
        cluster: request.include_cluster_authorized_operations,
    };
    if missing.is_empty() {
        return cx.reply(response(&cx, &image, &asked, operations));
    }
    let reply_context = cx.clone();
    cx.reply_exclusively(async move {
        let cx = reply_context;
        // What cannot be created is reported as unknown, as any topic that is not there.
        let _outcomes = cx.services().controller.create_topics(missing, false).await;
        let image = cx.services().metadata.current();
        response(&cx, &image, &asked, operations)
    })
}

enum Asked {
    All,
    Named(Vec<MetadataRequestTopic>),
}

#[derive(Clone, Copy)]
struct Operations {
    topics: bool,
    cluster: bool,
}

/// The topics that are asked for by a valid name and do not exist.
fn missing_topics(image: &MetadataImage, asked: &Asked) -> Vec<NewTopic> {
    let Asked::Named(topics) = asked else { return Vec::new() };
    let names: BTreeSet<&str> = topics
        .iter()
        .filter(|topic| topic.topic_id.is_nil())
        .filter_map(|topic| topic.name.as_ref().map(|name| name.as_str()))
        .filter(|name| image.topic(name).is_none() && validate_topic_name(name).is_ok())
        // Its partition count and policy are for the coordinator to choose, when it needs it.
        .filter(|name| !is_internal_topic(name))
        .collect();
    names
        .into_iter()
        .map(|name| NewTopic { name: name.to_owned(), partitions: -1, replication_factor: -1, ..NewTopic::default() })
        .collect()
}

fn response(cx: &RequestContext, image: &MetadataImage, asked: &Asked, operations: Operations) -> MetadataResponse {
    let mut response = MetadataResponse::default();
    response.brokers = brokers(cx, image);
    response.cluster_id = Some(StrBytes::from_string(image.cluster_id.to_string()));
    response.controller_id = image.controller.unwrap_or(BrokerId::NONE).0.into();
    response.topics = match asked {
        Asked::All => image.topics().map(|topic| describe(cx, image, topic)).collect(),
        Asked::Named(topics) => {
            // Each once, as in Kafka: a few bytes that name a topic again must not describe all of it again.
            let mut seen = HashSet::new();
            let each_once = topics.iter().filter(|topic| seen.insert((&topic.name, topic.topic_id)));
            each_once.map(|topic| look_up(cx, image, topic)).collect()
        }
    };
    if operations.topics {
        for topic in &mut response.topics {
            if topic.error_code == ErrorCode::None.code() {
                topic.topic_authorized_operations = TOPIC_OPERATIONS;
            }
        }
    }
    if operations.cluster {
        response.cluster_authorized_operations = CLUSTER_OPERATIONS;
    }
    response
}

/// The brokers that are reached on the listener that was asked.
fn brokers(cx: &RequestContext, image: &MetadataImage) -> Vec<MetadataResponseBroker> {
    let listener = &cx.connection.listener.name;
    image
        .brokers
        .values()
        .filter_map(|broker| {
            let endpoint = broker.endpoint(listener)?;
            let mut on_wire = MetadataResponseBroker::default();
            on_wire.node_id = broker.id.0.into();
            on_wire.host = StrBytes::from_string(endpoint.host.clone());
            on_wire.port = i32::from(endpoint.port);
            on_wire.rack = broker.rack.clone().map(StrBytes::from_string);
            Some(on_wire)
        })
        .collect()
}

fn look_up(cx: &RequestContext, image: &MetadataImage, asked: &MetadataRequestTopic) -> MetadataResponseTopic {
    let by_id = !asked.topic_id.is_nil();
    let name = asked.name.as_ref().map_or("", |name| name.as_str());
    let topic = if by_id { image.topic_by_id(TopicId(asked.topic_id)) } else { image.topic(name) };
    if let Some(topic) = topic {
        return describe(cx, image, topic);
    }
    let code = match (by_id, validate_topic_name(name)) {
        (true, _) => ErrorCode::UnknownTopicId,
        (false, Err(_)) => ErrorCode::InvalidTopicException,
        (false, Ok(())) => ErrorCode::UnknownTopicOrPartition,
    };
    cx.count_error(code);
    let mut unknown = MetadataResponseTopic::default();
    unknown.error_code = code.code();
    unknown.topic_id = asked.topic_id;
    unknown.name = match (&asked.name, by_id) {
        (Some(name), false) => Some(name.clone()),
        // Before version 12 the name may not be null.
        _ => (cx.version < 12).then(messages::TopicName::default),
    };
    unknown.is_internal = is_internal_topic(name);
    unknown
}

fn describe(cx: &RequestContext, image: &MetadataImage, topic: &Arc<TopicImage>) -> MetadataResponseTopic {
    let mut on_wire = MetadataResponseTopic::default();
    on_wire.name = Some(StrBytes::from_string(topic.name.to_string()).into());
    on_wire.topic_id = topic.id.0;
    on_wire.is_internal = is_internal_topic(&topic.name);
    on_wire.partitions =
        topic.partitions().map(|(index, partition)| describe_partition(cx, image, index, partition)).collect();
    on_wire
}

fn describe_partition(
    cx: &RequestContext,
    image: &MetadataImage,
    index: i32,
    partition: &PartitionImage,
) -> MetadataResponsePartition {
    let ids = |brokers: &[BrokerId]| brokers.iter().map(|broker| broker.0.into()).collect::<Vec<_>>();
    let leader = reachable_leader(cx, image, partition);
    let mut on_wire = MetadataResponsePartition::default();
    on_wire.error_code = if leader.is_some() { ErrorCode::None.code() } else { ErrorCode::LeaderNotAvailable.code() };
    on_wire.partition_index = index;
    on_wire.leader_id = leader.unwrap_or(BrokerId::NONE).0.into();
    on_wire.leader_epoch = partition.leader_epoch.0;
    on_wire.replica_nodes = ids(&partition.replicas);
    on_wire.isr_nodes = ids(&partition.isr);
    on_wire.offline_replicas = ids(&offline_replicas(image, partition));
    on_wire
}

/// The leader, if clients of this listener can reach it.
pub(super) fn reachable_leader(
    cx: &RequestContext,
    image: &MetadataImage,
    partition: &PartitionImage,
) -> Option<BrokerId> {
    let listener = &cx.connection.listener.name;
    partition.leader.filter(|&id| image.broker(id).is_some_and(|broker| broker.endpoint(listener).is_some()))
}

/// The replicas whose brokers are not registered.
pub(super) fn offline_replicas(image: &MetadataImage, partition: &PartitionImage) -> Vec<BrokerId> {
    partition.replicas.iter().copied().filter(|&id| image.broker(id).is_none()).collect()
}
