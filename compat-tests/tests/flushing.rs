//! When records go to the disk: before they are acknowledged, or, with `log.flush.before.ack=false`, by count and by time
//! as in Kafka. Shown by the metric of syncs.

use anyhow::{Context, Result};
use ottla_compat_tests::batch::Batch;
use ottla_compat_tests::http;
use ottla_compat_tests::wait::eventually;
use ottla_compat_tests::wire::{BROKER, TOPIC, Wire};
use ottla_compat_tests::{Node, only_ottla};

const PAGE_CACHE: (&str, &str) = ("log.flush.before.ack", "false");

/// How many syncs there were (kafka.log:type=LogFlushStats,name=LogFlushRateAndTimeMs). Checkpoints, which a node takes
/// every few seconds whatever its settings, are none of them.
fn syncs(node: &Node) -> Result<u64> {
    let (_, metrics) = http::get(&node.admin_address(), "/metrics")?;
    let name = "kafka_log_logflushstats_logflushrateandtimems_count ";
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)).context("the metric")?;
    Ok(line.parse::<f64>()? as u64)
}

fn append(wire: &mut Wire, topic: &str, records: usize) -> Result<()> {
    for _ in 0..records {
        wire.append(topic, 0, &Batch::of_values(&["x"]).encode())?;
    }
    Ok(())
}

#[track_caller]
fn check_syncs(node: &Node, expected: u64) {
    eventually("the sync is counted", || (syncs(node).ok()? >= expected).then_some(()));
    assert_eq!(syncs(node).expect("the metric"), expected);
}

#[test]
fn every_acknowledged_record_was_synced() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let node = Node::start();
    let mut wire = node.wire();
    wire.create_topic("synced", 1, &[])?;
    let before = syncs(&node)?;
    append(&mut wire, "synced", 20)?;
    check_syncs(&node, before + 20);
    Ok(())
}

#[test]
fn records_are_synced_by_count() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    let node = Node::with(&[PAGE_CACHE]);
    let mut wire = node.wire();
    wire.create_topic("never", 1, &[])?;
    wire.create_topic("counted", 1, &[("flush.messages", "10")])?;
    let before = syncs(&node)?;
    append(&mut wire, "never", 50)?;
    append(&mut wire, "counted", 9)?;
    assert_eq!(syncs(&node)?, before, "acknowledged from the page cache");
    append(&mut wire, "counted", 1)?;
    check_syncs(&node, before + 1);
    // Both change while the broker runs: the topic's own, and the default of topics without one.
    wire.alter_config(TOPIC, "counted", "flush.messages", "1")?;
    append(&mut wire, "counted", 1)?;
    check_syncs(&node, before + 2);
    wire.alter_config(BROKER, "", "log.flush.interval.messages", "60")?;
    append(&mut wire, "never", 10)?;
    check_syncs(&node, before + 3);
    wire.alter_config(TOPIC, "never", "flush.before.ack", "true")?;
    append(&mut wire, "never", 1)?;
    check_syncs(&node, before + 4);
    Ok(())
}

#[test]
fn records_are_synced_by_time() -> Result<()> {
    if only_ottla() {
        return Ok(());
    }
    // Kafka takes the interval of its scheduler where log.flush.interval.ms is not set.
    for setting in ["log.flush.interval.ms", "log.flush.scheduler.interval.ms"] {
        let node = Node::with(&[PAGE_CACHE, (setting, "300")]);
        let mut wire = node.wire();
        wire.create_topic("timed", 1, &[])?;
        let before = syncs(&node)?;
        append(&mut wire, "timed", 3)?;
        eventually("the time has come", || (syncs(&node).ok()? > before).then_some(()));
    }
    let node = Node::with(&[PAGE_CACHE]);
    let mut wire = node.wire();
    wire.create_topic("timed", 1, &[])?;
    append(&mut wire, "timed", 3)?;
    let before = syncs(&node)?;
    wire.alter_config(TOPIC, "timed", "flush.ms", "100")?;
    append(&mut wire, "timed", 1)?;
    eventually("the time has come", || (syncs(&node).ok()? > before).then_some(()));
    Ok(())
}
