//! A repair leads to a directory that checks clean, and loses no more than it must.

use super::*;
use crate::log::directory::FileKind;

/// The records of all partitions: how many from the beginning on are still the same.
fn ends(node: &Node) -> Vec<i64> {
    let manager = node.start();
    let ends = manager.logs().iter().map(|log| log.log_end_offset().0).collect();
    manager.shutdown(None);
    ends
}

fn repair(node: &Node) -> Vec<String> {
    let check = node.as_check();
    let repair = check.plan_repair(&Progress::default()).unwrap();
    assert_eq!(repair.report().result, Verdict::Damaged);
    let done = repair.carry_out().unwrap();
    let after = node.check();
    assert_eq!(after.result, Verdict::Clean, "{done:?}\n{after}");
    done
}

fn segments(node: &Node, partition: &str) -> Vec<PathBuf> {
    let is_log = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "log");
    let files = node.files().into_iter().map(|(path, _)| path);
    files.filter(|path| path.parent().unwrap().ends_with(partition) && is_log(path)).collect()
}

#[test]
fn a_damaged_batch_ends_the_log_before_it() {
    let node = Node::stopped();
    let whole = ends(&node);
    let second = segments(&node, "orders-1")[1].clone();
    node.disk.flip_bit(&second, 8 * 80).unwrap();
    let untouched: Vec<_> =
        node.files().into_iter().filter(|(path, _)| path.parent().unwrap().ends_with("orders-0")).collect();
    let done = repair(&node);
    assert!(done[0].starts_with("orders-1: the log ends before offset "), "{done:?}");
    assert!(done.iter().any(|step| step.contains("names no broker epoch")), "{done:?}");
    assert!(untouched.iter().all(|file| node.files().contains(file)));
    let (_, base) = FileKind::parse(second.file_name().unwrap().to_str().unwrap()).unwrap();
    assert_eq!(ends(&node), [whole[0], base.0, whole[2]]);
    assert_eq!(segments(&node, "orders-1").len(), 2);
}

#[test]
fn what_no_checksum_covers_is_written_anew() {
    for (byte, bit) in [(7, 3), (2, 1), (15, 2), (12, 7)] {
        let node = Node::stopped();
        let before = node.files();
        let log = segments(&node, "orders-1")[1].clone();
        let content = node.disk.read(&log, 1 << 20).unwrap();
        let second = 12 + u64::from(u32::from_be_bytes(content[8..12].try_into().unwrap()));
        node.disk.flip_bit(&log, (second + byte) * 8 + bit).unwrap();
        let done = repair(&node);
        assert!(done[0].contains("nothing is lost"), "{done:?}");
        assert_eq!(node.disk.read(&log, 1 << 20).unwrap(), content);
        assert_eq!(node.files(), before, "and nothing else is touched");
    }
}

/// Every file with a flipped bit, but for logs: nothing is lost then.
#[test]
fn what_follows_from_the_log_is_built_anew() {
    let whole = ends(&Node::stopped());
    let node = Node::stopped();
    for (path, size_bytes) in node.files() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let is_log = path.extension().is_some_and(|extension| extension == "log");
        if is_log || [".lock", "meta.properties"].contains(&name.as_str()) {
            continue;
        }
        for byte in [0, size_bytes / 2, size_bytes.saturating_sub(3)] {
            let node = Node::stopped();
            node.disk.flip_bit(&path, byte * 8 + 6).unwrap();
            if node.check().result == Verdict::Clean {
                continue;
            }
            repair(&node);
            assert_eq!(ends(&node), whole, "{}:{byte}", path.display());
            assert_eq!(node.check().findings, []);
        }
    }
}

#[test]
fn a_missing_index_is_built_anew() {
    let node = Node::stopped();
    let before: Vec<_> = node.files();
    for path in segments(&node, "orders-2") {
        node.disk.remove_file(&path.with_extension("index")).unwrap();
    }
    repair(&node);
    for (before, after) in before.iter().zip(node.files()) {
        assert_eq!(*before, after);
    }
}

#[test]
fn damage_below_the_log_start_is_left() {
    let node = Node::new();
    let manager = node.filled();
    let log = manager.logs().remove(0);
    log.delete_records(Offset(5)).unwrap();
    manager.shutdown(None);
    drop((log, manager));
    let first = segments(&node, "orders-0")[0].clone();
    node.disk.flip_bit(&first, 8 * 80).unwrap();
    let whole_bytes = node.disk.read(&first, 1 << 20).unwrap().len();
    let check = node.as_check();
    let repair = check.plan_repair(&Progress::default()).unwrap();
    assert!(repair.steps()[0].contains("stays"), "{:?}", repair.steps());
    repair.carry_out().unwrap();
    assert_eq!(node.disk.read(&first, 1 << 20).unwrap().len(), whole_bytes);
}
