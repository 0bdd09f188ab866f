//! One rule of the protocol each.

use super::harness::{World, joining, request, text};
use crate::coordinator::group::consumer::*;
use crate::error::ErrorCode;
use crate::protocol::wire::messages::ConsumerGroupHeartbeatRequest;
use crate::protocol::wire::messages::consumer_group_heartbeat_request::TopicPartitions;

#[track_caller]
fn check(member_id_required: bool, change: impl FnOnce(&mut ConsumerGroupHeartbeatRequest), expected: ErrorCode) {
    let mut request = joining("m", &["t1"]);
    change(&mut request);
    let checked = check_heartbeat(&request, member_id_required, &Settings::default().assignors);
    assert_eq!(checked.err().map_or(ErrorCode::None, |error| error.code()), expected);
}

#[test]
fn requests_are_checked_by_themselves() {
    use ErrorCode::{InvalidRequest, None as Fine, UnsupportedAssignor};
    check(true, |_| {}, Fine);
    check(true, |request| request.member_id = "".into(), InvalidRequest);
    check(false, |request| request.member_id = "".into(), Fine);
    check(false, |request| (request.member_id, request.member_epoch) = ("".into(), 1), InvalidRequest);
    check(false, |request| (request.member_id, request.member_epoch) = ("".into(), -1), InvalidRequest);
    check(true, |request| request.group_id = text("  ").unwrap().into(), InvalidRequest);
    check(true, |request| request.instance_id = text(""), InvalidRequest);
    check(true, |request| request.rack_id = text(" "), InvalidRequest);
    check(true, |request| request.rebalance_timeout_ms = -1, InvalidRequest);
    check(true, |request| request.topic_partitions = None, InvalidRequest);
    check(true, |request| request.topic_partitions = Some(vec![TopicPartitions::default()]), InvalidRequest);
    check(true, |request| request.subscribed_topic_names = None, InvalidRequest);
    check(true, |request| request.subscribed_topic_names = Some(Vec::new()), Fine);
    check(true, |request| (request.subscribed_topic_names, request.subscribed_topic_regex) = (None, text("")), Fine);
    check(true, |request| request.member_epoch = -2, InvalidRequest);
    check(true, |request| (request.member_epoch, request.instance_id) = (-2, text("i")), Fine);
    check(true, |request| request.member_epoch = -3, InvalidRequest);
    check(true, |request| request.server_assignor = text("range"), Fine);
    check(true, |request| request.server_assignor = text("sticky"), UnsupportedAssignor);
}

/// A heartbeat that changes nothing decides nothing: no record, no timer, no soft change.
#[test]
fn a_steady_heartbeat_emits_nothing() {
    let mut world = World::new();
    world.set_topic("t1", 3);
    let joined = world.heartbeat(&joining("a", &["t1"])).unwrap();
    let settings = world.settings.clone();
    for full in [false, true] {
        let mut request = if full { joining("a", &["t1"]) } else { request("a", 0) };
        request.member_epoch = joined.member_epoch;
        let input =
            Heartbeat { request: &request, client: Client { id: "client", host: "/127.0.0.1" }, new_member_id: "" };
        let outcome = heartbeat(world.group(), &input, &world.context(&settings)).unwrap();
        assert!(outcome.records.is_empty() && outcome.soft.is_empty() && outcome.timers.is_empty());
        assert_eq!(outcome.resolve, None);
        assert_eq!(outcome.reply.assignment.is_some(), full, "a full request has a full answer");
    }
}

#[test]
fn commits_and_fetches_are_fenced() {
    let mut world = World::new();
    world.set_topic("t1", 2);
    let first = world.heartbeat(&joining("a", &["t1"])).unwrap().member_epoch;
    let topic = world.topics.id("t1");
    // The second member moves the first into the next epoch, with one partition less.
    world.heartbeat(&joining("b", &["t1"])).unwrap();
    world.heartbeat(&request("a", first)).unwrap();
    let mut released = request("a", first);
    released.topic_partitions = Some(Vec::new());
    let second = world.heartbeat(&released).unwrap().member_epoch;
    assert_eq!(second, first + 1);
    let kept = world.group().member("a").unwrap().assigned.iter().next().unwrap().1;

    let group = world.group();
    let commit = |member_id: &'static str, member_epoch: i32, knows_member_epochs: bool| {
        let committer =
            Committer { member_id, instance_id: None, member_epoch, is_transactional: false, knows_member_epochs };
        group.check_commit(&committer).map_err(|error| error.code())
    };
    assert!(matches!(commit("a", second, true), Ok(CommitScope::All)));
    assert_eq!(commit("a", second, false).unwrap_err(), ErrorCode::UnsupportedVersion);
    assert_eq!(commit("a", second + 1, true).unwrap_err(), ErrorCode::StaleMemberEpoch);
    assert_eq!(commit("x", second, true).unwrap_err(), ErrorCode::UnknownMemberId);
    assert_eq!(commit("", -1, true).unwrap_err(), ErrorCode::UnknownMemberId);
    let scope = commit("a", first, true).unwrap();
    assert_eq!(scope.check(topic, kept), Ok(()), "it has it since then");
    assert_eq!(scope.check(topic, 1 - kept).unwrap_err().code(), ErrorCode::StaleMemberEpoch);
    assert_eq!(scope.check(None, 0).unwrap_err().code(), ErrorCode::StaleMemberEpoch);
    let scope = commit("a", first - 1, true).unwrap();
    assert_eq!(scope.check(topic, kept).unwrap_err().code(), ErrorCode::StaleMemberEpoch);

    assert_eq!(group.check_fetch(None, -1), Ok(()));
    assert_eq!(group.check_fetch(Some("a"), second), Ok(()));
    assert_eq!(group.check_fetch(Some("a"), first).unwrap_err().code(), ErrorCode::StaleMemberEpoch);
    assert_eq!(group.check_fetch(Some("x"), first).unwrap_err().code(), ErrorCode::UnknownMemberId);

    let transactional = Committer {
        member_id: "",
        instance_id: None,
        member_epoch: -1,
        is_transactional: true,
        knows_member_epochs: false,
    };
    assert!(matches!(group.check_commit(&transactional), Ok(CommitScope::All)));
}

/// Members that join one after the other, and then all beat: the work for one does not grow with the square of all.
#[test]
fn a_thousand_members() {
    let mut world = World::new();
    world.settings.assignment_interval_ms = 1_000;
    world.checks = false;
    for topic in 0..100 {
        world.set_topic(&format!("t{topic}"), 100);
    }
    let topics: Vec<String> = (0..100).map(|topic| format!("t{topic}")).collect();
    let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
    for member in 0..1000 {
        world.heartbeat(&joining(&format!("m{member:03}"), &topics)).unwrap();
    }
    for _ in 0..3 {
        world.wait(std::time::Duration::from_secs(1));
        for member in 0..1000 {
            let id = format!("m{member:03}");
            let known = world.group().member(&id).unwrap();
            let mut beat = request(&id, known.member_epoch);
            let owned = known.assigned.iter().map(|(topic, partition, _)| (topic, partition)).collect();
            beat.topic_partitions = Some(super::harness::owned(&owned));
            world.heartbeat(&beat).unwrap();
        }
    }
    assert_eq!(world.group().state(), GroupState::Stable);
    assert!(world.group().members().all(|member| member.assigned.len() == 10));
}
