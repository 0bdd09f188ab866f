use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::StdRng;
use uuid::Uuid;

use super::*;
use crate::controller::testing::{cluster, directory};
use crate::metadata::keys::Key;
use crate::metadata::store::{Event, EventBatch, KeyValue};
use crate::metadata::values::{self, PartitionValue, TopicValue};
use crate::metadata::{BrokerImage, Keys};

const DEFAULTS: TopicDefaults = TopicDefaults { partitions: 3, replication_factor: 1 };

/// With a topic of `partitions` partitions, on broker 1 and, if `replicas` is 2, on broker 2.
fn with_topic(image: &MetadataImage, name: &str, partitions: i32, replicas: i32) -> MetadataImage {
    let keys = Keys::new("test");
    let id = TopicId(Uuid::from_u128(900 + image.topics().len() as u128));
    let put = |key: &Key, value| {
        let revision = Revision(7);
        let (key, version) = (keys.encode(key), 1);
        Event::Put(KeyValue { key, value, create_revision: revision, mod_revision: revision, version, lease: None })
    };
    let replicas = (1..=replicas).map(BrokerId).collect();
    let partition = build_partitions(image, vec![replicas]).remove(0);
    let mut events: Vec<Event> = (0..partitions)
        .map(|number| put(&Key::Partition(id, number), values::encode(&PartitionValue::from(&partition))))
        .collect();
    let topic = TopicValue { id: id.to_string(), partitions };
    events.push(put(&Key::Topic(name.into()), values::encode(&topic)));
    let (image, problems) = image.apply(&keys, [EventBatch { revision: Revision(7), events }]);
    assert!(problems.is_empty(), "{problems:?}");
    image
}

fn topic(name: &str, partitions: i32, replication_factor: i16) -> NewTopic {
    NewTopic { name: name.to_owned(), partitions, replication_factor, ..NewTopic::default() }
}

fn assigned(assignments: &[(i32, &[i32])]) -> NewTopic {
    let assignments = assignments.iter();
    NewTopic {
        assignments: assignments.map(|(n, ids)| (*n, ids.iter().copied().map(BrokerId).collect())).collect(),
        ..topic("t", -1, -1)
    }
}

fn plan(image: &MetadataImage, new: &NewTopic) -> Result<TopicPlan, AdminError> {
    let mut random = StdRng::seed_from_u64(1);
    plan_topic(image, &TopicNames::of(image), new, TopicId(Uuid::from_u128(5)), DEFAULTS, &mut random)
}

/// `refused(...)` as `CODE: message`.
fn refused<T: std::fmt::Debug>(result: Result<T, AdminError>) -> String {
    let error = result.unwrap_err();
    format!("{:?}: {}", error.code, error.message)
}

#[test]
fn defaults_fill_in() {
    let plan = plan(&cluster(1), &topic("t", -1, -1)).unwrap();
    assert_eq!(plan.partitions.len(), 3);
    let partition = &plan.partitions[0];
    assert_eq!((&partition.replicas[..], partition.leader), (&[BrokerId(1)][..], Some(BrokerId(1))));
    assert_eq!((partition.leader_epoch, &partition.directories[..]), (LeaderEpoch(0), &[directory(1)][..]));
    let described = plan.describe();
    assert_eq!((described.partitions, described.replication_factor), (3, 1));
}

#[test]
fn sizes_are_checked() {
    let cluster = cluster(1);
    for (partitions, replicas, expected) in [
        (0, 1, "InvalidPartitions: Number of partitions was set to an invalid non-positive value."),
        (-2, 1, "InvalidPartitions: Number of partitions was set to an invalid non-positive value."),
        (1, 0, "InvalidReplicationFactor: Replication factor must be larger than 0, or -1 to use the default value."),
        (
            1,
            3,
            "InvalidReplicationFactor: Unable to replicate the partition 3 time(s): The target replication factor \
             of 3 cannot be reached because only 1 broker(s) are registered.",
        ),
    ] {
        assert_eq!(refused(plan(&cluster, &topic("t", partitions, replicas))), expected);
    }
}

#[test]
fn names_are_checked() {
    let longest = "x".repeat(249);
    for good in ["a", "a.b_c-D9", "...", "__consumer_offsets", &longest] {
        assert_eq!(validate_topic_name(good), Ok(()), "{good}");
    }
    let too_long = "x".repeat(250);
    for (name, reason) in [
        ("", "the empty string is not allowed".to_owned()),
        (".", "'.' is not allowed".to_owned()),
        ("..", "'..' is not allowed".to_owned()),
        (&*too_long, format!("the length of '{too_long}' is longer than the max allowed length 249")),
        ("a b", "'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'".to_owned()),
        (
            "grün",
            "'grün' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'".to_owned(),
        ),
        ("a/b", "'a/b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'".to_owned()),
    ] {
        let expected = format!("InvalidTopicException: Topic name is invalid: {reason}");
        assert_eq!(refused(validate_topic_name(name)), expected);
    }
}

#[test]
fn names_do_not_collide() {
    let image = with_topic(&with_topic(&cluster(1), "a.b", 1, 1), "plain", 1, 1);
    for (name, expected) in [
        ("a.b", "TopicAlreadyExists: Topic 'a.b' already exists."),
        ("plain", "TopicAlreadyExists: Topic 'plain' already exists."),
        ("a_b", "InvalidTopicException: Topic 'a_b' collides with existing topic: a.b"),
        ("__cluster_metadata", "InvalidRequest: Creation of internal topic __cluster_metadata is prohibited."),
    ] {
        assert_eq!(refused(plan(&image, &topic(name, 1, 1))), expected);
    }
    for free in ["a-b", "ab", "a.c", "a_c"] {
        assert!(plan(&image, &topic(free, 1, 1)).is_ok(), "{free}");
    }
}

#[test]
fn manual_assignments_are_kept() {
    let plan = plan(&cluster(3), &assigned(&[(1, &[3, 1]), (0, &[2, 3])])).unwrap();
    assert_eq!(plan.partitions[0].replicas, [BrokerId(2), BrokerId(3)]);
    assert_eq!(plan.partitions[1].replicas, [BrokerId(3), BrokerId(1)]);
    assert_eq!(plan.partitions[1].leader, Some(BrokerId(3)));
    assert_eq!(plan.partitions[1].directories, [directory(3), directory(1)]);
}

#[test]
fn manual_assignments_are_checked() {
    let cluster = cluster(3);
    for (assignments, expected) in [
        (&[(0, &[][..])][..], "The manual partition assignment includes an empty replica list."),
        (&[(0, &[7, 1])], "The manual partition assignment includes broker 7, but no such broker is registered."),
        (&[(0, &[1, 2, 1])], "The manual partition assignment includes the broker 1 more than once."),
        (&[(0, &[1]), (0, &[2])], "Found multiple manual partition assignments for partition 0"),
        (&[(0, &[1]), (2, &[2])], "partitions should be a consecutive 0-based integer sequence"),
        (&[(1, &[1])], "partitions should be a consecutive 0-based integer sequence"),
        (&[(-1, &[1])], "partitions should be a consecutive 0-based integer sequence"),
        (
            &[(0, &[1]), (1, &[1, 2])],
            "The manual partition assignment includes a partition with 2 replica(s), but this is not consistent \
             with previous partitions, which have 1 replica(s).",
        ),
    ] {
        let expected = format!("InvalidReplicaAssignment: {expected}");
        assert_eq!(refused(plan(&cluster, &assigned(assignments))), expected);
    }
    let with_count = NewTopic { partitions: 1, ..assigned(&[(0, &[1])]) };
    assert_eq!(
        refused(plan(&cluster, &with_count)),
        "InvalidRequest: A manual partition assignment was specified, but numPartitions was not set to -1."
    );
    let with_factor = NewTopic { replication_factor: 1, ..assigned(&[(0, &[1])]) };
    assert_eq!(
        refused(plan(&cluster, &with_factor)),
        "InvalidRequest: A manual partition assignment was specified, but replication factor was not set to -1."
    );
}

fn enlarge(
    image: &MetadataImage,
    count: i32,
    assignments: Option<&[&[i32]]>,
) -> Result<Vec<PartitionImage>, AdminError> {
    let assignments = assignments
        .map(|assignments| assignments.iter().map(|ids| ids.iter().copied().map(BrokerId).collect()).collect());
    let new = NewPartitions { topic: "t".to_owned(), count, assignments };
    plan_partitions(image, image.topic("t").unwrap(), &new, &mut StdRng::seed_from_u64(1))
}

#[test]
fn partitions_are_added() {
    let image = with_topic(&cluster(3), "t", 2, 2);
    let added = enlarge(&image, 5, None).unwrap();
    assert_eq!(added.len(), 3);
    assert!(added.iter().all(|partition| partition.replicas.len() == 2));
    let added = enlarge(&image, 3, Some(&[&[3, 2]])).unwrap();
    assert_eq!(added[0].replicas, [BrokerId(3), BrokerId(2)]);
}

#[test]
fn partitions_are_never_taken_away() {
    let image = with_topic(&cluster(1), "t", 2, 1);
    for (count, expected) in [
        (2, "InvalidPartitions: Topic already has 2 partition(s)."),
        (1, "InvalidPartitions: The topic t currently has 2 partition(s); 1 would not be an increase."),
        (-1, "InvalidPartitions: The topic t currently has 2 partition(s); -1 would not be an increase."),
        (20_000, "PolicyViolation: Excessively large number of partitions per request."),
        (i32::MAX, "InvalidPartitions: A topic has at most 100000 partitions."),
    ] {
        assert_eq!(refused(enlarge(&image, count, None)), expected);
    }
    assert_eq!(
        refused(enlarge(&image, 4, Some(&[&[1]]))),
        "InvalidReplicaAssignment: Attempted to add 2 additional partition(s), but only 1 assignment(s) were \
         specified."
    );
    assert!(refused(enlarge(&image, 3, Some(&[&[1, 1]]))).contains("more than once"));
}

#[test]
fn new_replicas_go_where_the_fewest_are() {
    let mut image = cluster(1);
    let two =
        BrokerImage { directories: vec![directory(10), directory(11)], ..(*image.brokers[&BrokerId(1)]).clone() };
    image.brokers.insert(BrokerId(1), Arc::new(two));
    let image = with_topic(&image, "full", 3, 1);
    let full = image.topic("full").unwrap().partitions[0].directories[0];
    let plan = plan(&image, &topic("t", 5, 1)).unwrap();
    let there = plan.partitions.iter().filter(|partition| partition.directories[0] == full).count();
    assert_eq!(there, 1, "3 and 1 here, 4 there");
}

fn partition(leader: Option<i32>, isr: &[i32]) -> PartitionImage {
    let mut partition = build_partitions(&cluster(2), vec![vec![BrokerId(1), BrokerId(2)]]).remove(0);
    partition.leader = leader.map(BrokerId);
    partition.isr = isr.iter().copied().map(BrokerId).collect();
    partition.leader_epoch = LeaderEpoch(4);
    partition
}

#[test]
fn a_registration_renews_leader_epochs() {
    let here = [directory(1)];
    let renew = |partition: &PartitionImage, directories: &[DirectoryId]| {
        let renewed = renew_leader_epoch(partition, BrokerId(1), directories)?;
        Some((renewed.leader, renewed.leader_epoch, renewed.isr))
    };
    let isr = vec![BrokerId(1)];
    let leads = Some((Some(BrokerId(1)), LeaderEpoch(5), isr.clone()));
    assert_eq!(renew(&partition(Some(1), &[1]), &here), leads);
    assert_eq!(renew(&partition(None, &[1]), &here), leads, "the last in sync takes over where nobody leads");
    assert_eq!(renew(&partition(Some(2), &[1, 2]), &here), None, "another leads");
    assert_eq!(renew(&partition(None, &[2]), &here), None, "not in sync");
    let lost = [directory(77)];
    assert_eq!(renew(&partition(Some(1), &[1]), &lost), Some((None, LeaderEpoch(5), isr)), "its log is not here");
    assert_eq!(renew(&partition(None, &[1]), &lost), None);
    assert_eq!(renew(&partition(Some(1), &[1]), &[]), leads);
}
