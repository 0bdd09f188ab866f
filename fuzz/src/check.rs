//! `ottla check` and its repair, on a log directory whatever its files hold: the input is that of [`recovery`].
//!
//! A check writes nothing. What a repair does not say that it leaves is right afterwards, and a second repair finds
//! nothing to do.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ottla::check::{Check, Finding, Kind, Level, Progress, Report, Verdict};
use ottla::config::BrokerConfig;
use ottla::io::sim::SimDisk;
use ottla::io::{Disk, EntryKind};

use super::append::NOW_MS;
use super::recovery;

pub fn run(data: &[u8]) {
    let (_, disk) = recovery::directory_of(data);
    let directories = [PathBuf::from(recovery::DATA)];
    let config = BrokerConfig::default();
    let check = Check {
        disk: Arc::clone(&disk) as _,
        directories: &directories,
        config: &config,
        threads: 1,
        now_ms: NOW_MS,
    };
    let before = files(&disk);
    let report = checked(&check);
    assert!(report.result == Verdict::Clean || !report.findings.is_empty());
    let repair = check.plan_repair(&Progress::default()).expect("it could be checked");
    assert_eq!(repair.report().findings, report.findings, "twice the same");
    assert!(files(&disk) == before, "a check writes nothing");
    let steps = repair.steps();
    if repair.carry_out().is_err() {
        // Offsets end somewhere, and so do logs that were made to begin there.
        return;
    }
    let after = checked(&check);
    if steps.iter().any(|step| step.contains("stays")) {
        return;
    }
    for finding in after.findings.iter().filter(|finding| finding.level == Level::Damage) {
        assert!(is_nobodys(finding), "{finding}\nbefore:\n{report}\n{steps:#?}\nafter:\n{after}");
    }
    let repaired = files(&disk);
    let again = check.plan_repair(&Progress::default()).expect("it could be checked");
    assert_eq!(again.steps(), Vec::<String>::new());
    again.carry_out().expect("there is nothing to do");
    assert!(files(&disk) == repaired, "a second repair changes nothing");
}

/// Whoever wrote that meant it: the checksum is right, recovery takes it, and so does the repair.
fn is_nobodys(finding: &Finding) -> bool {
    finding.kind == Kind::Batch && finding.message.contains("records, but the last offset delta is")
}

fn checked(check: &Check<'_>) -> Report {
    let progress = Progress::default();
    let report = check.run(&progress).expect("the disk is sound");
    let (read, total) = (progress.read_bytes.load(Ordering::Relaxed), progress.total_bytes.load(Ordering::Relaxed));
    assert!(read <= total, "{read} of {total} bytes");
    report
}

/// All files and their content, but for the lock.
fn files(disk: &SimDisk) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::from(recovery::DATA)];
    while let Some(folder) = folders.pop() {
        for entry in disk.list(&folder).expect("the disk is sound") {
            let path = folder.join(&entry.name);
            match entry.kind {
                EntryKind::Directory => folders.push(path),
                _ if entry.name == ".lock" => {}
                _ => files.push((path.clone(), disk.read(Path::new(&path), 1 << 24).expect("the disk is sound"))),
            }
        }
    }
    files.sort();
    files
}
