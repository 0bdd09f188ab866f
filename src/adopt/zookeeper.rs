//! The metadata of a broker that ran with ZooKeeper: what its directories tell, which is not all.
//!
//! Topics, ids (from 2.8 on) and partitions are on the disk. Configurations are not: see [`super::topic_configs`]. Who was
//! in sync is not either: that this node was is taken for granted, and the report says so. Nor is the counter of producer
//! ids.

use std::collections::BTreeMap;

use super::kafka_metadata::{KafkaMetadata, KafkaPartition, KafkaTopic, resource};
use super::survey::Survey;
use super::topic_configs::{ToldTopic, TopicConfigs};
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
    let mut topics = BTreeMap::new();
    for (name, (id, mut topic)) in by_name {
        let told = configs.get(name);
        for index in 0..told.and_then(|told| told.partitions).unwrap_or(0) {
            topic.partitions.entry(index).or_insert_with(elsewhere);
        }
        let told_id = told.and_then(|told| told.id.as_ref()?.parse().ok());
        topics.insert(id.or(told_id).unwrap_or_else(&mut new_id), topic);
    }
    let of_topic = |(topic, told): (&String, &ToldTopic)| ((resource::TOPIC, topic.clone()), told.settings.clone());
    let configs = configs.iter().filter(|(_, told)| !told.settings.is_empty());
    KafkaMetadata {
        topics,
        configs: configs.map(of_topic).collect(),
        next_producer_id: Some(FIRST_PRODUCER_ID),
        ..KafkaMetadata::default()
    }
}

/// A partition that is told of and has no folder here.
fn elsewhere() -> KafkaPartition {
    KafkaPartition {
        replicas: Vec::new(),
        directories: Vec::new(),
        isr: Vec::new(),
        elr: Vec::new(),
        leader: -1,
        leader_epoch: 0,
        is_recovering: false,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::adopt::survey::FoundLog;
    use crate::adopt::topic_configs;
    use crate::ids::{DirectoryId, LeaderEpoch, TopicPartition};

    #[test]
    fn the_directories_and_the_tools_output_make_the_metadata() {
        let found = |id: Option<u128>, epoch| FoundLog {
            path: "data/x".into(),
            directory: DirectoryId(Uuid::from_u128(500)),
            topic_id: id.map(|id| TopicId(Uuid::from_u128(id))),
            latest_epoch: Some(LeaderEpoch(epoch)),
            obstacle: None,
        };
        let logs = [("in-file", 0, found(Some(1), 3)), ("told", 1, found(None, 0)), ("neither", 0, found(None, 0))];
        let logs = logs.into_iter().map(|(topic, index, found)| (TopicPartition::new(topic, index), found));
        let survey = Survey { logs: logs.collect(), ..Survey::default() };
        let told = "Topic: told\tTopicId: cJxEX1nhTAyKBCrSuMaHEw\tPartitionCount: 3\tConfigs: retention.ms=7\n";
        let told = topic_configs::parse(told).unwrap();
        let metadata = metadata(BrokerId(1), &survey, &told, || TopicId(Uuid::from_u128(99)));
        let topic = |id: TopicId| &metadata.topics[&id];
        let in_file = topic(TopicId(Uuid::from_u128(1)));
        assert_eq!((in_file.name.as_str(), in_file.partitions[&0].leader_epoch), ("in-file", 3));
        assert_eq!(topic(TopicId(Uuid::from_u128(99))).name, "neither");
        let told = topic("cJxEX1nhTAyKBCrSuMaHEw".parse().unwrap());
        let replicas: Vec<_> = told.partitions.values().map(|partition| partition.replicas.len()).collect();
        assert_eq!(replicas, [0, 1, 0], "three partitions, of which one is here");
        assert_eq!(metadata.configs[&(resource::TOPIC, "told".to_owned())]["retention.ms"], "7");
        assert_eq!(metadata.next_producer_id, Some(FIRST_PRODUCER_ID));
    }
}
