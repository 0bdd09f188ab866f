//! What a group says of the topics that its members read, from one generation to the next.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

use super::super::*;
use super::world::World;
use crate::coordinator::group::offsets::CommittingGroup;

fn subscription(topics: &[&str]) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i16(3);
    bytes.put_i32(topics.len() as i32);
    for topic in topics {
        bytes.put_i16(topic.len() as i16);
        bytes.put_slice(topic.as_bytes());
    }
    bytes.put_slice(&[0xff; 8]);
    bytes.freeze()
}

fn join(world: &mut World, member_id: &str, new_member_id: &str, metadata: Bytes) {
    world.join(&Join {
        member_id: member_id.into(),
        new_member_id: new_member_id.into(),
        instance_id: None,
        client_id: "m".into(),
        client_host: "/127.0.0.1".into(),
        protocol_type: "consumer".into(),
        protocols: Protocols::new([Protocol { name: "range".into(), metadata }]),
        session_timeout_ms: 45_000,
        rebalance_timeout_ms: 300_000,
        requires_known_member_id: false,
        supports_skipping_assignment: true,
        reason: None,
    });
}

/// Which of the topics `a`, `b` and `c` are read.
fn read(world: &World) -> String {
    let group = world.group.as_ref().unwrap();
    ["a", "b", "c"].into_iter().filter(|topic| group.is_subscribed_to(topic)).collect()
}

#[test]
fn what_members_subscribe_to_counts_from_their_generation_on() {
    let mut world = World::new();
    join(&mut world, "", "m1", subscription(&["a"]));
    join(&mut world, "", "m2", subscription(&["b", "a"]));
    assert_eq!(read(&world), "abc", "nobody knows before the first generation");
    world.advance(Duration::from_secs(7));
    assert_eq!(read(&world), "ab");
    join(&mut world, "m1", "", subscription(&["c"]));
    assert_eq!(read(&world), "ab", "the others read on as before");
    join(&mut world, "m2", "", subscription(&["b"]));
    assert_eq!(read(&world), "bc");

    let member = |member_id: &str| LeavingMember { member_id: member_id.into(), instance_id: None, reason: None };
    world.leave(&Leave { members: vec![member("m1"), member("m2")] });
    assert_eq!(read(&world), "");
    join(&mut world, "", "m3", subscription(&["a"]));
    assert_eq!(read(&world), "", "the next generation has not begun");
    world.advance(Duration::from_secs(7));
    assert_eq!(read(&world), "a");
}

#[test]
fn consumers_that_say_something_else_are_taken_to_read_every_topic() {
    let mut world = World::new();
    let mut torn = subscription(&["a", "b"]);
    torn.truncate(10);
    join(&mut world, "", "m1", torn);
    world.advance(Duration::from_secs(7));
    assert_eq!(read(&world), "abc");
}
