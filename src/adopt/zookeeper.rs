//! The metadata of a broker that ran with ZooKeeper: what its directories tell, which is not all.
//!
//! Topics, ids (from 2.8 on) and partitions are on the disk. Configurations are not: see [`super::topic_configs`]. Who was
//! in sync is not either: that this node was is taken for granted, and the report says so. Nor is the counter of producer
//! ids.

use std::collections::BTreeMap;

use super::kafka_metadata::{KafkaMetadata, KafkaPartition, KafkaTopic, resource};
use super::survey::Survey;
use super::topic_configs::TopicConfigs;
use crate::ids::{BrokerId, TopicId};

/// Where producer ids go on: no cluster has come this far by blocks of a thousand.
pub const FIRST_PRODUCER_ID: i64 = 1 << 40;

/// What the directories come to. `new_id` makes ids for topics that have none.
pub fn metadata(
    node: BrokerId,
    survey: &Survey,
    configs: &TopicConfigs,
    mut new_id: impl FnMut() -> TopicId,
) -> KafkaMetadata {
    let mut by_name: BTreeMap<&str, (Option<TopicId>, KafkaTopic)> = BTreeMap::new();
    for (partition, found) in &survey.logs {
        let new = || (None, KafkaTopic { name: partition.topic.to_string(), partitions: BTreeMap::new() });
        let (id, topic) = by_name.entry(&partition.topic).or_insert_with(new);
        *id = id.or(found.topic_id);
        topic.partitions.insert(
            partition.partition,
            KafkaPartition {
                replicas: vec![node.0],
                directories: vec![found.directory.0],
                isr: vec![node.0],
                elr: Vec::new(),
                leader: node.0,
                leader_epoch: found.latest_epoch.map_or(0, |epoch| epoch.0),
                is_recovering: false,
            },
        );
    }
    let topics = by_name.into_values().map(|(id, topic)| (id.unwrap_or_else(&mut new_id), topic)).collect();
    let of_topic = |(topic, settings): (&String, &BTreeMap<String, String>)| {
        ((resource::TOPIC, topic.clone()), settings.clone())
    };
    KafkaMetadata {
        topics,
        configs: configs.iter().filter(|(_, settings)| !settings.is_empty()).map(of_topic).collect(),
        next_producer_id: Some(FIRST_PRODUCER_ID),
        ..KafkaMetadata::default()
    }
}
