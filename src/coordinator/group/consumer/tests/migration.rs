//! Groups that change from one protocol to the other, with members that stay.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use super::harness::{World, joining, request};
use crate::config::ConsumerMigrationPolicy;
use crate::coordinator::group::classic::{self, ClassicGroup, Join, JoinReply, Protocol, Protocols};
use crate::coordinator::group::consumer::*;
use crate::coordinator::group::records::{GroupMember, GroupMetadataValue, GroupRecord};
use crate::error::ErrorCode;
use crate::ids::{PartitionIndex, TopicId};
use crate::protocol::wire::messages::consumer_protocol_assignment::TopicPartition as Assigned;
use crate::protocol::wire::messages::consumer_protocol_subscription::TopicPartition as Owned;
use crate::protocol::wire::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use crate::protocol::wire::protocol::{Decodable, Encodable, StrBytes};

const VERSION: i16 = 1;

fn wire(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn subscription(topics: &[&str], owned: &[(&str, &[PartitionIndex])]) -> Bytes {
    let mut subscription = ConsumerProtocolSubscription::default();
    subscription.topics = topics.iter().map(|topic| wire(topic)).collect();
    subscription.owned_partitions = owned
        .iter()
        .map(|(topic, partitions)| {
            let mut owned = Owned::default();
            owned.topic = wire(topic).into();
            owned.partitions = partitions.to_vec();
            owned
        })
        .collect();
    with_version(&subscription)
}

fn assignment(topic: &str, partitions: &[PartitionIndex]) -> Bytes {
    let mut assigned = Assigned::default();
    assigned.topic = wire(topic).into();
    assigned.partitions = partitions.to_vec();
    let mut assignment = ConsumerProtocolAssignment::default();
    assignment.assigned_partitions = vec![assigned];
    with_version(&assignment)
}

fn with_version(message: &impl Encodable) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i16(VERSION);
    message.encode(&mut bytes, VERSION).unwrap();
    bytes.freeze()
}

/// Topics and partitions of a SyncGroup's answer.
fn read(assignment: &Bytes) -> Vec<(String, Vec<PartitionIndex>)> {
    let read = ConsumerProtocolAssignment::decode(&mut assignment.slice(2..), VERSION).unwrap();
    read.assigned_partitions.into_iter().map(|topic| (topic.topic.to_string(), topic.partitions)).collect()
}

/// A classic group of consumers in generation 7: `a` has t-0 and t-1, `b` has t-2 and t-3.
fn classic_group(protocol_type: &str) -> ClassicGroup {
    let member = |id: &str, partitions: &[PartitionIndex]| GroupMember {
        member_id: id.to_owned(),
        group_instance_id: None,
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        rebalance_timeout_ms: 10_000,
        session_timeout_ms: 20_000,
        subscription: subscription(&["t"], &[]),
        assignment: assignment("t", partitions),
    };
    ClassicGroup::from_record(GroupMetadataValue {
        protocol_type: protocol_type.to_owned(),
        generation: 7,
        protocol: Some("range".to_owned()),
        leader: Some("a".to_owned()),
        current_state_timestamp_ms: 1,
        members: vec![member("a", &[0, 1]), member("b", &[2, 3])],
    })
}

/// A world whose group has just been upgraded by the member `new`.
fn upgraded() -> World {
    let mut world = World::new();
    world.set_topic("t", 4);
    let settings = world.settings.clone();
    let (group, records) = upgrade(&"g".into(), &classic_group("consumer"), &world.context(&settings)).unwrap();
    assert!(matches!(records[0], GroupRecord::GroupMetadata(_, None)), "the classic group is deleted first");
    let joining = joining("new", &["t"]);
    let input =
        Heartbeat { request: &joining, client: Client { id: "client", host: "/127.0.0.1" }, new_member_id: "" };
    let mut outcome = heartbeat(&group, &input, &world.context(&settings)).unwrap();
    outcome.records.splice(0..0, records.into_iter().skip(1));
    let (soft, timers) = group.on_loaded(world.now, 0, &settings);
    outcome.soft.splice(0..0, soft);
    outcome.timers.splice(0..0, timers);
    let reply = world.run(outcome).unwrap();
    assert_eq!((reply.member_epoch, reply.assignment.unwrap().len()), (8, 0), "others have everything");
    world
}

fn join(member_id: &str, instance_id: Option<&str>, metadata: Bytes) -> Join {
    Join {
        member_id: member_id.into(),
        new_member_id: "made".into(),
        instance_id: instance_id.map(Arc::from),
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        protocol_type: "consumer".into(),
        protocols: Protocols::new([Protocol { name: "range".into(), metadata }]),
        session_timeout_ms: 20_000,
        rebalance_timeout_ms: 10_000,
        requires_known_member_id: true,
        supports_skipping_assignment: true,
        reason: None,
    }
}

fn joined(world: &mut World, join: &Join) -> JoinReply {
    let settings = world.settings.clone();
    match classic_join(world.group(), join, &world.context(&settings)).unwrap() {
        Joined::Here(outcome) => world.run(outcome).unwrap(),
        Joined::Downgrade(_) => panic!("a member of the consumer protocol is there"),
    }
}

fn sync(world: &mut World, member_id: &str, generation_id: i32) -> classic::SyncReply {
    let sync = classic::Sync {
        generation_id,
        member_id: member_id.into(),
        instance_id: None,
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        assignments: Vec::new(),
    };
    let settings = world.settings.clone();
    let outcome = classic_sync(world.group(), &sync, &world.context(&settings));
    world.run(outcome).unwrap()
}

fn classic_beat(world: &mut World, member_id: &str, generation_id: i32) -> ErrorCode {
    let beat = classic::Heartbeat { generation_id, member_id: member_id.into(), instance_id: None };
    let settings = world.settings.clone();
    let outcome = classic_heartbeat(world.group(), &beat, &world.context(&settings));
    world.run(outcome).unwrap()
}

#[test]
fn a_classic_group_is_upgraded_with_its_members() {
    let world = upgraded();
    let group = world.group();
    let a = group.member("a").unwrap();
    assert_eq!((a.member_epoch, a.assigned.len(), a.uses_classic_protocol()), (7, 2, true));
    assert_eq!((group.group_epoch(), group.assignment_epoch(), group.member_count()), (8, 8, 3));
    world.check_replay();
}

#[test]
fn what_cannot_be_upgraded() {
    let mut world = World::new();
    world.set_topic("t", 4);
    let refused = |world: &World, group: &ClassicGroup, settings: &Settings| {
        upgrade(&"g".into(), group, &world.context(settings)).map(|_| ()).unwrap_err().code()
    };
    let settings = world.settings.clone();
    assert_eq!(refused(&world, &classic_group("connect"), &settings), ErrorCode::GroupIdNotFound);
    let small = Settings { max_size: 1, ..settings.clone() };
    assert_eq!(refused(&world, &classic_group("consumer"), &small), ErrorCode::GroupIdNotFound);
    for policy in [ConsumerMigrationPolicy::Disabled, ConsumerMigrationPolicy::Downgrade] {
        let forbidden = Settings { migration_policy: policy, ..settings.clone() };
        assert_eq!(refused(&world, &classic_group("consumer"), &forbidden), ErrorCode::GroupIdNotFound);
    }
}

/// Classic members give partitions up and get new ones by joining again when a heartbeat says so.
#[test]
fn classic_members_reconcile_by_joining_again() {
    let mut world = upgraded();
    for (member, has) in [("a", [0, 1]), ("b", [2, 3])] {
        assert_eq!(classic_beat(&mut world, member, 7), ErrorCode::RebalanceInProgress);
        // It still has too much: it is told what it keeps, and joins again without the rest.
        let reply = joined(&mut world, &join(member, None, subscription(&["t"], &[("t", &has)])));
        let keeps = read(&sync(&mut world, member, reply.generation_id).assignment).remove(0).1;
        assert!(keeps.len() < 2 || keeps == has, "{keeps:?}");
        if classic_beat(&mut world, member, reply.generation_id) == ErrorCode::RebalanceInProgress {
            let reply = joined(&mut world, &join(member, None, subscription(&["t"], &[("t", &keeps)])));
            assert_eq!(reply.generation_id, 8);
            assert_eq!(read(&sync(&mut world, member, 8).assignment).remove(0).1, keeps);
        }
        assert_eq!(classic_beat(&mut world, member, 8), ErrorCode::None);
        assert_eq!(classic_beat(&mut world, member, 7), ErrorCode::IllegalGeneration);
    }
    let mut beat = request("new", 8);
    beat.topic_partitions = Some(Vec::new());
    let given = world.heartbeat(&beat).unwrap().assignment.unwrap();
    assert_eq!(given.len(), 1);
    assert_eq!(world.group().state(), GroupState::Stable);
    assert_eq!(sync(&mut world, "a", 7).error, ErrorCode::IllegalGeneration);
    assert_eq!(
        sync(&mut world, "new", 8).error,
        ErrorCode::UnknownMemberId,
        "it does not speak the classic protocol"
    );
    assert_eq!(classic_beat(&mut world, "new", 8), ErrorCode::UnknownMemberId);
    world.check_replay();
}

#[test]
fn who_may_join_by_the_classic_protocol() {
    let mut world = upgraded();
    let unknown = joined(&mut world, &join("", None, subscription(&["t"], &[])));
    assert_eq!((unknown.error, &*unknown.member_id), (ErrorCode::MemberIdRequired, "made"));
    let settings = world.settings.clone();
    let refused = |join: &Join, settings: &Settings| {
        classic_join(world.group(), join, &world.context(settings)).map(|_| ()).unwrap_err().code()
    };
    let fine = join("c", None, subscription(&["t"], &[]));
    let other_type = Join { protocol_type: "connect".into(), ..fine.clone() };
    assert_eq!(refused(&other_type, &settings), ErrorCode::InconsistentGroupProtocol);
    let foreign = Protocol { name: "sticky".into(), metadata: subscription(&["t"], &[]) };
    let other_protocol = Join { protocols: Protocols::new([foreign]), ..fine.clone() };
    assert_eq!(refused(&other_protocol, &settings), ErrorCode::InconsistentGroupProtocol);
    let garbage = join("c", None, Bytes::from_static(b"\0"));
    assert_eq!(refused(&garbage, &settings), ErrorCode::InconsistentGroupProtocol);
    let disabled = Settings { migration_policy: ConsumerMigrationPolicy::Disabled, ..settings.clone() };
    assert_eq!(refused(&fine, &disabled), ErrorCode::InconsistentGroupProtocol);
    let full = Settings { max_size: 3, ..settings };
    assert_eq!(refused(&fine, &full), ErrorCode::GroupMaxSizeReached);
}

#[test]
fn a_classic_member_that_does_not_come_back_goes() {
    let mut world = upgraded();
    assert_eq!(classic_beat(&mut world, "a", 7), ErrorCode::RebalanceInProgress);
    world.wait(std::time::Duration::from_secs(5));
    assert_eq!(classic_beat(&mut world, "a", 7), ErrorCode::RebalanceInProgress, "told again, with no more time");
    world.wait(std::time::Duration::from_millis(4_999));
    assert!(world.fenced.is_empty());
    world.wait(std::time::Duration::from_millis(1));
    assert_eq!(world.fenced, ["a".into()]);
    // One that joins and does not sync goes as well.
    joined(&mut world, &join("b", None, subscription(&["t"], &[])));
    world.wait(std::time::Duration::from_secs(10));
    assert_eq!(world.fenced, ["a".into(), "b".into()]);
}

/// The last member of the consumer protocol goes: the classic group has the members that stay, with what they had.
#[test]
fn a_group_is_downgraded_when_only_classic_members_stay() {
    let world = upgraded();
    let settings = world.settings.clone();
    let leaving = request("new", LEAVING_EPOCH);
    let Leave::Downgrade { leaving, .. } = leave(world.group(), &leaving, &world.context(&settings)).unwrap() else {
        panic!("only classic members stay");
    };
    assert_eq!(leaving, BTreeSet::from(["new".into()]));
    let downgrade = downgrade_without(world.group(), &leaving, &world.context(&settings));
    assert_eq!(downgrade.generation_id, 8);
    assert!(downgrade.rebalance.is_some());
    assert!(matches!(downgrade.records.last(), Some(GroupRecord::ConsumerGroupMetadata(_, None))));
    let members: Vec<&str> = downgrade.members.iter().map(|member| &*member.member_id).collect();
    assert_eq!(members, ["a", "b"]);
    let target: BTreeSet<(TopicId, PartitionIndex)> = world.group().target("a").unwrap().iter().collect();
    let written = read(&downgrade.members[0].assignment).remove(0).1;
    assert_eq!(written, target.iter().map(|(_, partition)| *partition).collect::<Vec<_>>());

    let kept = Settings { migration_policy: ConsumerMigrationPolicy::Upgrade, ..settings };
    let leaving = request("new", LEAVING_EPOCH);
    assert!(matches!(leave(world.group(), &leaving, &world.context(&kept)).unwrap(), Leave::Removed(_)));
}

/// A static member that comes back by the classic protocol in the place of the last one of the consumer protocol.
#[test]
fn a_group_is_downgraded_when_the_last_member_is_replaced() {
    let mut world = World::new();
    world.set_topic("t", 2);
    let mut joining = joining("modern", &["t"]);
    joining.instance_id = super::harness::text("i");
    world.heartbeat(&joining).unwrap();
    let settings = world.settings.clone();
    let classic = join("", Some("i"), subscription(&["t"], &[]));
    let Joined::Downgrade(last) = classic_join(world.group(), &classic, &world.context(&settings)).unwrap() else {
        panic!("nobody of the consumer protocol stays");
    };
    let downgrade = downgrade_with(world.group(), &last, &world.context(&settings));
    assert_eq!(downgrade.rebalance, None, "the same subscription: nothing changes");
    assert_eq!(downgrade.members.len(), 1);
    assert_eq!((&*downgrade.members[0].member_id, downgrade.members[0].instance_id.as_deref()), ("made", Some("i")));
    assert_eq!(read(&downgrade.members[0].assignment), [("t".to_owned(), vec![0, 1])]);
    // All records of the member are gone in the end, under either name.
    let mut group = world.group().clone();
    let mut deleted = false;
    for record in downgrade.records {
        assert!(!deleted, "nothing comes behind the end of the group");
        deleted = group.apply(record) == Applied::Deleted;
    }
    assert!(deleted && group.is_empty());
    let reply = last.into_reply();
    assert_eq!((reply.error, &*reply.member_id), (ErrorCode::None, "made"));
}

#[test]
fn anybody_may_be_taken_out_by_leave_group() {
    let mut world = upgraded();
    let asked =
        |member_id: &str| classic::LeavingMember { member_id: member_id.into(), instance_id: None, reason: None };
    let settings = world.settings.clone();
    let request = classic::Leave { members: vec![asked("a"), asked("nobody")] };
    let Leave::Removed(outcome) = classic_leave(world.group(), &request, &world.context(&settings)) else {
        panic!("a member of the consumer protocol stays");
    };
    let reply = world.run(outcome).unwrap();
    let errors: Vec<ErrorCode> = reply.members.iter().map(|member| member.error).collect();
    assert_eq!(errors, [ErrorCode::None, ErrorCode::UnknownMemberId]);
    // By LeaveGroup a member of the consumer protocol can be taken out as well; then only a classic one stays.
    let request = classic::Leave { members: vec![asked("new"), asked("new")] };
    let Leave::Downgrade { leaving, reply } = classic_leave(world.group(), &request, &world.context(&settings))
    else {
        panic!("only a classic member stays");
    };
    assert_eq!((leaving.len(), reply.members.len()), (1, 2));
    world.check_replay();
}
