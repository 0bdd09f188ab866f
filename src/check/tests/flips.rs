//! One bit is turned over, in every byte of every file: it is found where it is.

use super::*;

/// Values that nothing else tells, so that another one is as good: the identity of a directory, the broker epoch of the
/// marker, a number within its range.
const UNCHECKED: [(&str, &str); 4] = [
    ("meta.properties", "directory.id="),
    (".kafka_cleanshutdown", "\"brokerEpoch\":"),
    ("replication-offset-checkpoint", "orders"),
    ("log-start-offset-checkpoint", "orders"),
];

/// Whether the byte lies in a value that can't be held against anything.
fn is_unchecked(path: &Path, content: &[u8], byte: usize) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let Ok(text) = std::str::from_utf8(content) else { return false };
    let line_at = text[..byte].rfind('\n').map_or(0, |end| end + 1);
    let before = &text[line_at..byte];
    let is_value = |begin: &str| before.contains(begin);
    name == ".lock"
        || (name == "meta.properties" && text[line_at..].starts_with('#'))
        || UNCHECKED.iter().any(|(file, begin)| name == *file && is_value(begin))
}

/// Where what was found is: the file itself, or one that it must agree with.
fn finds(report: &Report, path: &Path, byte: u64) -> bool {
    let is_here = |finding: &&Finding| finding.path == path;
    let covers = |finding: &&Finding| {
        finding.position.is_none_or(|at| at <= byte && byte < at + finding.bytes.unwrap_or_default().max(1))
    };
    let here: Vec<_> = report.findings.iter().filter(is_here).collect();
    here.iter().any(covers)
}

fn check_flips(node: &Node, of: impl Fn(&str) -> bool, bit_of: impl Fn(u64) -> u64) -> usize {
    let mut flips = 0;
    for (path, size_bytes) in node.files() {
        if !of(&path.file_name().unwrap().to_string_lossy()) {
            continue;
        }
        let content = node.disk.read(&path, 1 << 20).unwrap();
        for byte in 0..size_bytes {
            if is_unchecked(&path, &content, byte as usize) {
                continue;
            }
            let bit = byte * 8 + bit_of(byte);
            node.disk.flip_bit(&path, bit).unwrap();
            let report = node.check();
            node.disk.flip_bit(&path, bit).unwrap();
            let (path, flipped) = (path.display(), content[byte as usize]);
            assert!(!report.findings.is_empty(), "{path}:{byte} ({flipped:#x}): nothing is found");
            if !finds(&report, Path::new(&path.to_string()), byte) {
                // Files that are held against each other, and a count against the lines that it counts.
                let is_compared = |finding: &Finding| {
                    use Kind::{Checkpoint, LeaderEpoch, LeaderEpochCheckpoint, MetaProperties, PartitionMetadata};
                    match finding.kind {
                        Checkpoint => finding.path == Path::new(&path.to_string()),
                        LeaderEpoch | LeaderEpochCheckpoint | PartitionMetadata | MetaProperties => true,
                        _ => false,
                    }
                };
                assert!(
                    report.findings.iter().any(is_compared),
                    "{path}:{byte} ({flipped:#x}): found elsewhere\n{report}"
                );
            }
            flips += 1;
        }
    }
    assert_eq!(node.check().findings, [], "the bits are back");
    flips
}

#[test]
fn in_batches() {
    let node = Node::stopped();
    // One partition is as good as three.
    let node = Node { directories: vec!["/b".into()], ..node };
    let is_log = |name: &str| Path::new(name).extension().is_some_and(|extension| extension == "log");
    assert!(check_flips(&node, is_log, |byte| (byte * 5 + byte / 61) % 8) > 5000);
}

#[test]
fn in_indexes() {
    let node = Node { directories: vec!["/b".into()], ..Node::stopped() };
    let is_index = |name: &str| name.ends_with("index");
    for shift in 0..3 {
        assert!(check_flips(&node, is_index, |byte| (byte * 3 + shift * 5) % 8) > 100);
    }
}

#[test]
fn in_snapshots() {
    let node = Node { directories: vec!["/b".into()], ..Node::stopped() };
    assert!(check_flips(&node, |name| name.ends_with(".snapshot"), |byte| byte % 8) > 100);
}

#[test]
fn in_small_files() {
    let node = Node::stopped();
    let is_small = |name: &str| !name.contains("000") && name != ".lock";
    // A flipped sixth bit makes another letter's case or no digit; a flipped first one another digit.
    for bit in [6, 0] {
        assert!(check_flips(&node, is_small, |_| bit) > 300);
    }
}
