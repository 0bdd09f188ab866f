//! Scripts: what is done, and below a line of dashes what came of it.
//!
//! ```text
//! join a topics=t1
//! ----
//! a: epoch 2, has t1: 0 1
//!   + member a
//!   + epoch 2
//! ```
//! `OTTLA_WRITE_SCRIPTS=1` writes what comes of them into the scripts.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::harness::{World, joining, names, request, text};
use crate::coordinator::group::assignor::Assignment;
use crate::coordinator::group::consumer::*;
use crate::coordinator::group::records::{GroupRecord, OwnedTopic};
use crate::ids::{PartitionIndex, TopicId};
use crate::protocol::wire::messages::ConsumerGroupHeartbeatRequest;
use crate::protocol::wire::messages::consumer_group_heartbeat_request::TopicPartitions;

#[test]
#[expect(clippy::disallowed_methods, reason = "the scripts are files of the source tree")]
fn scripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/coordinator/group/consumer/testdata");
    let mut scripts = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let script = std::fs::read_to_string(&path).unwrap();
        let played = play(&script);
        if std::env::var_os("OTTLA_WRITE_SCRIPTS").is_some() {
            std::fs::write(&path, &played).unwrap();
            continue;
        }
        assert!(played == script, "{}:\n{played}", path.display());
        scripts += 1;
    }
    assert!(scripts > 0);
}

/// The script with what comes of it.
fn play(script: &str) -> String {
    let mut world = World::new();
    let mut played = String::new();
    let mut in_output = false;
    for line in script.lines() {
        match line {
            "" => {
                in_output = false;
                played.push('\n');
            }
            "----" => in_output = true,
            _ if in_output => {}
            comment if comment.starts_with('#') => writeln!(played, "{comment}").unwrap(),
            command => writeln!(played, "{command}\n----\n{}", run(&mut world, command)).unwrap(),
        }
    }
    world.check_replay();
    played
}

fn run(world: &mut World, command: &str) -> String {
    let mut words = command.split(' ');
    let (verb, rest) = (words.next().unwrap(), words.collect::<Vec<_>>());
    world.last = Vec::new();
    match (verb, &*rest) {
        ("topic", [name, partitions]) => {
            world.set_topic(name, partitions.parse().unwrap());
            "ok".to_owned()
        }
        ("delete-topic", [name]) => {
            world.delete_topic(name);
            "ok".to_owned()
        }
        ("set", [setting]) => {
            let (name, value) = setting.split_once('=').unwrap();
            match name {
                "assignment_interval_ms" => world.settings.assignment_interval_ms = value.parse().unwrap(),
                "max_size" => world.settings.max_size = value.parse().unwrap(),
                other => panic!("unknown setting {other}"),
            }
            "ok".to_owned()
        }
        ("join", [member, said @ ..]) => {
            let mut request = joining(member, &[]);
            request.subscribed_topic_names = None;
            say(world, &mut request, said);
            beat(world, &request)
        }
        ("beat", [member, said @ ..]) => {
            let epoch = world.group.as_ref().and_then(|group| group.member(member)).map_or(1, |it| it.member_epoch);
            let mut request = request(member, epoch);
            say(world, &mut request, said);
            beat(world, &request)
        }
        ("leave", [member, said @ ..]) => {
            let mut request = request(member, LEAVING_EPOCH);
            say(world, &mut request, said);
            beat(world, &request)
        }
        ("wait", [ms]) => {
            let records = world.log.len();
            world.wait(Duration::from_millis(ms.parse().unwrap()));
            let fenced = std::mem::take(&mut world.fenced);
            let mut out = if fenced.is_empty() { "ok".to_owned() } else { format!("fenced: {}", fenced.join(" ")) };
            let new: Vec<GroupRecord> = world.log[records..].to_vec();
            show_records(world, &new, &mut out);
            out
        }
        ("resolve", []) => {
            let resolved = world.resolve();
            let mut out = if resolved { "resolved".to_owned() } else { "nothing to resolve".to_owned() };
            show_records(world, &world.last, &mut out);
            out
        }
        ("fail-append", []) => {
            world.append_fails = true;
            "ok".to_owned()
        }
        ("reload", []) => {
            world.reload();
            "ok".to_owned()
        }
        ("group", []) => show_group(world),
        _ => panic!("unknown command {command}"),
    }
}

fn say(world: &World, request: &mut ConsumerGroupHeartbeatRequest, said: &[&str]) {
    for word in said {
        let (name, value) = word.split_once('=').unwrap();
        match name {
            "epoch" => request.member_epoch = value.parse().unwrap(),
            "topics" => {
                let topics: Vec<&str> = value.split(',').filter(|name| !name.is_empty()).collect();
                request.subscribed_topic_names = Some(names(&topics));
            }
            "regex" => request.subscribed_topic_regex = text(value),
            "instance" => request.instance_id = text(value),
            "rack" => request.rack_id = text(value),
            "assignor" => request.server_assignor = text(value),
            "rebalance_timeout" => request.rebalance_timeout_ms = value.parse().unwrap(),
            // `t1:0,1;t2:0`, or nothing.
            "owned" => {
                let topics = value.split(';').filter(|topic| !topic.is_empty()).map(|topic| {
                    let (name, partitions) = topic.split_once(':').unwrap();
                    let mut owned = TopicPartitions::default();
                    owned.topic_id = world.topics.id(name).unwrap().0;
                    owned.partitions = partitions.split(',').map(|it| it.parse().unwrap()).collect();
                    owned
                });
                request.topic_partitions = Some(topics.collect());
            }
            other => panic!("unknown word {other}"),
        }
    }
}

fn beat(world: &mut World, request: &ConsumerGroupHeartbeatRequest) -> String {
    let mut out = match world.heartbeat(request) {
        Ok(reply) => {
            let mut out = format!("{}: epoch {}", reply.member_id, reply.member_epoch);
            if let Some(assignment) = reply.assignment {
                write!(out, ", has {}", show_assignment(world, &assignment.to_assignment())).unwrap();
            }
            out
        }
        Err(error) => format!("{:?}: {error}", error.code()),
    };
    show_records(world, &world.last, &mut out);
    out
}

fn show_group(world: &World) -> String {
    let Some(group) = &world.group else { return "none".to_owned() };
    let mut out =
        format!("{} epoch={} assignment={}", group.state().name(), group.group_epoch(), group.assignment_epoch());
    for member in group.members() {
        let target = group.target(&member.member_id).cloned().unwrap_or_default();
        write!(
            out,
            "\n{} epoch={} {:?} has {} | gives up {} | target {}",
            member.member_id,
            member.member_epoch,
            member.state,
            show_assignment(world, &member.assigned.to_assignment()),
            show_assignment(world, &member.pending_revocation.to_assignment()),
            show_assignment(world, &target)
        )
        .unwrap();
    }
    out
}

fn show_assignment(world: &World, assignment: &Assignment) -> String {
    show_topics(world, assignment.topics().map(|(topic, partitions)| (topic, partitions.to_vec())))
}

fn show_topics(world: &World, topics: impl Iterator<Item = (TopicId, Vec<PartitionIndex>)>) -> String {
    let topics: Vec<String> = topics
        .map(|(topic, partitions)| {
            let partitions: Vec<String> = partitions.iter().map(ToString::to_string).collect();
            format!("{}: {}", world.topics.shown(topic), partitions.join(" "))
        })
        .collect();
    if topics.is_empty() { "nothing".to_owned() } else { topics.join(", ") }
}

fn show_owned(world: &World, topics: &[OwnedTopic]) -> String {
    show_topics(world, topics.iter().map(|topic| (topic.topic_id, topic.partitions.clone())))
}

fn show_records(world: &World, records: &[GroupRecord], out: &mut String) {
    for record in records {
        write!(out, "\n  ").unwrap();
        match record {
            GroupRecord::ConsumerGroupMetadata(_, Some(value)) => write!(out, "+ group epoch {}", value.epoch),
            GroupRecord::ConsumerGroupMetadata(_, None) => write!(out, "- group"),
            GroupRecord::ConsumerGroupPartitionMetadata(_, None) => write!(out, "- partition metadata"),
            GroupRecord::ConsumerGroupMemberMetadata(key, Some(_)) => write!(out, "+ member {}", key.member_id),
            GroupRecord::ConsumerGroupMemberMetadata(key, None) => write!(out, "- member {}", key.member_id),
            GroupRecord::ConsumerGroupTargetAssignmentMetadata(_, Some(value)) => {
                write!(out, "+ target epoch {}", value.assignment_epoch)
            }
            GroupRecord::ConsumerGroupTargetAssignmentMetadata(_, None) => write!(out, "- target epoch"),
            GroupRecord::ConsumerGroupTargetAssignmentMember(key, Some(value)) => {
                let topics = value.topic_partitions.iter().map(|topic| (topic.topic_id, topic.partitions.clone()));
                write!(out, "+ target {} {}", key.member_id, show_topics(world, topics))
            }
            GroupRecord::ConsumerGroupTargetAssignmentMember(key, None) => write!(out, "- target {}", key.member_id),
            GroupRecord::ConsumerGroupCurrentMemberAssignment(key, Some(value)) => write!(
                out,
                "+ current {} epoch {} (before {}) {:?}, has {}, gives up {}",
                key.member_id,
                value.member_epoch,
                value.previous_member_epoch,
                MemberState::from_code(value.state),
                show_owned(world, &value.assigned_partitions),
                show_owned(world, &value.partitions_pending_revocation)
            ),
            GroupRecord::ConsumerGroupCurrentMemberAssignment(key, None) => {
                write!(out, "- current {}", key.member_id)
            }
            GroupRecord::ConsumerGroupRegularExpression(key, Some(value)) => {
                write!(out, "+ regex {} is {}", key.regular_expression, value.topics.join(" "))
            }
            GroupRecord::ConsumerGroupRegularExpression(key, None) => {
                write!(out, "- regex {}", key.regular_expression)
            }
            other => write!(out, "{other:?}"),
        }
        .unwrap();
    }
}
