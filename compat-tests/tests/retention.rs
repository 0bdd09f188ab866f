//! Segments come and go: rolled by size and time, deleted by age and size, never on a compacted topic.

use std::fs;

use anyhow::Result;
use ottla_compat_tests::Node;
use ottla_compat_tests::batch::{Batch, Record, now_ms};
use ottla_compat_tests::wait::eventually;
use ottla_compat_tests::wire::Wire;

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
