//! Groups that ask for more than they cost.

use anyhow::{Result, ensure};
use kafka_protocol::messages::{DescribeGroupsRequest, HeartbeatRequest, JoinGroupRequest};
use ottla_compat_tests::classic_member::{
    ClassicMember, DESCRIBE_VERSION, JOIN_VERSION, coordinator, form, group_id, heartbeat_request, join_request,
    protocol,
};
use ottla_compat_tests::siege::{alone, besiege};
use ottla_compat_tests::wire::encode;
use ottla_compat_tests::{Node, only_ottla};

const LIMIT_BYTES: u64 = 200 << 20;
const MEMBER_ID_REQUIRED: i16 = 79;
const UNKNOWN_MEMBER_ID: i16 = 25;

fn start() -> Node {
    let node = Node::with(&[("group.initial.rebalance.delay.ms", "0")]);
    drop(coordinator(&node, "g"));
    node
}

/// Three bytes for a protocol, a hundred times as much once it is decoded.
#[test]
fn a_join_has_a_bounded_number_of_protocols() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let _alone = alone();
    let mut node = start();
    besiege("JoinGroup with 2,000,000 protocols", &mut node, LIMIT_BYTES, |node| {
        let request = |protocols: usize| join_request("g", "").with_protocols(vec![protocol("", b""); protocols]);
        let answer = node.wire().call(JOIN_VERSION, &request(40_000))?;
        ensure!(answer.error_code == MEMBER_ID_REQUIRED, "error {}", answer.error_code);
        let frame = encode(0, JOIN_VERSION, &request(2_000_000))?;
        let mut wires: Vec<_> = (0..4).map(|_| node.wire()).collect();
        for wire in &mut wires {
            wire.send_frame(&frame)?;
        }
        for wire in &mut wires {
            ensure!(wire.read_frame()?.is_none(), "closed");
        }
        Ok(())
    })
}

#[test]
fn ids_that_nobody_uses_are_cheap() -> Result<()> {
    const IDS: usize = 30_000;
    if only_ottla() {
        return Ok(());
    }
    let _alone = alone();
    let mut node = start();
    besiege("30,000 members that never join", &mut node, LIMIT_BYTES, |node| {
        let mut wire = node.wire();
        let request = join_request("g", "").with_session_timeout_ms(1_800_000);
        for _ in 0..IDS / 50 {
            for _ in 0..50 {
                wire.send(JOIN_VERSION, &request)?;
            }
            for _ in 0..50 {
                let given = wire.receive::<JoinGroupRequest>(JOIN_VERSION)?;
                ensure!(given.error_code == MEMBER_ID_REQUIRED, "error {}", given.error_code);
            }
        }
        let beat: HeartbeatRequest = heartbeat_request("g", "nobody", 0);
        ensure!(wire.call(4, &beat)?.error_code == UNKNOWN_MEMBER_ID, "the group answers");
        Ok(())
    })
}

#[test]
fn naming_a_group_often_costs_as_much_as_naming_it_once() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let _alone = alone();
    let mut node = start();
    let mut members: Vec<_> = (0..100).map(|_| ClassicMember::new(&node, "g")).collect();
    form(&mut members)?;
    besiege("a group named 20,000 times", &mut node, LIMIT_BYTES, |node| {
        let request = DescribeGroupsRequest::default().with_groups(vec![group_id("g"); 20_000]);
        let response = node.wire().call(DESCRIBE_VERSION, &request)?;
        ensure!(response.groups.len() == 1 && response.groups[0].members.len() == 100, "each once");
        Ok(())
    })
}
