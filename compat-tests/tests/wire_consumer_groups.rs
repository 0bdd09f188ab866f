//! Groups of the consumer protocol (KIP-848) by its bare requests: every flow and every error code.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use kafka_protocol::messages::consumer_group_describe_response::DescribedGroup;
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::{
    ApiVersionsRequest, ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
    CreatePartitionsRequest, FindCoordinatorRequest,
};
use kafka_protocol::protocol::StrBytes;
use ottla_compat_tests::Node;
use ottla_compat_tests::wait::{eventually, within};
use ottla_compat_tests::wire::{Wire, name, text};
use uuid::Uuid;

const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
const COORDINATOR_NOT_AVAILABLE: i16 = 15;
const NOT_COORDINATOR: i16 = 16;
const INVALID_GROUP_ID: i16 = 24;
const UNKNOWN_MEMBER_ID: i16 = 25;
const INVALID_REQUEST: i16 = 42;
const GROUP_ID_NOT_FOUND: i16 = 69;
const GROUP_MAX_SIZE_REACHED: i16 = 81;
const FENCED_INSTANCE_ID: i16 = 82;
const FENCED_MEMBER_EPOCH: i16 = 110;
const UNRELEASED_INSTANCE_ID: i16 = 111;
const UNSUPPORTED_ASSIGNOR: i16 = 112;
const INVALID_REGULAR_EXPRESSION: i16 = 128;

/// Assignments follow each other at once, sessions may be short.
const SETTINGS: [(&str, &str); 7] = [
    ("offsets.topic.num.partitions", "1"),
    ("offsets.topic.replication.factor", "1"),
    ("group.consumer.assignment.interval.ms", "0"),
    ("group.consumer.min.session.timeout.ms", "500"),
    ("group.consumer.min.heartbeat.interval.ms", "100"),
    ("group.consumer.max.size", "3"),
    ("group.coordinator.rebalance.protocols", "classic,consumer"),
];

/// A node with a coordinator that answers.
fn node(settings: &[(&str, &str)]) -> Node {
    let node = Node::with(&[&SETTINGS[..], settings].concat());
    let mut wire = node.wire();
    eventually("a group coordinator", || {
        let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("any")]);
        let found = wire.call(4, &request).ok()?;
        (found.coordinators[0].error_code == 0).then_some(())
    });
    node
}

/// What a member says besides who it is.
#[derive(Clone, Debug, Default)]
struct Say<'a> {
    topics: Option<&'a [&'a str]>,
    regex: Option<&'a str>,
    instance: Option<&'a str>,
    assignor: Option<&'a str>,
    owned: Option<&'a Parts>,
    rebalance_timeout_ms: Option<i32>,
}

/// Partitions by topic.
type Parts = BTreeMap<Uuid, Vec<i32>>;

fn request(group: &str, member: &str, epoch: i32, say: &Say<'_>) -> ConsumerGroupHeartbeatRequest {
    let owned = say.owned.map(|owned| {
        let topic = |(id, partitions): (&Uuid, &Vec<i32>)| {
            TopicPartitions::default().with_topic_id(*id).with_partitions(partitions.clone())
        };
        owned.iter().map(topic).collect()
    });
    ConsumerGroupHeartbeatRequest::default()
        .with_group_id(text(group).into())
        .with_member_id(text(member))
        .with_member_epoch(epoch)
        .with_instance_id(say.instance.map(text))
        .with_rebalance_timeout_ms(say.rebalance_timeout_ms.unwrap_or(-1))
        .with_subscribed_topic_names(say.topics.map(|topics| topics.iter().map(|topic| name(topic)).collect()))
        .with_subscribed_topic_regex(say.regex.map(text))
        .with_server_assignor(say.assignor.map(text))
        .with_topic_partitions(owned)
}

/// Sends a heartbeat until the coordinator is there to answer it.
fn send(wire: &mut Wire, version: i16, request: &ConsumerGroupHeartbeatRequest) -> ConsumerGroupHeartbeatResponse {
    eventually("the coordinator answers", || {
        let response = wire.call(version, request).expect("an answer");
        let away = [COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR];
        (!away.contains(&response.error_code)).then_some(response)
    })
}

fn beat(wire: &mut Wire, group: &str, member: &str, epoch: i32, say: &Say<'_>) -> ConsumerGroupHeartbeatResponse {
    send(wire, 1, &request(group, member, epoch, say))
}

fn join(wire: &mut Wire, group: &str, member: &str, say: &Say<'_>) -> ConsumerGroupHeartbeatResponse {
    let nothing = Parts::new();
    let say = Say {
        owned: say.owned.or(Some(&nothing)),
        rebalance_timeout_ms: say.rebalance_timeout_ms.or(Some(60_000)),
        ..say.clone()
    };
    beat(wire, group, member, 0, &say)
}

#[track_caller]
fn joined(wire: &mut Wire, group: &str, member: &str, say: &Say<'_>) -> (i32, Parts) {
    let response = join(wire, group, member, say);
    assert_eq!(response.error_code, 0, "{:?}", response.error_message);
    (response.member_epoch, parts(&response).expect("an assignment"))
}

fn parts(response: &ConsumerGroupHeartbeatResponse) -> Option<Parts> {
    let assignment = response.assignment.as_ref()?;
    let topic = |topic: &kafka_protocol::messages::consumer_group_heartbeat_response::TopicPartitions| {
        let mut partitions = topic.partitions.clone();
        partitions.sort_unstable();
        (topic.topic_id, partitions)
    };
    Some(assignment.topic_partitions.iter().map(topic).collect())
}

fn count(parts: &Parts) -> usize {
    parts.values().map(Vec::len).sum()
}

fn describe(wire: &mut Wire, group: &str) -> DescribedGroup {
    let request = ConsumerGroupDescribeRequest::default().with_group_ids(vec![text(group).into()]);
    wire.call(1, &request).expect("an answer").groups[0].clone()
}

#[test]
fn the_feature_is_supported_and_finalized() -> Result<()> {
    let node = node(&[]);
    let request =
        ApiVersionsRequest::default().with_client_software_name(text("test")).with_client_software_version(text("1"));
    let response = node.wire().call(4, &request)?;
    let supported = response.supported_features.iter().find(|feature| &*feature.name == "group.version");
    assert_eq!(supported.map(|feature| (feature.min_version, feature.max_version)), Some((0, 1)));
    let finalized = response.finalized_features.iter().find(|feature| &*feature.name == "group.version");
    assert_eq!(finalized.map(|feature| feature.max_version_level), Some(1));
    Ok(())
}

#[test]
fn requests_are_refused_with_kafkas_codes() -> Result<()> {
    let node = node(&[]);
    let mut wire = node.wire();
    wire.create_topic("t", 2, &[])?;
    let full = Say {
        topics: Some(&["t"]),
        owned: Some(&BTreeMap::new()),
        rebalance_timeout_ms: Some(60_000),
        ..Say::default()
    };
    let mut check = |what: &str, expected: i16, version: i16, request: ConsumerGroupHeartbeatRequest| {
        let response = send(&mut wire, version, &request);
        assert_eq!(response.error_code, expected, "{what}: {:?}", response.error_message);
        assert!(response.error_message.is_some(), "{what}");
    };
    let ok = |member: &str, epoch: i32| request("g", member, epoch, &full);
    check("no group", INVALID_REQUEST, 1, request("", "m", 0, &full));
    check("blank group", INVALID_REQUEST, 1, request(" ", "m", 0, &full));
    check("no member id", INVALID_REQUEST, 1, ok("", 0));
    check("no member id to stay", INVALID_REQUEST, 0, ok("", 1));
    check("no member id to leave", INVALID_REQUEST, 0, ok("", -1));
    check("blank instance", INVALID_REQUEST, 1, request("g", "m", 0, &Say { instance: Some(""), ..full.clone() }));
    check("blank rack", INVALID_REQUEST, 1, ok("m", 0).with_rack_id(Some(text(" "))));
    check(
        "no timeout",
        INVALID_REQUEST,
        1,
        request("g", "m", 0, &Say { rebalance_timeout_ms: None, ..full.clone() }),
    );
    check("no partitions", INVALID_REQUEST, 1, request("g", "m", 0, &Say { owned: None, ..full.clone() }));
    let some = BTreeMap::from([(Uuid::from_u128(1), vec![0])]);
    check("owns some", INVALID_REQUEST, 1, request("g", "m", 0, &Say { owned: Some(&some), ..full.clone() }));
    check("no subscription", INVALID_REQUEST, 1, request("g", "m", 0, &Say { topics: None, ..full.clone() }));
    check("static without instance", INVALID_REQUEST, 1, ok("m", -2));
    check("epoch -3", INVALID_REQUEST, 1, ok("m", -3));
    check("assignor", UNSUPPORTED_ASSIGNOR, 1, request("g", "m", 0, &Say { assignor: Some("x"), ..full.clone() }));
    for pattern in ["(", "[a", "a**", "(?<=a)b", r"(a)\1", "a{2000}"] {
        let say = Say { topics: None, regex: Some(pattern), ..full.clone() };
        check(pattern, INVALID_REGULAR_EXPRESSION, 1, request("g", "m", 0, &say));
    }
    check("no such group", GROUP_ID_NOT_FOUND, 1, request("none", "m", 1, &Say::default()));
    check("leaves no group", GROUP_ID_NOT_FOUND, 1, request("none", "m", -1, &Say::default()));
    Ok(())
}

#[test]
fn version_0_makes_the_member_id() -> Result<()> {
    let node = node(&[]);
    let mut wire = node.wire();
    wire.create_topic("t", 2, &[])?;
    let nothing = Parts::new();
    let say =
        Say { topics: Some(&["t"]), owned: Some(&nothing), rebalance_timeout_ms: Some(60_000), ..Say::default() };
    let response = send(&mut wire, 0, &request("g", "", 0, &say));
    assert_eq!(response.error_code, 0, "{:?}", response.error_message);
    let member = response.member_id.clone().expect("an id");
    assert_eq!(member.len(), 22, "{member}");
    assert_eq!(count(&parts(&response).expect("an assignment")), 2);
    let response = send(&mut wire, 0, &request("g", &member, response.member_epoch, &Say::default()));
    assert_eq!((response.error_code, response.assignment), (0, None));
    Ok(())
}

/// Bugs of other brokers: the new owner was given a partition while the old one still read it.
#[test]
fn a_partition_is_withheld_until_its_owner_gave_it_up() -> Result<()> {
    let node = node(&[]);
    let mut wire = node.wire();
    wire.create_topic("t", 4, &[])?;
    let say = Say { topics: Some(&["t"]), ..Say::default() };
    let (first, all) = joined(&mut wire, "g", "a", &say);
    assert_eq!((first, count(&all)), (2, 4));

    let (epoch, none) = joined(&mut wire, "g", "b", &say);
    assert_eq!((epoch, count(&none)), (3, 0), "nothing is free yet");
    let told = beat(&mut wire, "g", "a", first, &Say { owned: Some(&all), ..Say::default() });
    let kept = parts(&told).expect("something to give up");
    assert_eq!((told.member_epoch, count(&kept)), (first, 2), "it stays in its epoch");
    for _ in 0..3 {
        let waiting = beat(&mut wire, "g", "b", epoch, &Say { owned: Some(&none), ..Say::default() });
        assert_eq!((waiting.member_epoch, waiting.assignment), (epoch, None), "a has not given up");
        let still = beat(&mut wire, "g", "a", first, &Say { owned: Some(&all), ..Say::default() });
        assert_eq!((still.error_code, still.member_epoch), (0, first));
    }
    assert_eq!(&*describe(&mut wire, "g").group_state, "Reconciling");

    let freed = beat(&mut wire, "g", "a", first, &Say { owned: Some(&kept), ..Say::default() });
    assert_eq!((freed.error_code, freed.member_epoch), (0, epoch));
    let given = beat(&mut wire, "g", "b", epoch, &Say { owned: Some(&none), ..Say::default() });
    let new = parts(&given).expect("an assignment");
    assert_eq!(count(&new), 2);
    assert!(
        new.iter().all(|(id, partitions)| partitions.iter().all(|it| !kept[id].contains(it))),
        "{new:?} {kept:?}"
    );
    assert_eq!(&*describe(&mut wire, "g").group_state, "Stable");

    // The reply that moved it on may have been lost: the epoch before is as good, with nothing but what it was given.
    let again = beat(&mut wire, "g", "a", first, &Say { owned: Some(&kept), ..Say::default() });
    assert_eq!((again.error_code, again.member_epoch), (0, epoch));
    let fenced = beat(&mut wire, "g", "a", first, &Say { owned: Some(&all), ..Say::default() });
    assert_eq!(fenced.error_code, FENCED_MEMBER_EPOCH);
    assert_eq!(beat(&mut wire, "g", "a", first, &Say::default()).error_code, FENCED_MEMBER_EPOCH);
    assert_eq!(beat(&mut wire, "g", "a", epoch + 1, &Say::default()).error_code, FENCED_MEMBER_EPOCH);
    assert_eq!(beat(&mut wire, "g", "x", epoch, &Say::default()).error_code, UNKNOWN_MEMBER_ID);
    assert_eq!(beat(&mut wire, "g", "x", -1, &Say::default()).error_code, UNKNOWN_MEMBER_ID);

    let left = beat(&mut wire, "g", "b", -1, &Say::default());
    assert_eq!((left.error_code, left.member_epoch, left.heartbeat_interval_ms), (0, -1, 0));
    let back = beat(&mut wire, "g", "a", epoch, &Say { owned: Some(&kept), ..Say::default() });
    assert_eq!(count(&parts(&back).expect("all again")), 4);
    Ok(())
}

#[test]
fn groups_are_described() -> Result<()> {
    let node = node(&[]);
    let mut wire = node.wire();
    wire.create_topic("t", 2, &[])?;
    let say = Say { topics: Some(&["t"]), instance: Some("i"), assignor: Some("range"), ..Say::default() };
    joined(&mut wire, "g", "a", &say);
    let group = describe(&mut wire, "g");
    let shown =
        (group.error_code, &*group.group_state, group.group_epoch, group.assignment_epoch, &*group.assignor_name);
    assert_eq!(shown, (0, "Stable", 2, 2, "range"));
    let member = &group.members[0];
    assert_eq!((&*member.member_id, member.member_epoch, member.member_type), ("a", 2, 1));
    assert_eq!(member.instance_id.as_deref(), Some("i"));
    assert_eq!(&*member.client_host, "/127.0.0.1");
    assert_eq!(member.subscribed_topic_names, [name("t")]);
    assert_eq!(member.subscribed_topic_regex.as_deref(), Some(""));
    for assignment in [&member.assignment, &member.target_assignment] {
        let topic = &assignment.topic_partitions[0];
        assert_eq!((topic.topic_name.clone(), topic.partitions.clone()), (name("t"), vec![0, 1]));
    }
    let request = ConsumerGroupDescribeRequest::default().with_group_ids(vec![text("g").into()]);
    assert_eq!(wire.call(0, &request)?.groups[0].members[0].member_type, -1);
    assert_eq!(describe(&mut wire, "none").error_code, GROUP_ID_NOT_FOUND);
    assert_eq!(describe(&mut wire, "").error_code, INVALID_GROUP_ID);
    beat(&mut wire, "g", "a", -1, &Say { instance: Some("i"), ..Say::default() });
    let empty = describe(&mut wire, "g");
    assert_eq!((&*empty.group_state, empty.members.len(), &*empty.assignor_name), ("Empty", 0, "uniform"));
    Ok(())
}

#[test]
fn static_members_keep_their_place() -> Result<()> {
    let node = node(&[]);
    let mut wire = node.wire();
    wire.create_topic("t", 3, &[])?;
    let say = Say { topics: Some(&["t"]), instance: Some("i"), ..Say::default() };
    let (epoch, all) = joined(&mut wire, "g", "a", &say);
    assert_eq!(join(&mut wire, "g", "b", &say).error_code, UNRELEASED_INSTANCE_ID);
    let instance = Say { instance: Some("i"), ..Say::default() };
    assert_eq!(beat(&mut wire, "g", "b", epoch, &instance).error_code, FENCED_INSTANCE_ID);
    assert_eq!(beat(&mut wire, "g", "b", -1, &instance).error_code, FENCED_INSTANCE_ID);
    let unknown = Say { instance: Some("other"), ..Say::default() };
    assert_eq!(beat(&mut wire, "g", "a", epoch, &unknown).error_code, UNKNOWN_MEMBER_ID);

    let left = beat(&mut wire, "g", "a", -2, &instance);
    assert_eq!((left.error_code, left.member_epoch), (0, -2));
    let (back, kept) = joined(&mut wire, "g", "b", &say);
    assert_eq!((back, &kept), (epoch, &all), "no rebalance");
    assert_eq!(beat(&mut wire, "g", "a", epoch, &instance).error_code, FENCED_INSTANCE_ID);
    let left = beat(&mut wire, "g", "b", -1, &instance);
    assert_eq!((left.error_code, left.member_epoch), (0, -1));
    Ok(())
}

#[test]
fn topics_that_come_and_grow_are_assigned() -> Result<()> {
    let node = node(&[]);
    let mut wire = node.wire();
    let say = Say { topics: Some(&["later"]), ..Say::default() };
    let (mut epoch, nothing) = joined(&mut wire, "g", "a", &say);
    assert_eq!(count(&nothing), 0);
    let mut owned = nothing;
    let mut until = |wire: &mut Wire, partitions: usize| {
        eventually("the assignment follows the topic", || {
            let response = beat(wire, "g", "a", epoch, &Say { owned: Some(&owned), ..Say::default() });
            assert_eq!(response.error_code, 0, "{:?}", response.error_message);
            epoch = response.member_epoch;
            owned = parts(&response).unwrap_or(owned.clone());
            (count(&owned) == partitions).then_some(())
        });
    };
    wire.create_topic("later", 1, &[])?;
    until(&mut wire, 1);
    let more = CreatePartitionsTopic::default().with_name(name("later")).with_count(3).with_assignments(None);
    let response =
        wire.call(3, &CreatePartitionsRequest::default().with_topics(vec![more]).with_timeout_ms(30_000))?;
    assert_eq!(response.results[0].error_code, 0);
    until(&mut wire, 3);
    wire.delete_topic("later")?;
    until(&mut wire, 0);
    Ok(())
}

#[test]
fn patterns_stand_for_topics() -> Result<()> {
    let node = node(&[]);
    let mut wire = node.wire();
    wire.create_topic("orders-eu", 2, &[])?;
    wire.create_topic("orders", 1, &[])?;
    let say = Say { regex: Some("orders-[a-z]+"), ..Say::default() };
    let (mut epoch, mut owned) = joined(&mut wire, "g", "a", &say);
    assert!(epoch > 0, "it is a member though nothing is known yet");
    eventually("the pattern is resolved", || {
        let response = beat(&mut wire, "g", "a", epoch, &Say { owned: Some(&owned), ..Say::default() });
        assert_eq!(response.error_code, 0, "{:?}", response.error_message);
        epoch = response.member_epoch;
        owned = parts(&response).unwrap_or(owned.clone());
        (count(&owned) == 2).then_some(())
    });
    assert_eq!(owned, BTreeMap::from([(wire.topic_id("orders-eu")?, vec![0, 1])]));
    let group = describe(&mut wire, "g");
    assert_eq!(group.members[0].subscribed_topic_regex, Some(StrBytes::from_static_str("orders-[a-z]+")));
    // Names instead: the pattern's topics are given up, at once.
    let names = Say { topics: Some(&["orders"]), regex: Some(""), owned: Some(&owned), ..Say::default() };
    let told = beat(&mut wire, "g", "a", epoch, &names);
    assert_eq!(parts(&told).map(|parts| parts.contains_key(&wire.topic_id("orders-eu").unwrap())), Some(false));
    Ok(())
}

/// Kafka leaves it to the authorizer who may read internal topics.
#[test]
fn a_pattern_stands_for_internal_topics_too() -> Result<()> {
    let node = node(&[]);
    let mut wire = node.wire();
    wire.create_topic("t", 1, &[])?;
    let (mut epoch, mut owned) = joined(&mut wire, "g", "a", &Say { regex: Some(".*"), ..Say::default() });
    let (topic, internal) = (wire.topic_id("t")?, wire.topic_id("__consumer_offsets")?);
    eventually("the pattern is resolved", || {
        let response = beat(&mut wire, "g", "a", epoch, &Say { owned: Some(&owned), ..Say::default() });
        epoch = response.member_epoch;
        owned = parts(&response).unwrap_or(owned.clone());
        (!owned.is_empty()).then_some(())
    });
    assert_eq!(
        owned.keys().copied().collect::<Vec<_>>(),
        if topic < internal { [topic, internal] } else { [internal, topic] }
    );
    Ok(())
}

#[test]
fn a_full_group_takes_nobody_else() -> Result<()> {
    let node = node(&[]);
    let mut wire = node.wire();
    wire.create_topic("t", 3, &[])?;
    let say = Say { topics: Some(&["t"]), ..Say::default() };
    for member in ["a", "b", "c"] {
        joined(&mut wire, "g", member, &say);
    }
    assert_eq!(join(&mut wire, "g", "d", &say).error_code, GROUP_MAX_SIZE_REACHED);
    assert_eq!(join(&mut wire, "g", "a", &say).error_code, 0, "who is in may join again");
    Ok(())
}

#[test]
fn a_silent_member_goes() -> Result<()> {
    let node = node(&[
        ("group.consumer.session.timeout.ms", "1000"),
        ("group.consumer.heartbeat.interval.ms", "300"),
        ("group.consumer.min.heartbeat.interval.ms", "300"),
    ]);
    let mut wire = node.wire();
    wire.create_topic("t", 2, &[])?;
    let response = join(&mut wire, "g", "a", &Say { topics: Some(&["t"]), ..Say::default() });
    assert_eq!((response.error_code, response.heartbeat_interval_ms), (0, 300));
    let epoch = response.member_epoch;
    within(Duration::from_secs(30), "the session ends", || {
        (describe(&mut wire, "g").members.is_empty()).then_some(())
    });
    assert_eq!(beat(&mut wire, "g", "a", epoch, &Say::default()).error_code, UNKNOWN_MEMBER_ID);
    Ok(())
}

/// A member that does not give up what it has to holds the others up for its rebalance timeout, no longer.
#[test]
fn a_member_that_does_not_give_up_goes() -> Result<()> {
    let node = node(&[]);
    let mut wire = node.wire();
    wire.create_topic("t", 2, &[])?;
    let slow = Say { topics: Some(&["t"]), rebalance_timeout_ms: Some(700), ..Say::default() };
    let (first, all) = joined(&mut wire, "g", "a", &slow);
    let (mut epoch, mut owned) = joined(&mut wire, "g", "b", &Say { topics: Some(&["t"]), ..Say::default() });
    let told = beat(&mut wire, "g", "a", first, &Say { owned: Some(&all), ..Say::default() });
    assert_eq!(count(&parts(&told).expect("something to give up")), 1);
    eventually("the slow member is out", || {
        let response = beat(&mut wire, "g", "b", epoch, &Say { owned: Some(&owned), ..Say::default() });
        epoch = response.member_epoch;
        owned = parts(&response).unwrap_or(owned.clone());
        (count(&owned) == 2).then_some(())
    });
    assert_eq!(beat(&mut wire, "g", "a", first, &Say::default()).error_code, UNKNOWN_MEMBER_ID);
    Ok(())
}

/// What members were told survives the coordinator.
#[test]
fn members_stay_over_a_restart() -> Result<()> {
    let mut node = node(&[]);
    let mut wire = node.wire();
    wire.create_topic("t", 4, &[])?;
    let say = Say { topics: Some(&["t"]), ..Say::default() };
    let (first, all) = joined(&mut wire, "g", "a", &say);
    let (epoch, none) = joined(&mut wire, "g", "b", &say);
    let told = beat(&mut wire, "g", "a", first, &Say { owned: Some(&all), ..Say::default() });
    let kept = parts(&told).expect("something to give up");
    let before = describe(&mut wire, "g");
    node.kill_and_restart();
    let mut wire = node.wire();
    // What was withheld still is.
    let waiting = beat(&mut wire, "g", "b", epoch, &Say { owned: Some(&none), ..Say::default() });
    assert_eq!((waiting.error_code, waiting.member_epoch, waiting.assignment), (0, epoch, None));
    assert_eq!(describe(&mut wire, "g"), before);
    let freed = beat(&mut wire, "g", "a", first, &Say { owned: Some(&kept), ..Say::default() });
    assert_eq!((freed.error_code, freed.member_epoch), (0, epoch));
    let given = beat(&mut wire, "g", "b", epoch, &Say { owned: Some(&none), ..Say::default() });
    assert_eq!(count(&parts(&given).expect("an assignment")), 2);
    Ok(())
}
