//! Segments come and go: rolled by size and time, deleted by age and size, never on a compacted topic.

use std::fs;

use anyhow::Result;
use kafka_protocol::messages::FetchRequest;
use ottla_compat_tests::Node;
use ottla_compat_tests::batch::{Batch, Record, now_ms, parse};
use ottla_compat_tests::wait::eventually;
use ottla_compat_tests::wire::{BROKER, TOPIC, Wire, fetch_partition, fetch_request};

/// Looks for work often; Kafka's first look would come after half a minute otherwise.
const EAGER: [(&str, &str); 2] = [("log.retention.check.interval.ms", "300"), ("log.initial.task.delay.ms", "300")];
/// The smallest segment that may be configured.
const SEGMENT: (&str, &str) = ("segment.bytes", "1048576");

/// Appends this many batches of about 100 kB each.
fn fill(wire: &mut Wire, topic: &str, batches: usize, timestamp_ms: i64) -> Result<()> {
    let record = Record::keyed("key", vec![7; 100_000]);
    for _ in 0..batches {
        wire.append(topic, 0, &Batch::of(vec![record.clone()]).at(timestamp_ms).encode())?;
    }
    Ok(())
}

fn segments(node: &Node, topic: &str) -> Vec<String> {
    let entries = fs::read_dir(node.partition_dir(topic, 0)).expect("a directory").flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| name.ends_with(".log"));
    names.sort();
    names
}

fn log_start(wire: &mut Wire, topic: &str) -> Result<i64> {
    Ok(wire.list_offset(topic, 0, -2)?.offset)
}

#[test]
fn segments_roll_by_size_and_carry_their_base_offset() -> Result<()> {
    let node = Node::start();
    let mut wire = node.wire();
    wire.create_topic("rolled", 1, &[SEGMENT])?;
    fill(&mut wire, "rolled", 35, now_ms())?;
    assert_eq!(
        segments(&node, "rolled"),
        [
            "00000000000000000000.log",
            "00000000000000000010.log",
            "00000000000000000020.log",
            "00000000000000000030.log"
        ]
    );
    let dir = node.partition_dir("rolled", 0);
    for suffix in ["index", "timeindex", "snapshot"] {
        assert!(dir.join(format!("00000000000000000010.{suffix}")).exists(), "{suffix}");
    }
    Ok(())
}

#[test]
fn size_retention_moves_the_log_start_and_deletes_the_files() -> Result<()> {
    let node = Node::with(&EAGER);
    let mut wire = node.wire();
    let configs = [SEGMENT, ("retention.bytes", "1500000"), ("file.delete.delay.ms", "0")];
    wire.create_topic("sized", 1, &configs)?;
    fill(&mut wire, "sized", 45, now_ms())?;
    eventually("two segments are left", || (segments(&node, "sized").len() <= 2).then_some(()));
    let start = log_start(&mut wire, "sized")?;
    assert!(start >= 20 && start % 10 == 0, "{start}");
    assert_eq!(wire.fetch("sized", 0, start - 1)?.error_code, 1, "OFFSET_OUT_OF_RANGE");
    assert_eq!(wire.fetch("sized", 0, start)?.error_code, 0);
    assert_eq!(wire.list_offset("sized", 0, -1)?.offset, 45);
    Ok(())
}

#[test]
fn time_retention_deletes_what_is_older_the_active_segment_too() -> Result<()> {
    let mut node = Node::with(&EAGER);
    let mut wire = node.wire();
    let configs = [SEGMENT, ("retention.ms", "60000"), ("file.delete.delay.ms", "0")];
    wire.create_topic("aged", 1, &configs)?;
    fill(&mut wire, "aged", 25, now_ms() - 3_600_000)?;
    eventually("all is deleted", || (log_start(&mut wire, "aged").ok()? == 25).then_some(()));
    fill(&mut wire, "aged", 1, now_ms())?;
    node.restart();
    let mut wire = node.wire();
    eventually("the leader is back", || (wire.list_offset("aged", 0, -1).ok()?.offset == 26).then_some(()));
    assert_eq!(log_start(&mut wire, "aged")?, 25, "offsets are not used again");
    Ok(())
}

/// What was deleted by retention would be lost to readers who count on compaction.
#[test]
fn retention_never_deletes_from_a_compacted_topic() -> Result<()> {
    let mut eager = EAGER.to_vec();
    eager.push(("log.cleaner.enable", "true"));
    let node = Node::with(&eager);
    let mut wire = node.wire();
    let limits = [SEGMENT, ("retention.ms", "1000"), ("retention.bytes", "1"), ("file.delete.delay.ms", "0")];
    let compacted = [&limits[..], &[("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "1.0")]].concat();
    wire.create_topic("compacted", 1, &compacted)?;
    wire.create_topic("control", 1, &limits)?;
    for topic in ["compacted", "control"] {
        fill(&mut wire, topic, 15, now_ms() - 3_600_000)?;
    }
    // Once the other topic is empty, the same look has passed over the compacted one.
    eventually("the control is deleted", || (log_start(&mut wire, "control").ok()? == 15).then_some(()));
    assert_eq!(log_start(&mut wire, "compacted")?, 0);
    Ok(())
}

/// The answer is under way when the file that it comes from is deleted: its reader has stopped reading.
#[test]
fn a_segment_that_is_being_sent_is_sent_to_its_end() -> Result<()> {
    const LARGE: i32 = 16 << 20;
    let node = Node::with(&EAGER);
    let mut wire = node.wire();
    wire.create_topic("sent", 1, &[("segment.bytes", "12582912"), ("file.delete.delay.ms", "0")])?;
    fill(&mut wire, "sent", 140, now_ms())?;
    let second = segments(&node, "sent")[1].trim_end_matches(".log").parse::<i64>()?;
    let mut slow = node.wire();
    let mut request = fetch_request("sent", 0, 0).with_max_bytes(LARGE);
    request.topics[0].partitions = vec![fetch_partition(0, 0).with_partition_max_bytes(LARGE)];
    slow.send(12, &request)?;
    // More than the sockets between hold: what they do not is still in the file alone.
    eventually("the answer has begun", || (slow.readable_bytes() > 0).then_some(()));
    assert_eq!(wire.delete_records("sent", 0, second)?, (0, second));
    let first = node.partition_dir("sent", 0).join("00000000000000000000.log");
    let deleted = first.with_extension("log.deleted");
    eventually("the segment is deleted", || (!first.exists() && !deleted.exists()).then_some(()));
    assert_eq!(wire.fetch("sent", 0, 0)?.error_code, 1, "OFFSET_OUT_OF_RANGE for whoever comes now");
    let response = slow.receive::<FetchRequest>(12)?;
    let batches = parse(&response.responses[0].partitions[0].records.clone().unwrap_or_default());
    assert_eq!(batches.len() as i64, second, "every batch, each with its checksum");
    Ok(())
}

/// What a topic's limits are follows its configuration at once, and the broker's default where it has none.
#[test]
fn limits_change_while_the_broker_runs() -> Result<()> {
    let node = Node::with(&EAGER);
    let mut wire = node.wire();
    for topic in ["by-time", "by-size", "by-default"] {
        wire.create_topic(topic, 1, &[SEGMENT, ("file.delete.delay.ms", "0")])?;
        fill(&mut wire, topic, 25, now_ms() - 3_600_000)?;
    }
    assert_eq!(log_start(&mut wire, "by-time")?, 0, "a week is Kafka's default");
    wire.alter_config(TOPIC, "by-size", "retention.bytes", "1")?;
    eventually("closed segments go", || (log_start(&mut wire, "by-size").ok()? == 20).then_some(()));
    wire.alter_config(TOPIC, "by-time", "retention.ms", "60000")?;
    eventually("all of it goes", || (log_start(&mut wire, "by-time").ok()? == 25).then_some(()));
    assert_eq!(log_start(&mut wire, "by-default")?, 0);
    wire.alter_config(BROKER, "", "log.retention.ms", "60000")?;
    eventually("all of it goes", || (log_start(&mut wire, "by-default").ok()? == 25).then_some(()));
    Ok(())
}

#[test]
fn deleted_topics_leave_no_directory() -> Result<()> {
    let node = Node::with(&[("log.segment.delete.delay.ms", "200")]);
    let mut wire = node.wire();
    wire.create_topic("dropped", 2, &[("file.delete.delay.ms", "200")])?;
    fill(&mut wire, "dropped", 3, now_ms())?;
    wire.delete_topic("dropped")?;
    eventually("both directories are gone", || {
        let names = fs::read_dir(node.log_dir()).ok()?.flatten().map(|entry| entry.file_name());
        (!names.into_iter().any(|name| name.to_string_lossy().starts_with("dropped"))).then_some(())
    });
    Ok(())
}
