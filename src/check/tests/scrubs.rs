//! The scrubber on logs that serve.

use std::time::{Duration, Instant};

use super::*;
use crate::error::ErrorCode;
use crate::log::directory::FileKind;

const LIMIT: Duration = Duration::from_secs(60);

#[expect(clippy::disallowed_methods, reason = "a deadline for a thread of its own")]
fn eventually(what: &str, mut probe: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !probe() {
        assert!(begin.elapsed() < LIMIT, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn damage_is_found_and_not_served() {
    let node = Node::new();
    let manager = node.filled();
    manager.checkpoint_now();
    let log = manager.logs().remove(1);
    let path = log.directory().file(FileKind::Log, Offset(0));
    let content = node.disk.read(&path, 1 << 20).unwrap();
    let second = 12 + u64::from(u32::from_be_bytes(content[8..12].try_into().unwrap()));
    node.disk.flip_bit(&path, (second + 80) * 8).unwrap();

    let scrubber = Scrubber::start(Arc::clone(&manager), Arc::clone(&node.clock) as _).unwrap();
    assert_eq!(manager.scrubbing().read_bytes(), 0, "off by default");
    manager.scrubbing().set_bytes_per_second(u64::MAX);
    eventually("a round", || manager.scrubbing().last_round_ms() == Some(NOW_MS));
    scrubber.stop();

    let damaged: Vec<_> = manager.logs().iter().map(|log| log.damaged_batches()).collect();
    assert_eq!(damaged, [0, 1, 0]);
    let written: u64 = manager.logs().iter().map(|log| log.size_bytes()).sum();
    assert!(manager.scrubbing().read_bytes() >= written);
    let end = log.log_end_offset();
    let first = log.read(Offset(0), 1 << 20, true, end).unwrap();
    assert_eq!(first.size_bytes() as u64, second);
    assert_eq!(log.read(first.next_offset, 1, true, end).unwrap_err().code(), ErrorCode::CorruptMessage);
    assert!(log.read(first.next_offset + 2, 1 << 20, true, end).unwrap().size_bytes() > 0);
}

#[test]
fn sound_logs_have_no_damage() {
    let node = Node::new();
    let manager = node.filled();
    let scrubber = Scrubber::start(Arc::clone(&manager), Arc::clone(&node.clock) as _).unwrap();
    manager.scrubbing().set_bytes_per_second(u64::MAX);
    eventually("a round", || manager.scrubbing().last_round_ms().is_some());
    scrubber.stop();
    assert_eq!(manager.scrubbing().read_bytes(), 0, "nothing is durable yet");
    assert!(manager.logs().iter().all(|log| log.damaged_batches() == 0));
}
