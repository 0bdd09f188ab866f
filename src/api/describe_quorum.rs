//! DescribeQuorum (key 55), versions 0-2: who keeps the cluster's metadata (KIP-595).
//!
//! - 1: when a replica fetched last (KIP-836)
//! - 2: nodes, directory ids and error messages (KIP-853)
//!
//! Ottla has no quorum of its own: its metadata lies in a store, and one broker at a time holds the controller's role.
//! So the answer is mapped: the leader and only voter is that broker; the epoch is the revision at which it took the
//! role; offsets are revisions of the store; the other brokers are observers, whose progress nobody keeps.

use super::{Outcome, RequestContext};
use crate::error::ErrorCode;
use crate::ids::BrokerId;
use crate::metadata::{BrokerImage, MetadataImage};
use crate::protocol::wire::messages::describe_quorum_response::{
    Listener, Node, PartitionData, ReplicaState, TopicData,
};
use crate::protocol::wire::messages::{DescribeQuorumRequest, DescribeQuorumResponse};
use crate::protocol::wire::protocol::StrBytes;
use crate::time::TimestampMs;

/// The topic that Kafka keeps its metadata in, and the name by which the quorum is asked for.
const METADATA_TOPIC: &str = "__cluster_metadata";
const UNKNOWN: i64 = -1;
const FETCH_TIMES_SINCE: i16 = 1;
const MESSAGES_SINCE: i16 = 2;
const NODES_SINCE: i16 = 2;

pub(super) fn handle(cx: RequestContext, request: DescribeQuorumRequest) -> Outcome {
    let image = cx.services().metadata.current();
    let mut response = DescribeQuorumResponse::default();
    if !asks_for_metadata(&request) {
        response.topics = request.topics.iter().map(|topic| unknown(&cx, topic)).collect();
        return cx.reply(response);
    }
    let Some(controller) = image.controller else {
        cx.count_error(ErrorCode::NotLeaderOrFollower);
        response.error_code = ErrorCode::NotLeaderOrFollower.code();
        return cx.reply(response);
    };
    let mut topic = TopicData::default();
    topic.topic_name = StrBytes::from_static_str(METADATA_TOPIC).into();
    topic.partitions = vec![describe(&cx, &image, controller)];
    response.topics = vec![topic];
    if cx.version >= NODES_SINCE {
        let node = image.broker(controller).and_then(|broker| node(broker, &cx.connection.listener.name));
        response.nodes = node.into_iter().collect();
    }
    cx.reply(response)
}

fn asks_for_metadata(request: &DescribeQuorumRequest) -> bool {
    match &request.topics[..] {
        [topic] if topic.topic_name.as_str() == METADATA_TOPIC => {
            matches!(&topic.partitions[..], [partition] if partition.partition_index == 0)
        }
        _ => false,
    }
}

fn unknown(
    cx: &RequestContext,
    asked: &crate::protocol::wire::messages::describe_quorum_request::TopicData,
) -> TopicData {
    let mut topic = TopicData::default();
    topic.topic_name = asked.topic_name.clone();
    let partitions = asked.partitions.iter().map(|asked| {
        cx.count_error(ErrorCode::UnknownTopicOrPartition);
        let mut partition = PartitionData::default();
        partition.partition_index = asked.partition_index;
        partition.error_code = ErrorCode::UnknownTopicOrPartition.code();
        if cx.version >= MESSAGES_SINCE {
            let message = "This server does not host this topic-partition.";
            partition.error_message = Some(StrBytes::from_static_str(message));
        }
        partition
    });
    topic.partitions = partitions.collect();
    topic
}

fn describe(cx: &RequestContext, image: &MetadataImage, controller: BrokerId) -> PartitionData {
    let mut partition = PartitionData::default();
    partition.leader_id = controller.0.into();
    partition.leader_epoch = i32::try_from(image.controller_epoch.0).unwrap_or(i32::MAX);
    partition.high_watermark = image.revision.0;
    let (voters, observers): (Vec<_>, Vec<_>) = image.brokers.values().partition(|broker| broker.id == controller);
    let now_ms = cx.services().clock.now_ms();
    let describe = |broker, offset, caught_up_ms| replica(cx.version, broker, offset, caught_up_ms);
    partition.current_voters = voters.into_iter().map(|broker| describe(broker, image.revision.0, now_ms)).collect();
    partition.observers = observers.into_iter().map(|broker| describe(broker, UNKNOWN, UNKNOWN)).collect();
    partition
}

fn replica(version: i16, broker: &BrokerImage, log_end_offset: i64, caught_up_ms: TimestampMs) -> ReplicaState {
    let mut replica = ReplicaState::default();
    replica.replica_id = broker.id.0.into();
    replica.log_end_offset = log_end_offset;
    if version >= FETCH_TIMES_SINCE {
        replica.last_fetch_timestamp = caught_up_ms;
        replica.last_caught_up_timestamp = caught_up_ms;
    }
    if version >= NODES_SINCE {
        // The first log directory is where the embedded store lies.
        replica.replica_directory_id = broker.directories.first().copied().unwrap_or_default().0;
    }
    replica
}

/// The controller as it is reached on the listener that the client uses.
fn node(broker: &BrokerImage, listener: &str) -> Option<Node> {
    let endpoint = broker.endpoint(listener)?;
    let mut on_wire = Listener::default();
    on_wire.name = StrBytes::from_string(endpoint.listener.clone());
    on_wire.host = StrBytes::from_string(endpoint.host.clone());
    on_wire.port = endpoint.port;
    let mut node = Node::default();
    node.node_id = broker.id.0.into();
    node.listeners = vec![on_wire];
    Some(node)
}
