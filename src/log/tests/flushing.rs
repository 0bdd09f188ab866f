//! Group commit.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use tempfile::TempDir;

use crate::config::LogConfig;
use crate::ids::Offset;
use crate::log::partition_log::PartitionLog;
use crate::log::testing::{append, batch, new_log};

const PATIENCE: Duration = Duration::from_secs(10);

fn events(log: &Arc<PartitionLog>) -> mpsc::Receiver<Option<Offset>> {
    let (sender, events) = mpsc::channel();
    log.set_on_flushed(Box::new(move |result| _ = sender.send(result.ok())));
    events
}

fn wait_for(events: &mpsc::Receiver<Option<Offset>>, offset: Offset) {
    while events.recv_timeout(PATIENCE).unwrap().unwrap() < offset {}
}

#[test]
fn everything_appended_is_flushed() {
    let root = TempDir::new().unwrap();
    let log = new_log(root.path(), LogConfig { segment_bytes: 1000, ..LogConfig::default() });
    let events = events(&log);
    for _ in 0..50 {
        append(&log, &batch(1, 100)).unwrap();
        log.request_flush();
    }
    wait_for(&events, Offset(50));
    assert_eq!(log.flushed_offset(), Offset(50));
    assert!(log.segment_count() > 5);
}

#[test]
fn without_flush_before_ack_only_when_asked() {
    let root = TempDir::new().unwrap();
    let config = LogConfig { flush_before_ack: false, flush_messages: 10, ..LogConfig::default() };
    let log = new_log(root.path(), config);
    let events = events(&log);
    for _ in 0..9 {
        append(&log, &batch(1, 10)).unwrap();
        log.request_flush();
    }
    assert_eq!(log.flushed_offset(), Offset(0));
    append(&log, &batch(1, 10)).unwrap();
    log.request_flush();
    wait_for(&events, Offset(10));
}
