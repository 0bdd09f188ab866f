//! Logs from before there were batches are looked at, told of, and never touched.

use super::*;
use crate::log::checkpoints;
use crate::log::testing::old_message;

const LOG: &str = "/a/old-0/00000000000000000000.log";

/// A stopped node that has such a log too.
fn with_log(content: &[u8], end: Offset) -> Node {
    let node = Node::stopped();
    node.disk.create_directory(Path::new("/a/old-0")).unwrap();
    node.disk.write_atomically(Path::new(LOG), content).unwrap();
    let mut ends = checkpoints::read(&*node.disk, Path::new("/a"), RECOVERY_POINT_CHECKPOINT).unwrap();
    ends.insert(TopicPartition::new("old", 0), end);
    checkpoints::write(&*node.disk, Path::new("/a"), RECOVERY_POINT_CHECKPOINT, &ends).unwrap();
    node
}

/// Offsets 0 to 29 in both formats, the last one large; v2 follows where the format was raised.
fn messages(is_raised: bool) -> Vec<u8> {
    let message = |offset: i64| old_message((offset / 15) as u8, offset, &[offset as u8 | 0x80; 100]);
    let mut log: Vec<u8> = (0..29).flat_map(message).collect();
    log.extend(old_message(1, 29, &vec![b'v'; 3 << 20]));
    if is_raised {
        let mut batch = RecordBatchBuilder::new(Offset(30)).leader_epoch(LeaderEpoch(1));
        batch.append(&NewRecord { timestamp_ms: NOW_MS, key: None, value: Some(b"v2"), headers: &[] });
        log.extend(batch.build().unwrap());
    }
    log
}

fn of_log(report: &Report) -> Vec<&Finding> {
    report.findings.iter().filter(|finding| finding.topic.as_deref() == Some("old")).collect()
}

#[test]
fn sound_messages_are_worth_a_note() {
    for is_raised in [false, true] {
        let report = with_log(&messages(is_raised), Offset(30 + i64::from(is_raised))).check();
        let found = of_log(&report);
        assert_eq!((found.len(), found[0].level, found[0].kind), (1, Level::Note, Kind::OldFormat), "{report}");
        assert!(found[0].message.starts_with("30 messages of formats v0 or v1"), "{report}");
        assert_eq!((report.result, report.batches), (Verdict::Clean, 3 * 33 + 30 + u64::from(is_raised)));
    }
}

/// Every part of a message in the middle, and of the batch behind them all.
#[test]
fn damage_is_found_and_stays() {
    let log = messages(true);
    let third = 3 * (log.len() - (3 << 20)) / 30;
    for byte in [0, 7, 9, 11, 12, 16, 17, 30, third + 50, log.len() - 70, log.len() - 1] {
        let mut content = log.clone();
        content[byte] ^= 1 << 5;
        let node = with_log(&content, Offset(31));
        let check = node.as_check();
        let repair = check.plan_repair(&Progress::default()).unwrap();
        let report = repair.report();
        let found = of_log(&report);
        let damage = found.iter().find(|finding| finding.level == Level::Damage);
        // An offset is not covered by the checksum; one that is too low is seen, and so is one that is far too high.
        let damage = damage.unwrap_or_else(|| panic!("byte {byte}: {report}"));
        let (position, bytes) = (damage.position.unwrap() as usize, damage.bytes.unwrap() as usize);
        assert!((position..position + bytes.max(1)).contains(&byte) || byte < 12, "byte {byte}: {report}");
        assert!(bytes < 3 << 20, "byte {byte}: what follows is sound: {report}");
        assert!(repair.steps()[0].contains("its damage stays"), "{:?}", repair.steps());
        repair.carry_out().unwrap();
        assert_eq!(node.disk.read(Path::new(LOG), 16 << 20).unwrap(), content, "byte {byte}");
    }
}
