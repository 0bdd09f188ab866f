//! ListPartitionReassignments (key 46), version 0: which partitions are on their way to other brokers (KIP-455).

use std::collections::{BTreeMap, BTreeSet};

use super::{Outcome, RequestContext};
use crate::ids::{BrokerId, PartitionIndex};
use crate::metadata::{PartitionImage, TopicImage};
use crate::protocol::wire::messages as wire;
use crate::protocol::wire::messages::list_partition_reassignments_response::{
    OngoingPartitionReassignment, OngoingTopicReassignment,
};
use crate::protocol::wire::messages::{ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse};
use crate::protocol::wire::protocol::StrBytes;

pub(super) fn handle(cx: RequestContext, request: ListPartitionReassignmentsRequest) -> Outcome {
    let image = cx.services().metadata.current();
    let mut response = ListPartitionReassignmentsResponse::default();
    response.error_message = None;
    response.topics = match request.topics {
        None => image.topics().filter_map(|topic| ongoing(topic, |_| true)).collect(),
        Some(asked) => {
            // Each once, however often it is named.
            let mut by_topic: BTreeMap<_, BTreeSet<PartitionIndex>> = BTreeMap::new();
            for topic in asked {
                by_topic.entry(topic.name).or_default().extend(topic.partition_indexes);
            }
            let known = by_topic.iter().filter_map(|(name, wanted)| Some((image.topic(name)?, wanted)));
            known.filter_map(|(topic, wanted)| ongoing(topic, |index| wanted.contains(&index))).collect()
        }
    };
    cx.reply(response)
}

/// The reassignments of a topic; `None`: there are none.
fn ongoing(topic: &TopicImage, is_wanted: impl Fn(PartitionIndex) -> bool) -> Option<OngoingTopicReassignment> {
    let moving = topic.partitions().filter(|(index, partition)| {
        is_wanted(*index) && !(partition.adding.is_empty() && partition.removing.is_empty())
    });
    let partitions: Vec<_> = moving.map(|(index, partition)| on_wire(index, partition)).collect();
    (!partitions.is_empty()).then(|| {
        let mut ongoing = OngoingTopicReassignment::default();
        ongoing.name = StrBytes::from_string(topic.name.to_string()).into();
        ongoing.partitions = partitions;
        ongoing
    })
}

fn on_wire(index: PartitionIndex, partition: &PartitionImage) -> OngoingPartitionReassignment {
    let ids = |brokers: &[BrokerId]| brokers.iter().map(|id| wire::BrokerId(id.0)).collect();
    let mut on_wire = OngoingPartitionReassignment::default();
    on_wire.partition_index = index;
    on_wire.replicas = ids(&partition.replicas);
    on_wire.adding_replicas = ids(&partition.adding);
    on_wire.removing_replicas = ids(&partition.removing);
    on_wire
}
