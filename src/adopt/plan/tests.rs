use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::adopt::kafka_metadata::Replay;
use crate::adopt::metadata_records::{
    ConfigRecord, FeatureLevelRecord, MetadataRecord, PartitionRecord, TopicRecord, ZkMigrationRecord,
};

const NODE: i32 = 1;

fn id(number: u128) -> TopicId {
    TopicId(Uuid::from_u128(1000 + number))
}

fn topic(number: u128, name: &str) -> MetadataRecord {
    MetadataRecord::Topic(TopicRecord { name: name.to_owned(), id: id(number) })
}

fn partition(topic: u128, partition: i32, replicas: &[i32], isr: &[i32]) -> PartitionRecord {
    PartitionRecord {
        partition,
        topic: id(topic),
        replicas: replicas.to_vec(),
        isr: isr.to_vec(),
        removing: vec![],
        adding: vec![],
        leader: NODE,
        leader_epoch: 4,
        directories: vec![],
        leader_recovery_state: 0,
        elr: vec![],
        last_known_elr: vec![],
    }
}

fn kafka(records: impl IntoIterator<Item = MetadataRecord>) -> KafkaMetadata {
    let mut replay = Replay::default();
    records.into_iter().for_each(|record| replay.take_in(record).unwrap());
    replay.finish()
}

fn found(topic_id: Option<TopicId>) -> FoundLog {
    FoundLog {
        path: "data/x".into(),
        directory: DirectoryId(Uuid::from_u128(500)),
        topic_id,
        latest_epoch: Some(LeaderEpoch(2)),
        obstacle: None,
    }
}

fn survey(logs: impl IntoIterator<Item = (&'static str, i32, FoundLog)>) -> Survey {
    let logs = logs.into_iter().map(|(topic, partition, found)| (TopicPartition::new(topic, partition), found));
    Survey { logs: logs.collect(), was_clean: true, ..Survey::default() }
}

fn decide(kafka: KafkaMetadata, survey: &Survey) -> Plan {
    let config = BrokerConfig::default();
    Plan::decide(&config, kafka, survey).unwrap()
}

/// One partition with these replicas and this ISR; why it is left out.
#[track_caller]
fn reason(record: PartitionRecord, logs: &Survey) -> Option<String> {
    let plan = decide(kafka([topic(1, "orders"), MetadataRecord::Partition(record)]), logs);
    assert_eq!(plan.topics[0].partition_count, 1, "the topic is known either way");
    assert_eq!(plan.topics[0].partitions.len() + plan.left_out.len(), 1);
    plan.left_out.into_iter().map(|left| left.reason).next()
}

#[test]
fn a_replica_in_sync_with_its_folder_is_taken_over() {
    let here = || survey([("orders", 0, found(Some(id(1))))]);
    assert_eq!(reason(partition(1, 0, &[1, 2], &[1]), &here()), None);
    let plan = decide(
        kafka([topic(1, "orders"), MetadataRecord::Partition(partition(1, 0, &[1, 2], &[1]))]),
        &survey([("orders", 0, FoundLog { latest_epoch: Some(LeaderEpoch(9)), ..found(None) })]),
    );
    assert_eq!(plan.topics[0].partitions[0].leader_epoch, LeaderEpoch(9), "the newest epoch anywhere");
    assert_eq!(plan.notes, ["1 partitions had replicas on other nodes: they have this one alone now"]);
}

#[test]
fn what_was_not_in_sync_or_is_not_there_is_left_out() {
    let here = || survey([("orders", 0, found(Some(id(1))))]);
    let left_out = |record, survey: &Survey| reason(record, survey).unwrap();
    assert_eq!(left_out(partition(1, 0, &[2, 3], &[2]), &here()), "its replicas are on other nodes: [2, 3]");
    let not_in_sync = "this node was not in sync; those in sync: [2]";
    assert_eq!(left_out(partition(1, 0, &[1, 2], &[2]), &here()), not_in_sync);
    assert_eq!(left_out(partition(1, 0, &[1], &[1]), &survey([])), "its folder is missing");
    let other = survey([("orders", 0, found(Some(id(2))))]);
    let expected = format!("its folder belongs to topic id {}, and the topic has {}", id(2), id(1));
    assert_eq!(left_out(partition(1, 0, &[1], &[1]), &other), expected);
    let old = FoundLog { obstacle: Some("0.log has batches of message format v1".to_owned()), ..found(None) };
    let old = survey([("orders", 0, old)]);
    assert_eq!(left_out(partition(1, 0, &[1], &[1]), &old), "0.log has batches of message format v1");
    let recovering = PartitionRecord { leader_recovery_state: 1, ..partition(1, 0, &[1], &[1]) };
    assert_eq!(left_out(recovering, &here()), "its leader was elected uncleanly and had not recovered");
}

#[test]
fn an_eligible_leader_counts_as_in_sync_after_a_clean_stop() {
    let record = || PartitionRecord { elr: vec![1], ..partition(1, 0, &[1], &[]) };
    let here = || survey([("orders", 0, found(Some(id(1))))]);
    assert_eq!(reason(record(), &here()), None);
    let crashed = Survey { was_clean: false, ..here() };
    assert_eq!(reason(record(), &crashed).unwrap(), "this node was not in sync; those in sync: []");
}

#[test]
fn tiered_topics_and_strays_are_named() {
    let tiered = MetadataRecord::Config(ConfigRecord {
        resource_type: resource::TOPIC,
        resource_name: "orders".to_owned(),
        key: "remote.storage.enable".to_owned(),
        value: Some("true".to_owned()),
    });
    let records = [topic(1, "orders"), MetadataRecord::Partition(partition(1, 0, &[1], &[1])), tiered];
    let here = survey([("orders", 0, found(Some(id(1)))), ("stray", 3, found(None))]);
    let plan = decide(kafka(records), &here);
    let reasons: Vec<_> = plan.left_out.iter().map(|left| left.reason.as_str()).collect();
    assert_eq!(reasons, ["its older records lie in tiered storage", "Kafka's metadata has no such topic"]);
    assert!(plan.notes[0].starts_with("setting remote.storage.enable of topic 'orders' is kept, but not honoured"));
}

#[test]
fn a_hole_among_the_partitions_keeps_the_count() {
    let records = [topic(1, "orders"), MetadataRecord::Partition(partition(1, 2, &[1], &[1]))];
    let plan = decide(kafka(records), &survey([("orders", 2, found(None))]));
    assert_eq!((plan.topics[0].partition_count, plan.topics[0].partitions.len()), (3, 1));
    assert_eq!(plan.left_out.len(), 2);
}

#[test]
fn what_must_not_be_guessed_stops_it() {
    let config = BrokerConfig::default();
    let refused = |records: Vec<MetadataRecord>| Plan::decide(&config, kafka(records), &survey([])).unwrap_err();
    assert_eq!(refused(vec![MetadataRecord::ZkMigrationState(ZkMigrationRecord { state: 1 })]), PlanError::Migrating);
    let newer = FeatureLevelRecord { name: METADATA_VERSION.to_owned(), level: 31 };
    let newer = refused(vec![MetadataRecord::FeatureLevel(newer)]);
    assert_eq!(newer, PlanError::NewerFeatures { found: 31, newest: 30 });
    let many = partition(1, i32::MAX, &[1], &[1]);
    assert!(matches!(
        refused(vec![topic(1, "orders"), MetadataRecord::Partition(many)]),
        PlanError::PartitionNumber { .. }
    ));
}

proptest! {
    /// Whatever the metadata says, a partition is served only by a node that is its replica, in sync, with its folder.
    #[test]
    fn only_replicas_in_sync_with_a_folder_are_served(
        partitions in prop::collection::vec((prop::collection::vec(1..4, 1..3), prop::collection::vec(1..4, 0..3), any::<bool>()), 1..6),
    ) {
        let mut records = vec![topic(1, "orders")];
        let mut logs = Vec::new();
        for (at, (replicas, isr, is_here)) in partitions.iter().enumerate() {
            records.push(MetadataRecord::Partition(partition(1, at as i32, replicas, isr)));
            if *is_here {
                logs.push(("orders", at as i32, found(Some(id(1)))));
            }
        }
        let plan = decide(kafka(records), &survey(logs));
        let served: Vec<_> = plan.topics[0].partitions.iter().map(|planned| planned.partition as usize).collect();
        for (at, (replicas, isr, is_here)) in partitions.iter().enumerate() {
            let expected = replicas.contains(&NODE) && isr.contains(&NODE) && *is_here;
            prop_assert_eq!(served.contains(&at), expected);
        }
        prop_assert_eq!(served.len() + plan.left_out.len(), partitions.len());
    }
}
