//! Classic groups over the wire: every error one by one, every version, static members, restarts.

use anyhow::Result;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, FindCoordinatorRequest, HeartbeatRequest, JoinGroupRequest,
    LeaveGroupRequest, ListGroupsRequest, SyncGroupRequest,
};
use ottla_compat_tests::classic_member::{
    ClassicMember, JOIN_VERSION, LEAVE_VERSION, SYNC_VERSION, assignment, coordinator, describe, form, form_again,
    group_id, heartbeat_request, join_request, leave_request, protocol, sync, sync_request,
};
use ottla_compat_tests::wait::eventually;
use ottla_compat_tests::wire::{Wire, encode, text};
use ottla_compat_tests::{Node, only_ottla};

const NONE: i16 = 0;
const ILLEGAL_GENERATION: i16 = 22;
const INCONSISTENT_GROUP_PROTOCOL: i16 = 23;
const INVALID_GROUP_ID: i16 = 24;
const UNKNOWN_MEMBER_ID: i16 = 25;
const INVALID_SESSION_TIMEOUT: i16 = 26;
const REBALANCE_IN_PROGRESS: i16 = 27;
const INVALID_REQUEST: i16 = 42;
const NON_EMPTY_GROUP: i16 = 68;
const GROUP_ID_NOT_FOUND: i16 = 69;
const MEMBER_ID_REQUIRED: i16 = 79;
const GROUP_MAX_SIZE_REACHED: i16 = 81;
const FENCED_INSTANCE_ID: i16 = 82;

const NO_DELAY: (&str, &str) = ("group.initial.rebalance.delay.ms", "0");

fn start(properties: &[(&str, &str)]) -> (Node, Wire) {
    let node = Node::with(&[&[NO_DELAY], properties].concat());
    let wire = coordinator(&node, "g");
    (node, wire)
}

fn members(node: &Node, group: &str, count: usize) -> Vec<ClassicMember> {
    drop(coordinator(node, group));
    (0..count).map(|_| ClassicMember::new(node, group)).collect()
}

/// A stable group.
fn formed(node: &Node, group: &str, count: usize) -> Result<Vec<ClassicMember>> {
    let mut members = members(node, group, count);
    form(&mut members)?;
    Ok(members)
}

#[test]
fn coordinators_are_named_in_the_order_of_the_keys() -> Result<()> {
    let (_node, mut wire) = start(&[]);
    let keys = vec![text("b"), text("c"), text("a")];
    let request = FindCoordinatorRequest::default().with_coordinator_keys(keys.clone());
    let found = wire.call(4, &request)?.coordinators;
    assert_eq!(found.iter().map(|found| found.key.clone()).collect::<Vec<_>>(), keys);
    assert!(found.iter().all(|found| found.error_code == NONE));
    Ok(())
}

#[test]
fn only_keys_of_share_partitions_have_a_share_coordinator() -> Result<()> {
    const SHARE: i8 = 2;
    let (_node, mut wire) = start(&[]);
    let key = "g:AAAAAAAAAAAAAAAAAAAAAQ:0";
    let keys = [key, "g", "g:topic:0", " :AAAAAAAAAAAAAAAAAAAAAQ:0", "g:AAAAAAAAAAAAAAAAAAAAAQ:x"];
    let request = FindCoordinatorRequest::default().with_key_type(SHARE);
    let request = request.with_coordinator_keys(keys.map(text).to_vec());
    let mut errors = |version| -> Result<Vec<i16>> {
        let found = wire.call(version, &request)?.coordinators;
        Ok(found.into_iter().map(|found| found.error_code).collect())
    };
    assert_eq!(errors(5)?, [INVALID_REQUEST; 5], "before there were any");
    eventually("the share coordinator", || (errors(6).ok()?[0] == NONE).then_some(()));
    assert_eq!(errors(6)?[1..], [INVALID_REQUEST; 4]);
    Ok(())
}

#[test]
fn joining_is_refused_for_each_reason() -> Result<()> {
    let (node, mut wire) = start(&[("group.max.size", "2")]);
    let mut refused = |version: i16, request: &JoinGroupRequest| -> Result<i16> {
        let response = wire.call(version, request)?;
        assert_eq!(response.generation_id, -1);
        assert!(response.members.is_empty());
        Ok(response.error_code)
    };
    for version in 0..=JOIN_VERSION {
        assert_eq!(refused(version, &join_request("", ""))?, INVALID_GROUP_ID);
        for session_timeout_ms in [0, 5_999, 1_800_001] {
            let request = join_request("g", "").with_session_timeout_ms(session_timeout_ms);
            assert_eq!(refused(version, &request)?, INVALID_SESSION_TIMEOUT, "{session_timeout_ms} ms");
        }
        assert_eq!(refused(version, &join_request("g", "nobody"))?, UNKNOWN_MEMBER_ID);
        let typeless = join_request("g", "").with_protocol_type(text(""));
        assert_eq!(refused(version, &typeless)?, INCONSISTENT_GROUP_PROTOCOL);
        let speechless = join_request("g", "").with_protocols(Vec::new());
        assert_eq!(refused(version, &speechless)?, INCONSISTENT_GROUP_PROTOCOL);
        if version >= 4 {
            let given = join_request("g", "").with_session_timeout_ms(6_000);
            assert_eq!(refused(version, &given)?, MEMBER_ID_REQUIRED);
        }
    }
    let mut group = formed(&node, "g", 2)?;
    let known = group[0].member_id.clone();
    assert_eq!(refused(9, &join_request("g", ""))?, GROUP_MAX_SIZE_REACHED);
    assert_eq!(refused(9, &join_request("g", "nobody"))?, GROUP_MAX_SIZE_REACHED);
    group[1].leave()?;
    assert_eq!(refused(9, &join_request("g", "nobody"))?, UNKNOWN_MEMBER_ID);
    let connect = join_request("g", "").with_protocol_type(text("connect"));
    assert_eq!(refused(9, &connect)?, INCONSISTENT_GROUP_PROTOCOL);
    let stranger = join_request("g", "").with_protocols(vec![protocol("sticky", b"")]);
    assert_eq!(refused(9, &stranger)?, INCONSISTENT_GROUP_PROTOCOL);
    let changed = join_request("g", &known).with_protocols(vec![protocol("sticky", b"")]);
    assert_eq!(refused(9, &changed)?, INCONSISTENT_GROUP_PROTOCOL);
    let nameless = join_request("g", &known).with_group_instance_id(Some(text("i")));
    assert_eq!(refused(9, &nameless)?, UNKNOWN_MEMBER_ID);
    Ok(())
}

#[test]
fn syncs_and_heartbeats_are_refused_for_each_reason() -> Result<()> {
    let (node, mut wire) = start(&[]);
    let mut group = formed(&node, "g", 2)?;
    let (member, generation) = (group[0].member_id.clone(), group[0].generation);
    for version in 0..=SYNC_VERSION {
        let mut sync = |request: &SyncGroupRequest| -> Result<i16> { Ok(wire.call(version, request)?.error_code) };
        assert_eq!(sync(&sync_request("", &member, generation))?, INVALID_GROUP_ID);
        assert_eq!(sync(&sync_request("absent", &member, generation))?, UNKNOWN_MEMBER_ID);
        assert_eq!(sync(&sync_request("g", "nobody", generation))?, UNKNOWN_MEMBER_ID);
        assert_eq!(sync(&sync_request("g", "", generation))?, UNKNOWN_MEMBER_ID);
        assert_eq!(sync(&sync_request("g", &member, generation - 1))?, ILLEGAL_GENERATION);
        assert_eq!(sync(&sync_request("g", &member, generation + 1))?, ILLEGAL_GENERATION);
        assert_eq!(sync(&sync_request("g", &member, generation))?, NONE);
    }
    for (protocol_type, protocol_name) in [
        (None, Some("range")),
        (Some("consumer"), None),
        (Some("connect"), Some("range")),
        (Some("consumer"), Some("sticky")),
    ] {
        let request = sync_request("g", &member, generation)
            .with_protocol_type(protocol_type.map(text))
            .with_protocol_name(protocol_name.map(text));
        assert_eq!(
            wire.call(5, &request)?.error_code,
            INCONSISTENT_GROUP_PROTOCOL,
            "{protocol_type:?} {protocol_name:?}"
        );
    }
    for version in 0..=4 {
        let mut beat = |request: &HeartbeatRequest| -> Result<i16> { Ok(wire.call(version, request)?.error_code) };
        assert_eq!(beat(&heartbeat_request("", &member, generation))?, INVALID_GROUP_ID);
        assert_eq!(beat(&heartbeat_request("absent", &member, generation))?, UNKNOWN_MEMBER_ID);
        assert_eq!(beat(&heartbeat_request("g", "nobody", generation))?, UNKNOWN_MEMBER_ID);
        assert_eq!(beat(&heartbeat_request("g", &member, generation - 1))?, ILLEGAL_GENERATION);
        assert_eq!(beat(&heartbeat_request("g", &member, generation))?, NONE);
    }
    // A rebalance begins.
    group[1].leave()?;
    assert_eq!(group[0].heartbeat()?, REBALANCE_IN_PROGRESS);
    assert_eq!(wire.call(5, &sync_request("g", &member, generation))?.error_code, REBALANCE_IN_PROGRESS);
    assert_eq!(wire.call(4, &heartbeat_request("g", &group[1].member_id, generation))?.error_code, UNKNOWN_MEMBER_ID);
    Ok(())
}

#[test]
fn members_leave_in_every_version() -> Result<()> {
    let (node, mut wire) = start(&[]);
    for version in 0..=LEAVE_VERSION {
        let name = format!("g{version}");
        let group = formed(&node, &name, 2)?;
        let leave = |member_id: &str| {
            if version < 3 {
                return LeaveGroupRequest::default().with_group_id(group_id(&name)).with_member_id(text(member_id));
            }
            leave_request(&name, &[(member_id, None)])
        };
        let mut codes = |request: &LeaveGroupRequest| -> Result<Vec<i16>> {
            let response = wire.call(version, request)?;
            let members = response.members.iter().map(|member| member.error_code);
            Ok(std::iter::once(response.error_code).chain(members).collect())
        };
        let member_error = if version < 3 { vec![UNKNOWN_MEMBER_ID] } else { vec![NONE, UNKNOWN_MEMBER_ID] };
        let success = if version < 3 { vec![NONE] } else { vec![NONE, NONE] };
        assert_eq!(codes(&leave(&group[0].member_id).with_group_id(group_id("")))?, [INVALID_GROUP_ID]);
        assert_eq!(codes(&leave(&group[0].member_id).with_group_id(group_id("absent")))?, member_error);
        assert_eq!(codes(&leave("nobody"))?, member_error, "version {version}");
        assert_eq!(codes(&leave(&group[0].member_id))?, success, "version {version}");
        assert_eq!(codes(&leave(&group[0].member_id))?, member_error, "version {version}");
        assert_eq!(codes(&leave(&group[1].member_id))?, success, "version {version}");
        assert_eq!(&*describe(&mut wire, &name)?.group_state, "Empty");
    }
    Ok(())
}

#[test]
fn several_members_leave_at_once_and_each_has_its_error() -> Result<()> {
    let (node, mut wire) = start(&[]);
    let mut group = members(&node, "g", 4);
    for (member, instance_id) in group.iter_mut().zip(["i0", "i1", "i2"]) {
        member.instance_id = Some(instance_id.to_owned());
    }
    form(&mut group)?;
    // One that was given an id and has not joined may leave too.
    let pending = wire.call(JOIN_VERSION, &join_request("g", ""))?;
    assert_eq!(pending.error_code, MEMBER_ID_REQUIRED);
    let request = leave_request(
        "g",
        &[
            (&group[0].member_id, Some("i0")),
            (&group[2].member_id, Some("i1")),
            ("", Some("i1")),
            ("", Some("nobody")),
            ("", None),
            (&group[3].member_id, None),
            (&group[3].member_id, None),
            (&pending.member_id, None),
        ],
    );
    let response = wire.call(LEAVE_VERSION, &request)?;
    assert_eq!(response.error_code, NONE);
    let codes: Vec<i16> = response.members.iter().map(|member| member.error_code).collect();
    let expected =
        [NONE, FENCED_INSTANCE_ID, NONE, UNKNOWN_MEMBER_ID, UNKNOWN_MEMBER_ID, NONE, UNKNOWN_MEMBER_ID, NONE];
    assert_eq!(codes, expected);
    assert_eq!(response.members[2].group_instance_id, Some(text("i1")));
    assert_eq!(describe(&mut wire, "g")?.members.len(), 1);
    Ok(())
}

#[test]
fn static_members_keep_their_place_and_fence_each_other() -> Result<()> {
    let (node, mut wire) = start(&[]);
    let mut group = members(&node, "g", 2);
    for (member, instance_id) in group.iter_mut().zip(["leader", "follower"]) {
        member.instance_id = Some(instance_id.to_owned());
    }
    form(&mut group)?;
    let (leader, follower) = (usize::from(!group[0].leads()), usize::from(group[0].leads()));
    let generation = group[0].generation;
    // A follower that comes back without its id, in each version that knows instance ids.
    let follower_instance = group[follower].instance_id.clone();
    for version in 5..=JOIN_VERSION {
        let old_id = group[follower].member_id.clone();
        let request = join_request("g", "").with_group_instance_id(follower_instance.as_deref().map(text));
        let back = wire.call(version, &request)?;
        assert_eq!((back.error_code, back.generation_id), (NONE, generation), "version {version}");
        assert_eq!(*back.leader, *group[leader].member_id);
        assert!(back.members.is_empty() && !back.skip_assignment);
        assert_ne!(*back.member_id, *old_id);
        assert!(back.member_id.starts_with(&format!("{}-", follower_instance.as_deref().unwrap())));
        group[follower].member_id = back.member_id.to_string();
        assert_eq!(group[leader].heartbeat()?, NONE, "no rebalance");
        // The one before is fenced, wherever it speaks.
        let named = |instance: &Option<String>| instance.as_deref().map(text);
        let beat = heartbeat_request("g", &old_id, generation).with_group_instance_id(named(&follower_instance));
        assert_eq!(wire.call(4, &beat)?.error_code, FENCED_INSTANCE_ID);
        let beat = heartbeat_request("g", &old_id, generation);
        assert_eq!(wire.call(4, &beat)?.error_code, UNKNOWN_MEMBER_ID);
        let sync = sync_request("g", &old_id, generation).with_group_instance_id(named(&follower_instance));
        assert_eq!(wire.call(5, &sync)?.error_code, FENCED_INSTANCE_ID);
        let join = join_request("g", &old_id).with_group_instance_id(named(&follower_instance));
        assert_eq!(wire.call(version, &join)?.error_code, FENCED_INSTANCE_ID);
    }
    // The assignment stays with the instance: what was given to the first id.
    let sync = sync_request("g", &group[follower].member_id, generation)
        .with_group_instance_id(follower_instance.as_deref().map(text));
    let synced = wire.call(5, &sync)?;
    assert_eq!(synced.error_code, NONE);
    assert!(synced.assignment.starts_with(follower_instance.as_deref().unwrap().as_bytes()));
    // The leader: since KIP-814 it is told of all, and not to assign; before, that somebody else leads.
    let leader_instance = group[leader].instance_id.as_deref().map(text);
    let request = join_request("g", "").with_group_instance_id(leader_instance.clone());
    let old_id = group[leader].member_id.clone();
    let back = wire.call(8, &request)?;
    assert_eq!((back.error_code, &*back.leader, back.members.len()), (NONE, &*old_id, 0));
    let back = wire.call(9, &request)?;
    assert_eq!((back.error_code, &*back.leader, back.members.len()), (NONE, &*back.member_id, 2));
    assert!(back.skip_assignment);
    let described = describe(&mut wire, "g")?;
    assert_eq!(&*described.group_state, "Stable");
    assert_eq!(described.members.len(), 2);
    assert!(described.members.iter().all(|member| member.group_instance_id.is_some()));
    Ok(())
}

/// What a client of each version needs to become a member and to have an assignment.
#[test]
fn every_version_joins_and_syncs() -> Result<()> {
    let (node, _) = start(&[]);
    for version in 0..=JOIN_VERSION {
        let name = format!("g{version}");
        let mut wire = coordinator(&node, &name);
        let mut request =
            join_request(&name, "").with_protocols(vec![protocol("range", b"me"), protocol("other", b"")]);
        let mut joined = wire.call(version, &request)?;
        if version >= 4 {
            assert_eq!(joined.error_code, MEMBER_ID_REQUIRED);
            assert!(joined.member_id.starts_with("compat-"), "{}", joined.member_id);
            assert_eq!(joined.member_id.len(), "compat-".len() + 36);
            request = request.with_member_id(joined.member_id.clone());
            joined = wire.call(version, &request)?;
        }
        assert_eq!((joined.error_code, joined.generation_id), (NONE, 1), "version {version}");
        assert_eq!(joined.protocol_name, Some(text("range")));
        assert_eq!(joined.protocol_type, (version >= 7).then(|| text("consumer")));
        assert_eq!(joined.leader, joined.member_id);
        assert_eq!(joined.members.len(), 1);
        assert_eq!(joined.members[0].metadata, &b"me"[..]);
        let sync_version = version.min(SYNC_VERSION);
        let sync = sync_request(&name, &joined.member_id, 1)
            .with_assignments(vec![assignment(&joined.member_id, b"all"), assignment("nobody", b"none")]);
        let synced = wire.call(sync_version, &sync)?;
        assert_eq!((synced.error_code, &*synced.assignment), (NONE, &b"all"[..]), "version {version}");
        assert_eq!(synced.protocol_name, (sync_version >= 5).then(|| text("range")));
        assert_eq!(synced.protocol_type, (sync_version >= 5).then(|| text("consumer")));
    }
    Ok(())
}

#[test]
fn groups_are_described_in_every_version() -> Result<()> {
    let (node, mut wire) = start(&[]);
    let mut group = members(&node, "g", 1);
    group[0].instance_id = Some("i".to_owned());
    form(&mut group)?;
    for version in 0..=6 {
        let request = DescribeGroupsRequest::default()
            .with_groups(vec![group_id("g"), group_id("absent")])
            .with_include_authorized_operations(version >= 3);
        let response = wire.call(version, &request)?;
        let find = |name: &str| response.groups.iter().find(|group| &*group.group_id.0 == name).expect("the group");
        let stable = find("g");
        assert_eq!((stable.error_code, &*stable.group_state, &*stable.protocol_type), (NONE, "Stable", "consumer"));
        assert_eq!(&*stable.protocol_data, "range");
        let member = &stable.members[0];
        assert_eq!(*member.member_id, *group[0].member_id);
        assert_eq!((&*member.client_id, &*member.client_host), ("compat", "/127.0.0.1"));
        assert_eq!(*member.member_assignment, *group[0].member_id.as_bytes());
        assert_eq!(member.group_instance_id, (version >= 4).then(|| text("i")));
        let absent = find("absent");
        let not_found = if version >= 6 { GROUP_ID_NOT_FOUND } else { NONE };
        assert_eq!((absent.error_code, &*absent.group_state), (not_found, "Dead"), "version {version}");
        assert_eq!(absent.error_message, (version >= 6).then(|| text("Group absent not found.")));
        if version >= 3 {
            assert_eq!(stable.authorized_operations, 0b1101_0100_1000, "version {version}");
        }
    }
    // While it rebalances, what members say and have is not told.
    group[0].leave()?;
    let empty = describe(&mut wire, "g")?;
    assert_eq!((&*empty.group_state, &*empty.protocol_data, empty.members.len()), ("Empty", "", 0));
    assert_eq!(&*empty.protocol_type, "consumer");
    Ok(())
}

#[test]
fn groups_are_listed_by_state_and_type() -> Result<()> {
    let (node, mut wire) = start(&[]);
    let _stable = formed(&node, "stable", 1)?;
    let mut empty = formed(&node, "empty", 1)?;
    empty[0].leave()?;
    let mut list = |version: i16, states: &[&str], types: &[&str]| -> Result<Vec<(String, String, String, String)>> {
        let request = ListGroupsRequest::default()
            .with_states_filter(states.iter().map(|state| text(state)).collect())
            .with_types_filter(types.iter().map(|kind| text(kind)).collect());
        let response = wire.call(version, &request)?;
        assert_eq!(response.error_code, NONE);
        let mut groups: Vec<_> = response
            .groups
            .iter()
            .map(|group| {
                let text = |text: &str| text.to_owned();
                (text(&group.group_id), text(&group.protocol_type), text(&group.group_state), text(&group.group_type))
            })
            .collect();
        groups.sort();
        Ok(groups)
    };
    let row = |name: &str, state: &str, kind: &str| {
        (name.to_owned(), "consumer".to_owned(), state.to_owned(), kind.to_owned())
    };
    for version in 0..=5 {
        let (state, kind) = (version >= 4, version >= 5);
        let told = |told: bool, text: &'static str| if told { text } else { "" };
        let expected = [
            row("empty", told(state, "Empty"), told(kind, "classic")),
            row("stable", told(state, "Stable"), told(kind, "classic")),
        ];
        assert_eq!(list(version, &[], &[])?, expected, "version {version}");
    }
    assert_eq!(list(5, &["Stable"], &[])?, [row("stable", "Stable", "classic")]);
    assert_eq!(list(4, &["eMPTY"], &[])?, [row("empty", "Empty", "")]);
    assert_eq!(list(5, &["Dead", "Empty"], &["Classic"])?, [row("empty", "Empty", "classic")]);
    assert_eq!(list(5, &["Dead"], &[])?, []);
    assert_eq!(list(5, &["Nonsense"], &[])?, []);
    assert_eq!(list(5, &[], &["consumer"])?, []);
    assert_eq!(list(5, &[], &["nonsense"])?, []);
    Ok(())
}

#[test]
fn only_groups_without_members_are_deleted() -> Result<()> {
    let (node, mut wire) = start(&[]);
    let _stable = formed(&node, "stable", 1)?;
    for version in 0..=2 {
        let mut empty = formed(&node, "empty", 1)?;
        empty[0].leave()?;
        let names = ["empty", "stable", "absent", "empty"];
        let request = DeleteGroupsRequest::default().with_groups_names(names.map(group_id).to_vec());
        let response = wire.call(version, &request)?;
        let mut results: Vec<_> =
            response.results.iter().map(|result| (result.group_id.0.to_string(), result.error_code)).collect();
        results.sort();
        let expected = [("absent", GROUP_ID_NOT_FOUND), ("empty", NONE), ("stable", NON_EMPTY_GROUP)];
        assert_eq!(results, expected.map(|(name, code)| (name.to_owned(), code)), "version {version}");
        assert_eq!(describe(&mut wire, "empty")?.error_code, GROUP_ID_NOT_FOUND);
    }
    Ok(())
}

/// Version 3, which Kafka has since 4.4 and the message crate has not: the request is that of version 2, the response has a
/// message beside each error.
#[test]
fn a_deletion_says_why_it_is_refused() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let (node, mut wire) = start(&[]);
    let _stable = formed(&node, "g", 1)?;
    let request = DeleteGroupsRequest::default().with_groups_names(vec![group_id("g")]);
    let mut frame = encode(0, 2, &request)?.to_vec();
    frame[2..4].copy_from_slice(&3_i16.to_be_bytes());
    let mut wire_of_its_own = node.wire();
    wire_of_its_own.send_frame(&frame)?;
    let response = wire_of_its_own.read_frame()?.expect("an answer");
    // Correlation id, tags, throttle time; then one result: its name, its error, its message.
    let message = b"The group is not empty.";
    let mut expected = vec![0; 4 + 1 + 4];
    expected.extend_from_slice(&[2, 2, b'g', 0, 68, message.len() as u8 + 1]);
    expected.extend_from_slice(message);
    expected.extend_from_slice(&[0, 0]);
    assert_eq!(response, expected);
    assert_eq!(&*describe(&mut wire, "g")?.group_state, "Stable");
    Ok(())
}

/// Members go on over a restart, and over a kill: their ids, their generation and what they were assigned are there.
#[test]
fn members_survive_a_restart_and_a_kill() -> Result<()> {
    let (mut node, _) = start(&[]);
    let mut group = formed(&node, "g", 3)?;
    for kill in [false, true] {
        if kill {
            node.kill_and_restart();
        } else {
            node.restart();
        }
        drop(coordinator(&node, "g"));
        for member in &mut group {
            member.wire = node.wire();
            assert_eq!(member.heartbeat()?, NONE, "kill: {kill}");
        }
        sync(&mut group)?;
        // And a rebalance works as before.
        group[0].leave()?;
        group[0].member_id.clear();
        for member in &mut group[1..] {
            assert_eq!(member.heartbeat()?, REBALANCE_IN_PROGRESS);
        }
        form_again(&mut group)?;
    }
    Ok(())
}

/// A lower limit after a restart: the group shrinks, last come first out.
#[test]
fn a_group_over_capacity_shrinks_after_a_restart() -> Result<()> {
    let (mut node, _) = start(&[]);
    let mut group = formed(&node, "g", 3)?;
    node.terminate();
    let mut properties = std::fs::read_to_string(node.properties_file())?;
    properties.push_str("\ngroup.max.size=2\n");
    std::fs::write(node.properties_file(), properties)?;
    node.run();
    drop(coordinator(&node, "g"));
    for member in &mut group {
        member.wire = node.wire();
        assert_eq!(member.heartbeat()?, REBALANCE_IN_PROGRESS);
    }
    for member in &mut group {
        member.send_join()?;
        // In this order.
        eventually("the join waits, or is answered", || {
            let described = describe(&mut node.wire(), "g").ok()?;
            (!described.members.is_empty()).then_some(())
        });
    }
    let codes: Vec<i16> =
        group.iter_mut().map(|member| Ok(member.receive_join()?.error_code)).collect::<Result<_>>()?;
    assert_eq!(codes.iter().filter(|code| **code == GROUP_MAX_SIZE_REACHED).count(), 1, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == NONE).count(), 2, "{codes:?}");
    Ok(())
}

/// What members do not say in time.
#[test]
fn who_is_silent_is_removed() -> Result<()> {
    let (node, mut wire) = start(&[]);
    let mut group = members(&node, "g", 2);
    group[1].session_timeout_ms = 6_000;
    form(&mut group)?;
    eventually("the silent member is removed", || {
        let code = group[0].heartbeat().ok()?;
        (code == REBALANCE_IN_PROGRESS).then_some(())
    });
    assert_eq!(describe(&mut wire, "g")?.members.len(), 1);
    assert_eq!(group[1].heartbeat()?, UNKNOWN_MEMBER_ID);
    Ok(())
}

#[test]
fn who_does_not_join_again_in_time_is_removed() -> Result<()> {
    let (node, mut wire) = start(&[]);
    let mut group = members(&node, "g", 2);
    for member in &mut group {
        member.rebalance_timeout_ms = 3_000;
    }
    form(&mut group)?;
    // The leader joins again; the other one only sends heartbeats.
    let leader = usize::from(!group[0].leads());
    group[leader].send_join()?;
    let lazy = 1 - leader;
    eventually("the rebalance goes on without it", || {
        let code = group[lazy].heartbeat().ok()?;
        assert!([NONE, REBALANCE_IN_PROGRESS, UNKNOWN_MEMBER_ID].contains(&code), "error {code}");
        (code == UNKNOWN_MEMBER_ID).then_some(())
    });
    let joined = group[leader].receive_join()?;
    assert_eq!((joined.error_code, joined.members.len()), (NONE, 1));
    assert_eq!(&*describe(&mut wire, "g")?.group_state, "CompletingRebalance");
    Ok(())
}

/// KAFKA-9232.
#[test]
fn who_does_not_sync_in_time_is_removed() -> Result<()> {
    let (node, _wire) = start(&[]);
    let mut group = members(&node, "g", 2);
    for member in &mut group {
        member.rebalance_timeout_ms = 3_000;
    }
    form(&mut group)?;
    // Another generation, in which only the leader syncs.
    let leader = usize::from(!group[0].leads());
    group[leader].send_join()?;
    eventually("the rebalance begins", || {
        let code = group[1 - leader].heartbeat().ok()?;
        (code == REBALANCE_IN_PROGRESS).then_some(())
    });
    group[1 - leader].send_join()?;
    for member in &mut group {
        assert_eq!(member.receive_join()?.error_code, NONE);
    }
    group[leader].send_sync()?;
    assert_eq!(group[leader].receive_sync()?.error_code, NONE);
    let lazy = 1 - leader;
    eventually("who never synced is removed", || {
        let code = group[lazy].heartbeat().ok()?;
        assert!([NONE, REBALANCE_IN_PROGRESS, UNKNOWN_MEMBER_ID].contains(&code), "error {code}");
        (code == UNKNOWN_MEMBER_ID).then_some(())
    });
    assert_eq!(group[leader].heartbeat()?, REBALANCE_IN_PROGRESS);
    Ok(())
}

/// A member whose connection ends while it waits keeps its place, and gets the generation on another one.
#[test]
fn a_join_that_was_cut_off_is_made_again() -> Result<()> {
    let (node, _wire) = start(&[]);
    let mut group = formed(&node, "g", 2)?;
    let leader = usize::from(!group[0].leads());
    let other = 1 - leader;
    group[leader].send_join()?;
    group[leader].wire = node.wire();
    eventually("the rebalance begins", || {
        let code = group[other].heartbeat().ok()?;
        (code == REBALANCE_IN_PROGRESS).then_some(())
    });
    group[leader].send_join()?;
    group[other].send_join()?;
    for member in &mut group {
        assert_eq!(member.receive_join()?.error_code, NONE);
    }
    sync(&mut group)?;
    Ok(())
}

/// Leaders of large groups send large assignments: more than other requests may hold.
#[test]
fn subscriptions_and_assignments_may_be_large() -> Result<()> {
    const LARGE: usize = 6 << 20;
    let (node, mut wire) = start(&[("message.max.bytes", "33554432"), ("socket.request.max.bytes", "104857600")]);
    // Version 0, no topics, the rest is the client's own data: Kafka looks into it.
    let mut subscription = vec![0; 6];
    subscription.extend_from_slice(&(LARGE as i32 - 10).to_be_bytes());
    subscription.resize(LARGE, 7);
    let request = join_request("g", "").with_protocols(vec![protocol("range", &subscription)]);
    let joined = wire.call(3, &request)?;
    assert_eq!(joined.error_code, NONE);
    assert_eq!(joined.members[0].metadata.len(), LARGE);
    let sync = sync_request("g", &joined.member_id, joined.generation_id)
        .with_assignments(vec![assignment(&joined.member_id, &subscription)]);
    let synced = wire.call(5, &sync)?;
    assert_eq!((synced.error_code, synced.assignment.len()), (NONE, LARGE));
    let mut again = node.wire();
    let described = describe(&mut again, "g")?;
    assert_eq!(described.members[0].member_assignment.len(), LARGE);
    Ok(())
}

/// A group that does not fit into one record is refused, and its members may try again.
#[test]
fn a_group_that_is_too_large_for_its_record_is_refused() -> Result<()> {
    const UNKNOWN_SERVER_ERROR: i16 = -1;
    let (_node, mut wire) = start(&[]);
    let joined = wire.call(3, &join_request("g", ""))?;
    let sync = |size: usize| {
        sync_request("g", &joined.member_id, joined.generation_id)
            .with_assignments(vec![assignment(&joined.member_id, &vec![0; size])])
    };
    assert_eq!(wire.call(5, &sync(2 << 20))?.error_code, UNKNOWN_SERVER_ERROR);
    let again = wire.call(3, &join_request("g", &joined.member_id))?;
    assert_eq!(again.error_code, NONE);
    let small = sync_request("g", &again.member_id, again.generation_id)
        .with_assignments(vec![assignment(&again.member_id, b"all")]);
    assert_eq!(wire.call(5, &small)?.error_code, NONE);
    Ok(())
}

#[test]
fn reasons_and_old_forms_are_taken() -> Result<()> {
    let (_node, mut wire) = start(&[]);
    let request = join_request("g", "").with_reason(Some(text("because")));
    let given = wire.call(JOIN_VERSION, &request)?;
    let joined = wire.call(JOIN_VERSION, &request.with_member_id(given.member_id))?;
    assert_eq!(joined.error_code, NONE);
    let leaving = MemberIdentity::default().with_member_id(joined.member_id).with_reason(Some(text("done")));
    let request = LeaveGroupRequest::default().with_group_id(group_id("g")).with_members(vec![leaving]);
    assert_eq!(wire.call(LEAVE_VERSION, &request)?.members[0].error_code, NONE);
    Ok(())
}
