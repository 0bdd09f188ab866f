//! One log directory: whose it is, how it was left, and the small files that tell of all its partitions.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::CheckError;
use super::finding::{Finding, Findings, Kind, Level};
use super::partition_check::PartitionFacts;
use super::text_check::TextFile;
use crate::ids::{Offset, TopicPartition};
use crate::io::{DirectoryEntry, DirectoryLock, Disk, EntryKind, TEMPORARY_SUFFIX};
use crate::log::checkpoints::{
    self, CLEANER_OFFSET_CHECKPOINT, LOG_START_OFFSET_CHECKPOINT, OFFSET_CHECKPOINTS, OffsetCheckpoint,
    RECOVERY_POINT_CHECKPOINT, REPLICATION_OFFSET_CHECKPOINT,
};
use crate::log::clean_shutdown::{self, CLEAN_SHUTDOWN_FILE};
use crate::log::log_directory::{self, DirectoryError, Folder, LOCK_FILE};
use crate::log::meta_properties::{self, META_PROPERTIES_FILE, MetaProperties};

const META_KEYS: [&str; 5] = ["version", "cluster.id", "node.id", "broker.id", "directory.id"];

/// A log directory that no other process has.
#[derive(Debug)]
pub(super) struct DirectoryFacts {
    pub(super) path: PathBuf,
    pub(super) was_clean: bool,
    /// `None`: absent or not readable.
    pub(super) meta: Option<MetaProperties>,
    /// By the file's name; one that can't be read is not there.
    pub(super) checkpoints: BTreeMap<&'static str, CheckpointFile>,
    /// Those that can't be read.
    pub(super) bad_checkpoints: Vec<&'static str>,
    pub(super) is_clean_marker_bad: bool,
    /// The partitions' folders, and whether each is a copy on its way here.
    pub(super) folders: Vec<(TopicPartition, PathBuf, bool)>,
    pub(super) findings: Findings,
    pub(super) bytes: u64,
    lock: Option<Box<dyn DirectoryLock>>,
}

/// One of the offset checkpoints.
#[derive(Clone, Debug)]
pub(super) struct CheckpointFile {
    pub(super) path: PathBuf,
    pub(super) content: String,
    pub(super) offsets: OffsetCheckpoint,
}

impl CheckpointFile {
    fn finding(&self, level: Level, partition: &TopicPartition, message: String) -> Finding {
        let file = TextFile { path: &self.path, kind: Kind::Checkpoint, content: self.content.clone() };
        let begin = format!("{} {} ", partition.topic, partition.partition);
        file.at_line_of(level, &begin, message).of(partition)
    }
}

impl DirectoryFacts {
    /// Takes the directory's lock and reads its small files. Nothing is written.
    pub(super) fn read(disk: &dyn Disk, path: &Path) -> Result<Self, CheckError> {
        let io = |source| CheckError::Io { path: path.to_owned(), source };
        let mut entries = disk.list(path).map_err(io)?;
        entries.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        let has = |name: &str| entries.iter().any(|entry| entry.name == name);
        if !has(META_PROPERTIES_FILE) {
            log_directory::check_unrelated(&entries, path)?;
        }
        let mut facts = Self {
            path: path.to_owned(),
            was_clean: has(CLEAN_SHUTDOWN_FILE),
            meta: None,
            checkpoints: BTreeMap::new(),
            bad_checkpoints: Vec::new(),
            is_clean_marker_bad: false,
            folders: Vec::new(),
            findings: Findings::default(),
            bytes: 0,
            // Who has none has never been run: a lock file is not made for the check.
            lock: if has(LOCK_FILE) { lock(disk, path)? } else { None },
        };
        facts.read_entries(&entries);
        facts.read_meta(disk).map_err(io)?;
        facts.read_clean_marker(disk).map_err(io)?;
        for name in OFFSET_CHECKPOINTS {
            facts.read_checkpoint(disk, name).map_err(io)?;
        }
        Ok(facts)
    }

    /// Nobody else gets it while this is kept.
    pub(super) fn is_locked(&self) -> bool {
        self.lock.is_some()
    }

    pub(super) fn offset(&self, checkpoint: &str, partition: &TopicPartition) -> Option<Offset> {
        self.checkpoints.get(checkpoint)?.offsets.get(partition).copied()
    }

    fn read_entries(&mut self, entries: &[DirectoryEntry]) {
        for entry in entries {
            let path = self.path.join(&entry.name);
            if entry.kind == EntryKind::Directory {
                match Folder::parse(&entry.name) {
                    Folder::Partition(partition) => self.folders.push((partition, path, false)),
                    Folder::Future(partition) => self.folders.push((partition, path, true)),
                    Folder::Deleted | Folder::LeftAlone => {}
                    Folder::Unknown => {
                        let what = "a folder of no partition: Kafka does not start beside it";
                        self.findings.push(Finding::new(Level::Note, Kind::Foreign, &path, what));
                    }
                }
            } else if !log_directory::is_related(entry) {
                self.findings.push(Finding::new(Level::Note, Kind::Foreign, &path, "no file of a log directory's"));
            } else if entry.name.ends_with(TEMPORARY_SUFFIX) {
                let what = "a change of files was not completed";
                self.findings.push(Finding::new(Level::Crash, Kind::Leftover, &path, what));
            }
        }
    }

    fn read_meta(&mut self, disk: &dyn Disk) -> io::Result<()> {
        let path = self.path.join(META_PROPERTIES_FILE);
        let file = match TextFile::read(disk, &path, Kind::MetaProperties, meta_properties::MAX_FILE_BYTES)? {
            Ok(Some(file)) => file,
            Ok(None) => {
                if !self.folders.is_empty() {
                    self.findings.push(Finding::damage(Kind::MetaProperties, &path, "it is missing"));
                }
                return Ok(());
            }
            Err(finding) => {
                self.findings.push(finding);
                return Ok(());
            }
        };
        self.bytes += file.size_bytes();
        match MetaProperties::decode(&file.content) {
            Ok(meta) => self.meta = Some(meta),
            // Which line was the one that is missing cannot be told.
            Err(error) if error.reason.ends_with("is missing") => {
                let finding = Finding::damage(Kind::MetaProperties, &path, error.reason);
                self.findings.push(finding.at(0, file.size_bytes()));
            }
            Err(error) => self.findings.push(file.bad(Level::Damage, &error)),
        }
        // A key that nobody knows is a key that was another once.
        for (at, line) in file.content.lines().enumerate() {
            let key = line.split(['=', ':']).next().unwrap_or_default().trim();
            if !key.is_empty() && !key.starts_with(['#', '!']) && !META_KEYS.contains(&key) {
                let what = format!("the key '{}' is not known", key.escape_debug());
                self.findings.push(file.at_line(Level::Damage, at + 1, what));
            }
        }
        Ok(())
    }

    fn read_clean_marker(&mut self, disk: &dyn Disk) -> io::Result<()> {
        let path = self.path.join(CLEAN_SHUTDOWN_FILE);
        let file = match TextFile::read(disk, &path, Kind::CleanShutdown, clean_shutdown::MAX_FILE_BYTES)? {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(()),
            Err(finding) => {
                self.is_clean_marker_bad = true;
                self.findings.push(finding);
                return Ok(());
            }
        };
        self.bytes += file.size_bytes();
        // Kafka before 3.8 left an empty file.
        let content = serde_json::from_str::<serde_json::Value>(&file.content).ok();
        let is_known = content.is_some_and(|content| {
            content.get("version").and_then(serde_json::Value::as_i64) == Some(0)
                && content.get("brokerEpoch").is_some_and(|epoch| epoch.is_null() || epoch.as_i64().is_some())
        });
        if !file.content.is_empty() && !is_known {
            self.is_clean_marker_bad = true;
            let what = "not {\"version\":0,\"brokerEpoch\":...}: the directory was closed well, but by which broker epoch is not known";
            self.findings.push(Finding::damage(Kind::CleanShutdown, &path, what).at(0, file.size_bytes()));
        }
        Ok(())
    }

    fn read_checkpoint(&mut self, disk: &dyn Disk, name: &'static str) -> io::Result<()> {
        let path = self.path.join(name);
        let file = match TextFile::read(disk, &path, Kind::Checkpoint, checkpoints::MAX_FILE_BYTES)? {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(()),
            Err(finding) => {
                self.findings.push(finding);
                self.bad_checkpoints.push(name);
                return Ok(());
            }
        };
        self.bytes += file.size_bytes();
        match checkpoints::decode(&file.content) {
            Ok(offsets) => {
                let content = file.content;
                self.checkpoints.insert(name, CheckpointFile { path, content, offsets });
            }
            Err(error) => {
                self.findings.push(file.bad(Level::Damage, &error));
                self.bad_checkpoints.push(name);
            }
        }
        Ok(())
    }

    /// Holds the checkpoints against the logs.
    pub(super) fn compare(&mut self, partitions: &[&PartitionFacts]) {
        for facts in partitions {
            let found = self.compare_partition(facts);
            self.findings.extend(found);
        }
        let is_here = |partition: &TopicPartition| self.folders.iter().any(|(here, ..)| here == partition);
        let mut strangers = Vec::new();
        for (name, file) in &self.checkpoints {
            for partition in file.offsets.keys().filter(|partition| !is_here(partition)) {
                let what = format!("{name} names {partition}, which has no folder here");
                strangers.push(file.finding(Level::Note, partition, what));
            }
        }
        self.findings.extend(strangers);
    }

    fn compare_partition(&self, facts: &PartitionFacts) -> Vec<Finding> {
        let mut findings = Vec::new();
        let (partition, end) = (&facts.place.partition, facts.log_end_offset);
        let mut tell = |name: &str, level, what: String| {
            if let Some(file) = self.checkpoints.get(name) {
                findings.push(file.finding(level, partition, what).offset(end));
            }
        };
        // A log that is cut short says enough itself.
        let is_whole = !facts.findings.has_damage();
        match self.offset(RECOVERY_POINT_CHECKPOINT, partition) {
            Some(point) if point > end && is_whole => {
                tell(
                    RECOVERY_POINT_CHECKPOINT,
                    Level::Damage,
                    format!("recovery point {point}, and the log ends with {end}"),
                );
            }
            Some(point) if point < end && self.was_clean && is_whole => {
                let what = format!("recovery point {point} after a clean stop, where the log ends with {end}");
                tell(RECOVERY_POINT_CHECKPOINT, Level::Damage, what);
            }
            None if self.was_clean && end > Offset::ZERO && facts.place.is_served => {
                let what = format!("{partition} is not named after a clean stop");
                tell(RECOVERY_POINT_CHECKPOINT, Level::Damage, what);
            }
            _ => {}
        }
        if let Some(start) = self.offset(LOG_START_OFFSET_CHECKPOINT, partition) {
            let first = facts.first_base_offset;
            if (start > end && is_whole) || (start < first && self.was_clean) {
                let what = format!("log start offset {start}, where the log has {first} to {end}");
                tell(LOG_START_OFFSET_CHECKPOINT, Level::Damage, what);
            }
        }
        if let Some(high_watermark) = self.offset(REPLICATION_OFFSET_CHECKPOINT, partition)
            && high_watermark > end
            && is_whole
        {
            // It may run ahead of what is on the device where acknowledgements do.
            let level = if self.was_clean { Level::Damage } else { Level::Crash };
            tell(
                REPLICATION_OFFSET_CHECKPOINT,
                level,
                format!("high watermark {high_watermark}, and the log ends with {end}"),
            );
        }
        if let Some(cleaned) = self.offset(CLEANER_OFFSET_CHECKPOINT, partition)
            && cleaned > end
            && is_whole
        {
            tell(
                CLEANER_OFFSET_CHECKPOINT,
                Level::Damage,
                format!("cleaned up to {cleaned}, and the log ends with {end}"),
            );
        }
        findings
    }
}

fn lock(disk: &dyn Disk, path: &Path) -> Result<Option<Box<dyn DirectoryLock>>, CheckError> {
    match log_directory::lock(disk, path) {
        // Nobody writes there.
        Err(DirectoryError::Io { source, .. }) if source.kind() == io::ErrorKind::ReadOnlyFilesystem => Ok(None),
        lock => Ok(Some(lock?)),
    }
}
