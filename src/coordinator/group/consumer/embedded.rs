//! What consumers say to each other within the classic protocol: their subscriptions and assignments (Kafka's
//! `ConsumerProtocol`), which the coordinator has to read and write while groups are migrated.
//!
//! Each begins with its version; one that is newer than known is read as the newest known, as Kafka does.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::topics::Topics;
use crate::coordinator::group::assignor::Assignment;
use crate::ids::{TopicId, TopicName};
use crate::protocol::wire::messages::consumer_group_heartbeat_request::TopicPartitions;
use crate::protocol::wire::messages::consumer_protocol_assignment::TopicPartition;
use crate::protocol::wire::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use crate::protocol::wire::protocol::{Decodable, Encodable, Message, StrBytes};

/// Bytes that are none of a consumer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the consumer protocol within is malformed")]
pub(super) struct Malformed;

/// What a consumer wants.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Subscription {
    pub(super) topics: Arc<BTreeSet<TopicName>>,
    pub(super) rack_id: Option<Arc<str>>,
    /// What it says that it has, of the topics that exist.
    pub(super) owned: Vec<TopicPartitions>,
}

pub(super) fn read_subscription(metadata: &Bytes, topics: &dyn Topics) -> Result<Subscription, Malformed> {
    let subscription: ConsumerProtocolSubscription = read(metadata)?;
    let owned = subscription.owned_partitions.into_iter().filter_map(|owned| {
        let mut known = TopicPartitions::default();
        known.topic_id = topics.id(&owned.topic)?.0;
        known.partitions = owned.partitions;
        Some(known)
    });
    Ok(Subscription {
        topics: Arc::new(subscription.topics.iter().map(|name| TopicName::from(&**name)).collect()),
        rack_id: subscription.rack_id.as_deref().filter(|rack| !rack.is_empty()).map(Arc::from),
        owned: owned.collect(),
    })
}

/// Partitions, and whether the client's assignor added data of its own.
pub(super) fn read_assignment(assignment: &Bytes, topics: &dyn Topics) -> Result<(Assignment, bool), Malformed> {
    let assignment: ConsumerProtocolAssignment = read(assignment)?;
    let has_user_data = assignment.user_data.is_some_and(|data| !data.is_empty());
    let known = assignment.assigned_partitions.iter().filter_map(|topic| Some((topics.id(&topic.topic)?, topic)));
    let partitions = known.flat_map(|(id, topic): (TopicId, &TopicPartition)| {
        topic.partitions.iter().map(move |&partition| (id, partition))
    });
    Ok((partitions.collect(), has_user_data))
}

/// An assignment in the version that the member's subscription (`metadata`) is of.
pub(super) fn write_assignment(
    assignment: &Assignment,
    metadata: &Bytes,
    topics: &dyn Topics,
) -> Result<Bytes, Malformed> {
    let (version, _) = version_of::<ConsumerProtocolAssignment>(metadata)?;
    let mut written = ConsumerProtocolAssignment::default();
    written.assigned_partitions = assignment
        .topics()
        .filter_map(|(id, partitions)| {
            let mut topic = TopicPartition::default();
            topic.topic = StrBytes::from_string(topics.name(id)?.to_string()).into();
            topic.partitions = partitions.to_vec();
            Some(topic)
        })
        .collect();
    let mut bytes = BytesMut::new();
    bytes.put_i16(version);
    written.encode(&mut bytes, version).map_err(|_| Malformed)?;
    Ok(bytes.freeze())
}

fn read<M: Message + Decodable>(bytes: &Bytes) -> Result<M, Malformed> {
    let (version, mut body) = version_of::<M>(bytes)?;
    M::decode(&mut body, version).map_err(|_| Malformed)
}

fn version_of<M: Message>(bytes: &Bytes) -> Result<(i16, Bytes), Malformed> {
    let mut body = bytes.clone();
    let version = body.try_get_i16().map_err(|_| Malformed)?;
    if version < M::VERSIONS.min {
        return Err(Malformed);
    }
    Ok((version.min(M::VERSIONS.max), body))
}
