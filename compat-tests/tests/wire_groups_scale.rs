//! Many groups, large groups, and members that come and go all at once.

use std::collections::BTreeSet;

use anyhow::{Result, bail, ensure};
use kafka_protocol::messages::{ListGroupsRequest, SyncGroupRequest};
use ottla_compat_tests::Node;
use ottla_compat_tests::classic_member::{
    ClassicMember, HEARTBEAT_VERSION, coordinator, describe, form, form_again, heartbeat_request,
};
use ottla_compat_tests::wait::{DEADLINE, eventually};
use ottla_compat_tests::wire::Wire;

const NONE: i16 = 0;
const REBALANCE_IN_PROGRESS: i16 = 27;

fn start() -> Node {
    let node = Node::with(&[("group.initial.rebalance.delay.ms", "0")]);
    drop(coordinator(&node, "g"));
    node
}

#[test]
fn a_thousand_groups_of_three_live_side_by_side() -> Result<()> {
    const GROUPS: usize = 1000;
    let mut node = start();
    let mut wires: Vec<Wire> = (0..3).map(|_| node.wire()).collect();
    let mut formed: Vec<Vec<(String, i32)>> = Vec::new();
    for number in 0..GROUPS {
        let group = format!("g{number}");
        let mut members: Vec<_> = wires.drain(..).map(|wire| ClassicMember::on(wire, &group)).collect();
        for member in &mut members {
            member.session_timeout_ms = 300_000;
        }
        form(&mut members)?;
        formed.push(members.iter().map(|member| (member.member_id.clone(), member.generation)).collect());
        wires.extend(members.into_iter().map(|member| member.wire));
    }
    for restart in [false, true] {
        if restart {
            node.kill_and_restart();
            drop(coordinator(&node, "g"));
            wires = (0..3).map(|_| node.wire()).collect();
        }
        for (number, members) in formed.iter().enumerate() {
            for ((member_id, generation), wire) in members.iter().zip(&mut wires) {
                let beat = heartbeat_request(&format!("g{number}"), member_id, *generation);
                eventually("a heartbeat", || {
                    let code = wire.call(HEARTBEAT_VERSION, &beat).expect("an answer").error_code;
                    // The coordinator's other partitions may still be read.
                    (![14, 15, 16].contains(&code))
                        .then(|| assert_eq!(code, NONE, "group {number}, restart: {restart}"))
                });
            }
        }
        let listed = wires[0].call(5, &ListGroupsRequest::default())?;
        assert_eq!(listed.error_code, NONE);
        let stable = listed.groups.iter().filter(|group| &*group.group_state == "Stable").count();
        assert_eq!(stable, GROUPS);
    }
    Ok(())
}

#[test]
fn a_thousand_members_share_a_group() -> Result<()> {
    const MEMBERS: usize = 1000;
    let node = start();
    let mut group: Vec<_> = (0..MEMBERS).map(|_| ClassicMember::new(&node, "g")).collect();
    for member in &mut group {
        member.session_timeout_ms = 300_000;
        member.rebalance_timeout_ms = 300_000;
    }
    form(&mut group)?;
    let ids: BTreeSet<_> = group.iter().map(|member| member.member_id.clone()).collect();
    assert_eq!(ids.len(), MEMBERS);
    assert_eq!(group.iter().map(|member| member.members.len()).sum::<usize>(), MEMBERS, "one leader, told of all");
    // One goes and comes back: everybody joins again.
    group[500].leave()?;
    group[500].member_id.clear();
    assert_eq!(group[0].heartbeat()?, REBALANCE_IN_PROGRESS);
    form_again(&mut group)?;
    let described = describe(&mut group[0].wire, "g")?;
    assert_eq!((&*described.group_state, described.members.len()), ("Stable", MEMBERS));
    Ok(())
}

/// Case 26: members come and go without a pause, and nobody is told that it is unknown, or waits for ever.
#[test]
fn concurrent_rebalances_lose_nobody() -> Result<()> {
    const CLIENTS: usize = 8;
    const ROUNDS: usize = 15;
    let node = start();
    let outcomes: Vec<Result<usize>> = std::thread::scope(|scope| {
        let node = &node;
        let clients: Vec<_> =
            (0..CLIENTS).map(|client| scope.spawn(move || come_and_go(node, client, ROUNDS))).collect();
        clients.into_iter().map(|client| client.join().expect("no panic")).collect()
    });
    let rebalances: usize = outcomes.into_iter().sum::<Result<usize>>()?;
    assert!(rebalances > CLIENTS * ROUNDS, "hardly anybody met a rebalance: {rebalances}");
    let described = describe(&mut node.wire(), "g")?;
    assert_eq!((&*described.group_state, described.members.len()), ("Empty", 0));
    Ok(())
}

/// One client: joins, works for a while, leaves in some of its rounds. Returns how often it joined.
fn come_and_go(node: &Node, client: usize, rounds: usize) -> Result<usize> {
    let mut member = ClassicMember::new(node, "g");
    let mut joins = 0;
    for round in 0..rounds {
        joins += join_and_sync(&mut member)?;
        for _ in 0..20 {
            match member.heartbeat()? {
                NONE => {}
                REBALANCE_IN_PROGRESS => break,
                code => bail!("client {client}, round {round}: heartbeat: error {code}"),
            }
        }
        if (round + client).is_multiple_of(3) {
            leave(&mut member)?;
        }
    }
    if !member.member_id.is_empty() {
        leave(&mut member)?;
    }
    Ok(joins)
}

fn leave(member: &mut ClassicMember) -> Result<()> {
    let left = member.leave()?;
    ensure!(left.error_code == NONE && left.members[0].error_code == NONE, "leave: {left:?}");
    member.member_id.clear();
    Ok(())
}

/// Joins until a generation holds until the sync. Returns how often.
fn join_and_sync(member: &mut ClassicMember) -> Result<usize> {
    let began = std::time::Instant::now();
    for joins in 1.. {
        ensure!(began.elapsed() < DEADLINE, "no assignment");
        member.send_join()?;
        let joined = member.receive_join()?;
        ensure!(joined.error_code == NONE, "join: error {}", joined.error_code);
        member.send_sync()?;
        match member.wire.receive::<SyncGroupRequest>(ottla_compat_tests::classic_member::SYNC_VERSION)?.error_code {
            NONE => return Ok(joins),
            REBALANCE_IN_PROGRESS => {}
            code => bail!("sync: error {code}"),
        }
    }
    unreachable!("joins end in an assignment or an error")
}
