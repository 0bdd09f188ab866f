//! What a check says at its end: for people, and as one JSON document with names that stay.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::Found;
use super::finding::{Finding, Level};

/// Of the JSON document; grows when a field changes its meaning.
const VERSION: u32 = 1;

/// Whether all is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// No damage; what a crash has left is put right by the next start.
    Clean,
    Damaged,
}

/// One log directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckedDirectory {
    pub path: PathBuf,
    /// It was closed in good order: all of it counts as being on the device.
    pub clean_shutdown: bool,
    pub cluster_id: Option<String>,
    pub node_id: Option<i32>,
    pub directory_id: Option<String>,
    pub partitions: usize,
}

/// All that a check found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    pub version: u32,
    pub result: Verdict,
    pub directories: Vec<CheckedDirectory>,
    pub partitions: usize,
    pub segments: u64,
    pub batches: u64,
    pub records: u64,
    /// Of all files that were read.
    pub bytes: u64,
    pub seconds: f64,
    pub bytes_per_second: u64,
    pub findings: Vec<Finding>,
    /// Of partitions with very many.
    pub findings_left_out: u64,
    /// What a repair did, one sentence for each change; empty without `--repair`.
    pub repairs: Vec<String>,
    /// What is found after the repair; `result` is about this then.
    pub remaining: Vec<Finding>,
}

impl Report {
    pub(super) fn of(found: &Found) -> Self {
        let all = || found.partitions.iter().flatten();
        let directory = |(directory, partitions): (&super::DirectoryFacts, &Vec<_>)| {
            let meta = directory.meta.as_ref();
            CheckedDirectory {
                path: directory.path.clone(),
                clean_shutdown: directory.was_clean,
                cluster_id: meta.and_then(|meta| meta.cluster_id.clone()),
                node_id: meta.and_then(|meta| meta.node_id).map(|node| node.0),
                directory_id: meta.and_then(|meta| meta.directory_id).map(|id| id.to_string()),
                partitions: partitions.len(),
            }
        };
        let mut findings: Vec<Finding> = Vec::new();
        for (directory, partitions) in found.directories.iter().zip(&found.partitions) {
            findings.extend(directory.findings.kept.iter().cloned());
            findings.extend(partitions.iter().flat_map(|facts| facts.findings.kept.iter().cloned()));
        }
        let is_damaged = findings.iter().any(|finding| finding.level == Level::Damage)
            || all().any(|facts| facts.findings.has_damage());
        Self {
            version: VERSION,
            result: if is_damaged { Verdict::Damaged } else { Verdict::Clean },
            directories: found.directories.iter().zip(&found.partitions).map(directory).collect(),
            partitions: all().count(),
            segments: all().map(|facts| facts.segments).sum(),
            batches: all().map(|facts| facts.batches).sum(),
            records: all().map(|facts| facts.records).sum(),
            bytes: all().map(|facts| facts.bytes).sum::<u64>()
                + found.directories.iter().map(|directory| directory.bytes).sum::<u64>(),
            seconds: 0.0,
            bytes_per_second: 0,
            findings,
            findings_left_out: all().map(|facts| facts.findings.left_out).sum(),
            repairs: Vec::new(),
            remaining: Vec::new(),
        }
    }

    /// How long it took.
    pub fn set_elapsed(&mut self, elapsed: Duration) {
        self.seconds = elapsed.as_secs_f64();
        self.bytes_per_second = (self.bytes as f64 / self.seconds.max(1e-6)) as u64;
    }

    pub fn count(&self, level: Level) -> usize {
        self.findings.iter().filter(|finding| finding.level == level).count()
    }
}

/// A line for each finding, one for what was read, one for the verdict.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        if self.findings_left_out > 0 {
            writeln!(f, "and {} findings more", self.findings_left_out)?;
        }
        let Self { partitions, segments, batches, records, .. } = self;
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        writeln!(
            f,
            "{partitions} partitions, {segments} segments, {batches} batches, {records} records: \
             {:.1} MB in {:.2} s, {:.0} MB/s",
            megabytes(self.bytes),
            self.seconds,
            megabytes(self.bytes_per_second)
        )?;
        let (damages, crashes) = (self.count(Level::Damage), self.count(Level::Crash));
        match self.result {
            Verdict::Clean if crashes > 0 => {
                write!(f, "no damage; {crashes} leftovers of a crash, which the next start puts right")
            }
            Verdict::Clean => write!(f, "no damage"),
            Verdict::Damaged => write!(f, "{damages} places are damaged"),
        }
    }
}
