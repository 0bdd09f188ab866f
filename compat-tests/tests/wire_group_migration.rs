//! Groups that move between the classic and the consumer protocol while members stay.

use std::collections::BTreeMap;

use anyhow::Result;
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::consumer_protocol_subscription::TopicPartition as Owned;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, FindCoordinatorRequest, HeartbeatRequest,
    JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, SyncGroupRequest,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use ottla_compat_tests::Node;
use ottla_compat_tests::wait::eventually;
use ottla_compat_tests::wire::{Wire, name, text};

const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
const COORDINATOR_NOT_AVAILABLE: i16 = 15;
const NOT_COORDINATOR: i16 = 16;
const ILLEGAL_GENERATION: i16 = 22;
const INCONSISTENT_GROUP_PROTOCOL: i16 = 23;
const UNKNOWN_MEMBER_ID: i16 = 25;
const REBALANCE_IN_PROGRESS: i16 = 27;
const GROUP_ID_NOT_FOUND: i16 = 69;
const MEMBER_ID_REQUIRED: i16 = 79;

const CLASSIC: i8 = 0;
const CONSUMER: i8 = 1;

fn node(settings: &[(&str, &str)]) -> Node {
    let common = [
        ("offsets.topic.num.partitions", "1"),
        ("offsets.topic.replication.factor", "1"),
        ("group.initial.rebalance.delay.ms", "0"),
        ("group.consumer.assignment.interval.ms", "0"),
    ];
    let node = Node::with(&[&common[..], settings].concat());
    let mut wire = node.wire();
    eventually("a group coordinator", || {
        let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("any")]);
        let found = wire.call(4, &request).ok()?;
        (found.coordinators[0].error_code == 0).then_some(())
    });
    node
}

fn with_version(message: &impl Encodable) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i16(1);
    message.encode(&mut bytes, 1).expect("it encodes");
    bytes.freeze()
}

fn subscription(topic: &str, owned: &[i32]) -> Bytes {
    let owned = Owned::default().with_topic(name(topic)).with_partitions(owned.to_vec());
    with_version(
        &ConsumerProtocolSubscription::default().with_topics(vec![text(topic)]).with_owned_partitions(vec![owned]),
    )
}

/// Sends a request until the coordinator is there to answer it.
fn patiently<R>(mut call: impl FnMut() -> (R, i16)) -> R {
    eventually("the coordinator answers", || {
        let (response, error) = call();
        (![COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR].contains(&error))
            .then_some(response)
    })
}

/// A member of the classic protocol.
struct ClassicMember {
    id: StrBytes,
    generation: i32,
    instance: Option<&'static str>,
}

impl ClassicMember {
    fn new(instance: Option<&'static str>) -> Self {
        Self { id: text(""), generation: -1, instance }
    }

    fn try_join(&mut self, wire: &mut Wire, owned: &[i32]) -> JoinGroupResponse {
        let protocol =
            JoinGroupRequestProtocol::default().with_name(text("range")).with_metadata(subscription("t", owned));
        let request = JoinGroupRequest::default()
            .with_group_id(text("g").into())
            .with_session_timeout_ms(30_000)
            .with_rebalance_timeout_ms(30_000)
            .with_member_id(self.id.clone())
            .with_group_instance_id(self.instance.map(text))
            .with_protocol_type(text("consumer"))
            .with_protocols(vec![protocol]);
        patiently(|| {
            let response = wire.call(5, &request).expect("an answer");
            let error = response.error_code;
            (response, error)
        })
    }

    #[track_caller]
    fn join(&mut self, wire: &mut Wire, owned: &[i32]) -> JoinGroupResponse {
        let mut response = self.try_join(wire, owned);
        if response.error_code == MEMBER_ID_REQUIRED {
            self.id = response.member_id.clone();
            response = self.try_join(wire, owned);
        }
        assert_eq!(response.error_code, 0);
        self.id = response.member_id.clone();
        self.generation = response.generation_id;
        response
    }

    /// The partitions of the topic that the member is given; as the leader it gives itself all four.
    fn sync(&self, wire: &mut Wire, leads: bool) -> (i16, Vec<i32>) {
        let mine = kafka_protocol::messages::consumer_protocol_assignment::TopicPartition::default()
            .with_topic(name("t"))
            .with_partitions(vec![0, 1, 2, 3]);
        let all = with_version(&ConsumerProtocolAssignment::default().with_assigned_partitions(vec![mine]));
        let given = SyncGroupRequestAssignment::default().with_member_id(self.id.clone()).with_assignment(all);
        let request = SyncGroupRequest::default()
            .with_group_id(text("g").into())
            .with_generation_id(self.generation)
            .with_member_id(self.id.clone())
            .with_group_instance_id(self.instance.map(text))
            .with_protocol_type(Some(text("consumer")))
            .with_protocol_name(Some(text("range")))
            .with_assignments(if leads { vec![given] } else { Vec::new() });
        let response = wire.call(5, &request).expect("an answer");
        if response.assignment.is_empty() {
            return (response.error_code, Vec::new());
        }
        let read = ConsumerProtocolAssignment::decode(&mut response.assignment.slice(2..), 1).expect("it decodes");
        let mut partitions: Vec<i32> =
            read.assigned_partitions.into_iter().flat_map(|topic| topic.partitions).collect();
        partitions.sort_unstable();
        (response.error_code, partitions)
    }

    fn beat(&self, wire: &mut Wire) -> i16 {
        let request = HeartbeatRequest::default()
            .with_group_id(text("g").into())
            .with_generation_id(self.generation)
            .with_member_id(self.id.clone())
            .with_group_instance_id(self.instance.map(text));
        wire.call(4, &request).expect("an answer").error_code
    }

    fn leave(&self, wire: &mut Wire) -> i16 {
        let member = MemberIdentity::default().with_member_id(self.id.clone());
        let request = LeaveGroupRequest::default().with_group_id(text("g").into()).with_members(vec![member]);
        let response = wire.call(5, &request).expect("an answer");
        if response.error_code != 0 { response.error_code } else { response.members[0].error_code }
    }
}

fn consumer(wire: &mut Wire, member: &str, epoch: i32, instance: Option<&str>) -> ConsumerGroupHeartbeatResponse {
    let mut request = ConsumerGroupHeartbeatRequest::default()
        .with_group_id(text("g").into())
        .with_member_id(text(member))
        .with_member_epoch(epoch)
        .with_instance_id(instance.map(text))
        .with_rebalance_timeout_ms(-1)
        .with_subscribed_topic_names(None)
        .with_topic_partitions(None);
    if epoch == 0 {
        request = request
            .with_rebalance_timeout_ms(30_000)
            .with_subscribed_topic_names(Some(vec![name("t")]))
            .with_topic_partitions(Some(Vec::new()));
    }
    patiently(|| {
        let response = wire.call(1, &request).expect("an answer");
        let error = response.error_code;
        (response, error)
    })
}

fn given(response: &ConsumerGroupHeartbeatResponse) -> Option<usize> {
    let assignment = response.assignment.as_ref()?;
    Some(assignment.topic_partitions.iter().map(|topic| topic.partitions.len()).sum())
}

/// Error, state, and which protocol each member speaks.
fn describe(wire: &mut Wire) -> (i16, String, BTreeMap<String, i8>) {
    let request = ConsumerGroupDescribeRequest::default().with_group_ids(vec![text("g").into()]);
    let group = wire.call(1, &request).expect("an answer").groups[0].clone();
    let members = group.members.iter().map(|member| (member.member_id.to_string(), member.member_type));
    (group.error_code, group.group_state.to_string(), members.collect())
}

/// A classic group of one member that has all four partitions.
fn classic_group(wire: &mut Wire) -> Result<ClassicMember> {
    wire.create_topic("t", 4, &[])?;
    let mut member = ClassicMember::new(None);
    member.join(wire, &[]);
    assert_eq!(member.sync(wire, true), (0, vec![0, 1, 2, 3]));
    assert_eq!(member.beat(wire), 0);
    Ok(member)
}

#[test]
fn a_group_is_upgraded_and_downgraded_with_its_members() -> Result<()> {
    let node = node(&[]);
    let mut wire = node.wire();
    let mut classic = classic_group(&mut wire)?;
    assert_eq!(classic.generation, 1);

    let joined = consumer(&mut wire, "m", 0, None);
    assert_eq!(
        (joined.error_code, joined.member_epoch, given(&joined)),
        (0, 2, Some(0)),
        "{:?}",
        joined.error_message
    );
    let (error, state, members) = describe(&mut wire);
    assert_eq!((error, &*state), (0, "Reconciling"));
    assert_eq!(members, BTreeMap::from([("m".to_owned(), CONSUMER), (classic.id.to_string(), CLASSIC)]));

    // The classic member is told to join again, keeps what it keeps, and has to give up the rest first.
    assert_eq!(classic.beat(&mut wire), REBALANCE_IN_PROGRESS);
    let again = classic.join(&mut wire, &[0, 1, 2, 3]);
    assert_eq!((again.generation_id, again.protocol_name.as_deref(), again.members.len()), (1, Some("range"), 0));
    let (error, kept) = classic.sync(&mut wire, false);
    assert_eq!((error, kept.len()), (0, 2));
    assert_eq!(consumer(&mut wire, "m", 2, None).assignment, None, "not given up yet");
    assert_eq!(classic.beat(&mut wire), REBALANCE_IN_PROGRESS, "it joins again without them");
    classic.join(&mut wire, &kept);
    assert_eq!(classic.generation, 2);
    assert_eq!(classic.sync(&mut wire, false), (0, kept));
    assert_eq!(classic.beat(&mut wire), 0);
    let new = consumer(&mut wire, "m", 2, None);
    assert_eq!((new.error_code, given(&new)), (0, Some(2)));
    assert_eq!(describe(&mut wire).1, "Stable");
    let stale = ClassicMember { id: classic.id.clone(), generation: 1, instance: None };
    assert_eq!(stale.beat(&mut wire), ILLEGAL_GENERATION);
    assert_eq!(stale.sync(&mut wire, false).0, ILLEGAL_GENERATION);
    let other = ClassicMember { id: text("m"), generation: 2, instance: None };
    assert_eq!(other.beat(&mut wire), UNKNOWN_MEMBER_ID, "a member of the consumer protocol");

    // The last member of the consumer protocol goes: a classic group again, that rebalances.
    assert_eq!(consumer(&mut wire, "m", -1, None).error_code, 0);
    assert_eq!(describe(&mut wire).0, GROUP_ID_NOT_FOUND);
    assert_eq!(classic.beat(&mut wire), REBALANCE_IN_PROGRESS);
    let leader = classic.join(&mut wire, &[]);
    assert_eq!((leader.generation_id, leader.leader.clone()), (3, classic.id.clone()));
    assert_eq!(classic.sync(&mut wire, true), (0, vec![0, 1, 2, 3]));
    assert_eq!(classic.beat(&mut wire), 0);
    assert_eq!(classic.leave(&mut wire), 0);
    Ok(())
}

#[test]
fn a_static_member_changes_its_protocol_and_keeps_what_it_has() -> Result<()> {
    let node = node(&[]);
    let mut wire = node.wire();
    wire.create_topic("t", 4, &[])?;
    let mut classic = ClassicMember::new(Some("i"));
    classic.join(&mut wire, &[]);
    assert_eq!(classic.sync(&mut wire, true), (0, vec![0, 1, 2, 3]));
    let upgraded = consumer(&mut wire, "m", 0, Some("i"));
    assert_eq!((upgraded.error_code, given(&upgraded)), (0, Some(4)), "{:?}", upgraded.error_message);
    assert_eq!(describe(&mut wire).2, BTreeMap::from([("m".to_owned(), CONSUMER)]));

    let mut back = ClassicMember::new(Some("i"));
    back.join(&mut wire, &[]);
    assert_eq!(back.sync(&mut wire, false), (0, vec![0, 1, 2, 3]));
    assert_eq!(describe(&mut wire).0, GROUP_ID_NOT_FOUND, "a classic group");
    assert_eq!(back.beat(&mut wire), 0);
    Ok(())
}

#[test]
fn empty_groups_change_their_protocol_freely() -> Result<()> {
    let node = node(&[("group.consumer.migration.policy", "disabled")]);
    let mut wire = node.wire();
    let classic = classic_group(&mut wire)?;
    let refused = consumer(&mut wire, "m", 0, None);
    assert_eq!(refused.error_code, GROUP_ID_NOT_FOUND, "members stay and may not be migrated");
    assert_eq!(classic.leave(&mut wire), 0);
    let joined = consumer(&mut wire, "m", 0, None);
    assert_eq!((joined.error_code, given(&joined)), (0, Some(4)), "{:?}", joined.error_message);
    let mut late = ClassicMember::new(None);
    assert_eq!(late.try_join(&mut wire, &[]).error_code, INCONSISTENT_GROUP_PROTOCOL);
    assert_eq!(consumer(&mut wire, "m", -1, None).error_code, 0);
    late.join(&mut wire, &[]);
    assert_eq!(late.sync(&mut wire, true).0, 0);
    assert_eq!(describe(&mut wire).0, GROUP_ID_NOT_FOUND);
    Ok(())
}

/// A group half way through its migration survives the coordinator.
#[test]
fn a_mixed_group_stays_over_a_restart() -> Result<()> {
    let mut node = node(&[]);
    let mut wire = node.wire();
    let classic = classic_group(&mut wire)?;
    assert_eq!(consumer(&mut wire, "m", 0, None).error_code, 0);
    let before = describe(&mut wire);
    node.kill_and_restart();
    let mut wire = node.wire();
    let response = consumer(&mut wire, "m", 2, None);
    assert_eq!((response.error_code, response.member_epoch), (0, 2), "{:?}", response.error_message);
    assert_eq!(describe(&mut wire), before);
    assert_eq!(classic.beat(&mut wire), REBALANCE_IN_PROGRESS);
    Ok(())
}
