//! A group of 1,000 members: no step looks at all of them, but for the ones that tell all of them something.

use std::time::Duration;

use bytes::Bytes;

use super::super::*;
use super::world::World;

const MEMBERS: usize = 1000;

fn join_request(number: usize) -> Join {
    Join {
        member_id: "".into(),
        new_member_id: format!("m-{number:04}").into(),
        instance_id: None,
        client_id: "m".into(),
        client_host: "/127.0.0.1".into(),
        protocol_type: "consumer".into(),
        protocols: Protocols::new([Protocol { name: "range".into(), metadata: Bytes::from_static(&[0; 40]) }]),
        session_timeout_ms: 45_000,
        rebalance_timeout_ms: 300_000,
        requires_known_member_id: false,
        supports_skipping_assignment: true,
        reason: None,
    }
}

#[test]
fn a_thousand_members_join_sync_and_expire() {
    let mut world = World::new();
    world.checks_each_step = false;
    for number in 0..MEMBERS {
        world.join(&join_request(number));
    }
    assert_eq!(world.waiting_count(), MEMBERS);
    world.check();
    world.advance(Duration::from_secs(7));
    let joined = world.answers();
    assert_eq!(joined.len(), MEMBERS);
    let leader = joined.iter().find_map(|(_, answer)| match answer {
        Ok(ClassicReply::Join(reply)) if !reply.members.is_empty() => Some(reply.clone()),
        _ => None,
    });
    let leader = leader.expect("one member is the leader");
    assert_eq!(leader.members.len(), MEMBERS);
    let assignments = leader.members.iter().map(|member| (member.member_id.clone(), Bytes::from_static(&[1; 20])));
    let assignments: Vec<_> = assignments.collect();
    for number in 0..MEMBERS {
        let member_id: MemberId = format!("m-{number:04}").into();
        let is_leader = member_id == leader.member_id;
        world.sync(Sync {
            generation_id: leader.generation_id,
            assignments: if is_leader { assignments.clone() } else { Vec::new() },
            member_id,
            instance_id: None,
            protocol_type: None,
            protocol_name: None,
        });
    }
    assert_eq!(world.answers().len(), MEMBERS);
    world.check();
    assert_eq!(world.group.as_ref().map(ClassicGroup::state), Some(ClassicGroupState::Stable));
    world.advance(Duration::from_secs(46));
    assert_eq!(world.group.as_ref().map(ClassicGroup::state), Some(ClassicGroupState::Empty));
    assert_eq!(world.records.len(), 3, "made known, assigned, empty");
}
