//! What a crash leaves beyond the recovery point is no damage; what lies before it is.

use super::*;
use crate::io::OpenMode;
use crate::log::directory::FileKind;

/// A node that was checkpointed after 30 batches, wrote 10 more and lost its power.
fn crashed(seed: u64) -> Node {
    let node = Node::new();
    let manager = node.filled();
    manager.checkpoint_now();
    for log in manager.logs() {
        for at in 30..40 {
            write(&log, at, 5);
        }
    }
    drop(manager);
    node.disk.crash(seed);
    node
}

#[test]
fn a_crash_is_no_damage() {
    let mut leftovers = 0;
    for seed in 0..60 {
        let node = crashed(seed);
        let report = node.check();
        // Pages come to the device in any order: where a later batch is whole, and an earlier one is not, recovery loses
        // a batch that looks well, and the check says so.
        let is_hole =
            |finding: &Finding| finding.level == Level::Damage && finding.message.contains("sound batches follow");
        let damages: Vec<_> = report.findings.iter().filter(|finding| finding.level == Level::Damage).collect();
        let has_hole = report.findings.iter().any(is_hole);
        assert!(damages.is_empty() || has_hole, "seed {seed}: {report}");
        leftovers += report.count(Level::Crash);
        node.start().shutdown(None);
        assert_eq!(node.check().findings, [], "seed {seed}: the start has put it right");
    }
    assert!(leftovers > 10);
}

#[test]
fn a_killed_process_leaves_a_sound_log() {
    let node = Node::new();
    let manager = node.filled();
    manager.checkpoint_now();
    drop(manager);
    node.disk.kill();
    assert_eq!(node.check().findings, []);
}

#[test]
fn damage_before_the_recovery_point_is_told_apart_from_a_torn_end() {
    let node = Node::new();
    let manager = node.filled();
    manager.checkpoint_now();
    let log = manager.logs().remove(0);
    let folder = log.directory().path();
    let active = folder.join(FileKind::Log.file_name(log.active_segment_base_offset()));
    let size_bytes = node.disk.open(&active, OpenMode::Read).unwrap().size_bytes().unwrap();
    write(&log, 30, 5);
    drop((manager, log));
    node.disk.kill();

    let torn = node.disk.open(&active, OpenMode::ReadWrite).unwrap();
    torn.set_size_bytes(size_bytes + 100).unwrap();
    let report = node.check();
    let [finding] = &report.findings[..] else { panic!("{report}") };
    assert_eq!((finding.level, finding.position), (Level::Crash, Some(size_bytes)));
    assert_eq!(report.result, Verdict::Clean);

    node.disk.flip_bit(&active, 8 * 100).unwrap();
    let report = node.check();
    assert_eq!((report.result, report.count(Level::Damage)), (Verdict::Damaged, 1), "{report}");
}
