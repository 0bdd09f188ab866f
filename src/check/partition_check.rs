//! One partition's folder: what should be in it, and what is.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;

use super::Compaction;
use super::epoch_check::EpochCheck;
use super::finding::{Finding, Findings, Kind, Level};
use super::mend::{Cut, Plan};
use super::segment_check::{LogState, SegmentCheck, SegmentPlace};
use super::text_check::TextFile;
use super::txn_check::TxnReplay;
use crate::ids::{Offset, TopicId, TopicPartition};
use crate::io::{Disk, EntryKind, OpenMode, TEMPORARY_SUFFIX};
use crate::log::directory::{CLEANED_SUFFIX, DELETED_SUFFIX, FileKind, SWAP_SUFFIX};
use crate::log::leader_epochs::{self, LEADER_EPOCH_CHECKPOINT, LeaderEpochs};
use crate::log::partition_metadata::{self, PARTITION_METADATA_FILE};
use crate::log::producer_rebuild;
use crate::log::producer_state::{ProducerStateEntry, ProducerStateManager};
use crate::time::TimestampMs;

/// Names of files that a change leaves behind when it is interrupted.
const LEFTOVER_SUFFIXES: [&str; 3] = [CLEANED_SUFFIX, SWAP_SUFFIX, TEMPORARY_SUFFIX];

/// All of a log that was closed in good order is trusted.
pub(super) const EVERYTHING: Offset = Offset(i64::MAX);

/// What the log directory and the metadata say of a partition.
#[derive(Clone, Debug)]
pub(super) struct PartitionPlace {
    pub(super) partition: TopicPartition,
    pub(super) folder: PathBuf,
    /// Bytes of its logs, for the order of work and for the progress bar.
    pub(super) log_bytes: u64,
    pub(super) was_clean: bool,
    /// `None`: the checkpoint does not name it.
    pub(super) recovery_point: Option<Offset>,
    pub(super) log_start_offset: Offset,
    pub(super) compaction: Compaction,
    pub(super) topic_id: Option<TopicId>,
    /// As far as is known. One that was left behind when a Kafka's directory was taken over is named in no checkpoint.
    pub(super) is_served: bool,
}

/// What a partition's folder holds.
#[derive(Debug)]
pub(super) struct PartitionFacts {
    pub(super) place: PartitionPlace,
    pub(super) findings: Findings,
    pub(super) plan: Plan,
    pub(super) first_base_offset: Offset,
    pub(super) log_end_offset: Offset,
    /// What `partition.metadata` says.
    pub(super) topic_id: Option<TopicId>,
    pub(super) segments: u64,
    pub(super) batches: u64,
    pub(super) records: u64,
    pub(super) bytes: u64,
}

/// Files of one folder, told by their names.
#[derive(Debug, Default)]
struct Names {
    base_offsets: BTreeSet<Offset>,
    indexes: Vec<(FileKind, Offset)>,
    snapshots: BTreeSet<Offset>,
    leftovers: Vec<String>,
    foreign: Vec<String>,
}

impl PartitionPlace {
    /// Reads all of the folder.
    pub(super) fn check(
        self,
        disk: &dyn Disk,
        now_ms: TimestampMs,
        progress: &AtomicU64,
    ) -> io::Result<PartitionFacts> {
        let names = Names::read(disk, &self.folder)?;
        let mut findings = Findings::default();
        let mut plan = Plan::default();
        let mut small_bytes = 0;
        let topic_id = self.check_topic_id(disk, &mut findings, &mut plan, &mut small_bytes)?;
        let epochs = self.check_epoch_file(disk, &mut findings, &mut plan, &mut small_bytes)?;
        let first_base_offset = names.base_offsets.first().copied().unwrap_or(self.log_start_offset);
        let (snapshots, begin) = self.check_snapshots(disk, &names, first_base_offset)?;
        small_bytes += snapshots.bytes;
        let mut replay = TxnReplay::new(first_base_offset, begin, now_ms);
        replay.is_exact &= self.compaction != Compaction::Applied;
        let mut log = LogState {
            end_offset: first_base_offset,
            epochs: EpochCheck::new(
                &self.folder,
                epochs,
                self.log_start_offset.max(first_base_offset),
                self.trusted_below(),
            ),
            replay,
            findings,
            plan,
            gaps: Vec::new(),
            gap_count: 0,
            torn: None,
            old_messages: 0,
            first_old: None,
            batches: 0,
            records: 0,
            index_bytes: 0,
        };
        let bases: Vec<_> = names.base_offsets.iter().copied().collect();
        for (at, &base_offset) in bases.iter().enumerate() {
            self.check_base(disk, &bases[..=at], &mut log)?;
            let place = SegmentPlace {
                disk,
                folder: &self.folder,
                base_offset,
                known_end: bases.get(at + 1).copied().or_else(|| self.recovery_point.filter(|_| self.was_clean)),
                is_last: at + 1 == bases.len(),
                compaction: self.compaction,
                trusted_below: self.trusted_below(),
                progress,
            };
            SegmentCheck::run(place, &mut log)?;
        }
        Ok(self.settle(&names, snapshots, topic_id, first_base_offset, (bases.len(), small_bytes), log))
    }

    /// What is said of a folder that can't be read to its end.
    pub(super) fn unreadable(self, error: &io::Error) -> PartitionFacts {
        let mut findings = Findings::default();
        let finding = Finding::damage(Kind::Partition, &self.folder, format!("it can't be read: {error}"));
        findings.push(finding.of(&self.partition));
        PartitionFacts {
            findings,
            plan: Plan::default(),
            first_base_offset: Offset::ZERO,
            log_end_offset: Offset::ZERO,
            topic_id: None,
            segments: 0,
            batches: 0,
            records: 0,
            bytes: 0,
            place: self,
        }
    }

    fn trusted_below(&self) -> Offset {
        if self.was_clean { EVERYTHING } else { self.recovery_point.unwrap_or(Offset::ZERO) }
    }

    /// What could only be said when the whole log was seen.
    fn settle(
        self,
        names: &Names,
        snapshots: Snapshots,
        topic_id: Option<TopicId>,
        first_base_offset: Offset,
        (segments, small_bytes): (usize, u64),
        mut log: LogState,
    ) -> PartitionFacts {
        let end = log.end_offset;
        log.epochs.finish(end);
        log.plan.rebuild_epochs |= log.epochs.is_checkpoint_wrong;
        log.plan.mends.append(&mut log.epochs.mends);
        log.findings.append(std::mem::take(&mut log.epochs.findings));
        self.tell_gaps(&mut log);
        for (offset, finding) in snapshots.findings {
            if finding.level == Level::Damage {
                log.plan.rebuild(FileKind::ProducerSnapshot, offset);
            }
            log.findings.push(finding);
        }
        let is_whole = log.plan.cut.is_none();
        for offset in names.snapshots.iter().copied().filter(|offset| *offset > end && is_whole) {
            let path = self.folder.join(FileKind::ProducerSnapshot.file_name(offset));
            let what = format!("it is of offset {offset}, and the log ends with {end}");
            let level = if self.was_clean { Level::Damage } else { Level::Crash };
            if level == Level::Damage {
                log.plan.rebuild(FileKind::ProducerSnapshot, offset);
            }
            log.findings.push(Finding::new(level, Kind::ProducerSnapshot, &path, what).offset(offset));
        }
        for (kind, offset) in names.indexes.iter().filter(|(_, offset)| !names.base_offsets.contains(offset)) {
            let path = self.folder.join(kind.file_name(*offset));
            log.findings.push(Finding::new(Level::Crash, Kind::Leftover, &path, "an index without a log"));
        }
        for name in &names.leftovers {
            let what = "a change of files was not completed";
            log.findings.push(Finding::new(Level::Crash, Kind::Leftover, &self.folder.join(name), what));
        }
        for name in &names.foreign {
            let what = "no file of a partition's";
            log.findings.push(Finding::new(Level::Note, Kind::Foreign, &self.folder.join(name), what));
        }
        Self::leave_old_formats(&mut log);
        let mut findings = Findings::default();
        let partition = self.partition.clone();
        findings.left_out = log.findings.left_out;
        findings.extend(log.findings.kept.into_iter().map(|finding| finding.of(&partition)));
        PartitionFacts {
            findings,
            plan: log.plan,
            first_base_offset,
            log_end_offset: end,
            topic_id,
            segments: segments as u64,
            batches: log.batches,
            records: log.records,
            bytes: self.log_bytes + log.index_bytes + small_bytes,
            place: self,
        }
    }

    /// Messages of formats v0 and v1 are Kafka's to repair: recovery would not read them, and a cut would take all of
    /// them.
    fn leave_old_formats(log: &mut LogState) {
        let Some(first) = &log.first_old else { return };
        let what = format!(
            "{} messages of formats v0 or v1, the first in this segment: they are not served, and their records and \
             indexes not looked at",
            log.old_messages
        );
        log.findings.push(Finding::new(Level::Note, Kind::OldFormat, first, what));
        let write_topic_id = log.plan.write_topic_id;
        log.plan = Plan { write_topic_id, is_old_format: true, ..Plan::default() };
    }

    /// The last segment is named after the first offset that it may hold.
    fn check_base(&self, disk: &dyn Disk, bases: &[Offset], log: &mut LogState) -> io::Result<()> {
        let Some((&base_offset, before)) = bases.split_last() else { return Ok(()) };
        let end = log.end_offset;
        let path = |base: Offset| self.folder.join(FileKind::Log.file_name(base));
        if base_offset > end && log.plan.cut.is_none() {
            log.gap_count += 1;
            log.gaps.push((path(base_offset), 0, end, base_offset));
            log.replay.is_exact = false;
        } else if base_offset < end {
            let what = format!("it begins with {base_offset}, where the segment before ends with {end}");
            let level = if base_offset < self.trusted_below() { Level::Damage } else { Level::Crash };
            let finding = Finding::new(level, Kind::BatchOrder, &path(base_offset), what);
            log.findings.push(finding.at(0, 0).offset(base_offset));
            if level == Level::Damage {
                self.remove_overlap(disk, base_offset, before, log)?;
            }
        }
        log.end_offset = end.max(base_offset);
        Ok(())
    }

    /// Nothing is lost where the segment is empty; else the log ends before it.
    fn remove_overlap(
        &self,
        disk: &dyn Disk,
        base_offset: Offset,
        before: &[Offset],
        log: &mut LogState,
    ) -> io::Result<()> {
        let size_bytes =
            |base| disk.open(&self.folder.join(FileKind::Log.file_name(base)), OpenMode::Read)?.size_bytes();
        if size_bytes(base_offset)? == 0 {
            log.plan.rebuild(FileKind::Log, base_offset);
            return Ok(());
        }
        let is_kept = |base: &&Offset| !log.plan.rebuild.contains(&(FileKind::Log, **base));
        if let Some(&segment) = before.iter().rev().find(is_kept)
            && log.plan.cut.is_none()
        {
            let (position, offset) = (size_bytes(segment)?, log.end_offset);
            log.plan.cut = Some(Cut { segment, position, offset, batches_behind: 0, records_behind: 0 });
        }
        Ok(())
    }

    fn tell_gaps(&self, log: &mut LogState) {
        if self.compaction == Compaction::Applied {
            return;
        }
        let mut is_noted = false;
        for (path, position, from, to) in &log.gaps {
            let gap = format!("offsets {from} to {} are not there", to.0 - 1);
            let (level, what) = if *from >= self.trusted_below() {
                (Level::Crash, format!("{gap}: the next start cuts off what follows"))
            } else if self.compaction == Compaction::Never {
                (Level::Damage, gap)
            } else if !is_noted {
                is_noted = true;
                let all = log.gap_count;
                (Level::Note, format!("{gap}, the first of {all} gaps: compaction leaves such, nothing else does"))
            } else {
                continue;
            };
            log.findings.push(Finding::new(level, Kind::Gap, path, what).at(*position, 0).offset(*from));
        }
        let more = log.gap_count - log.gaps.len() as u64;
        if self.compaction == Compaction::Never && more > 0 {
            log.findings.push(Finding::damage(Kind::Gap, &self.folder, format!("{more} more gaps")));
        }
    }

    /// The topic that the folder belongs to.
    fn check_topic_id(
        &self,
        disk: &dyn Disk,
        findings: &mut Findings,
        plan: &mut Plan,
        bytes: &mut u64,
    ) -> io::Result<Option<TopicId>> {
        let path = self.folder.join(PARTITION_METADATA_FILE);
        let file = match TextFile::read(disk, &path, Kind::PartitionMetadata, partition_metadata::MAX_FILE_BYTES)? {
            Ok(Some(file)) => file,
            // Kafka before 2.8 had none.
            Ok(None) => return Ok(None),
            Err(finding) => {
                findings.push(finding);
                plan.write_topic_id = true;
                return Ok(None);
            }
        };
        *bytes += file.size_bytes();
        // It is not synced when it is written: after a crash the metadata tells the topic too.
        let level = if self.was_clean { Level::Damage } else { Level::Crash };
        let topic_id = match partition_metadata::decode(&file.content) {
            Ok(topic_id) => topic_id,
            Err(error) => {
                plan.write_topic_id = self.was_clean;
                findings.push(file.bad(level, &error));
                return Ok(None);
            }
        };
        if !file.content.starts_with("version: 0\n") {
            findings.push(file.at_line(Level::Note, 1, "a version that is not 0"));
        }
        if let Some(expected) = self.topic_id.filter(|expected| *expected != topic_id) {
            plan.write_topic_id = true;
            let what = format!("topic id {topic_id}, where the metadata has {expected}");
            findings.push(file.at_line(Level::Damage, 2, what));
        }
        Ok(Some(topic_id))
    }

    /// The epochs, if they can be read.
    fn check_epoch_file(
        &self,
        disk: &dyn Disk,
        findings: &mut Findings,
        plan: &mut Plan,
        bytes: &mut u64,
    ) -> io::Result<Option<LeaderEpochs>> {
        let path = self.folder.join(LEADER_EPOCH_CHECKPOINT);
        let file = match TextFile::read(disk, &path, Kind::LeaderEpochCheckpoint, leader_epochs::MAX_FILE_BYTES)? {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(None),
            Err(finding) => {
                findings.push(finding);
                plan.rebuild_epochs = true;
                return Ok(None);
            }
        };
        *bytes += file.size_bytes();
        match LeaderEpochs::decode(&file.content) {
            Ok(epochs) if epochs.encode().lines().count() == file.content.lines().count().max(2) => Ok(Some(epochs)),
            Ok(_) => {
                findings.push(
                    file.at_line(Level::Damage, 3, "epochs and offsets do not grow from line to line")
                        .at(0, file.size_bytes()),
                );
                plan.rebuild_epochs = true;
                Ok(None)
            }
            Err(error) => {
                findings.push(file.bad(Level::Damage, &error));
                plan.rebuild_epochs = true;
                Ok(None)
            }
        }
    }

    /// All snapshots; the producers as of the beginning of the log come back too.
    fn check_snapshots(
        &self,
        disk: &dyn Disk,
        names: &Names,
        first_base_offset: Offset,
    ) -> io::Result<(Snapshots, Option<Vec<ProducerStateEntry>>)> {
        let mut snapshots = Snapshots::default();
        let mut begin = None;
        for &offset in &names.snapshots {
            let path = self.folder.join(FileKind::ProducerSnapshot.file_name(offset));
            let content = disk.read(&path, producer_rebuild::MAX_SNAPSHOT_BYTES)?;
            snapshots.bytes += content.len() as u64;
            match ProducerStateManager::decode_snapshot(&content) {
                Ok(producers) if offset == first_base_offset => begin = Some(producers),
                Ok(_) => {}
                Err(error) => {
                    // A crash tears those that were written since the last checkpoint: one of a segment that begins
                    // where it ended too.
                    let is_synced = offset < self.trusted_below();
                    let level = if is_synced { Level::Damage } else { Level::Crash };
                    let finding = Finding::new(level, Kind::ProducerSnapshot, &path, error.to_string());
                    snapshots.findings.push((offset, finding.at(0, content.len() as u64).offset(offset)));
                }
            }
        }
        Ok((snapshots, begin))
    }
}

#[derive(Debug, Default)]
struct Snapshots {
    findings: Vec<(Offset, Finding)>,
    bytes: u64,
}

impl Names {
    fn read(disk: &dyn Disk, folder: &Path) -> io::Result<Self> {
        let mut names = Self::default();
        let mut entries = disk.list(folder)?;
        entries.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        for entry in entries {
            let name = entry.name;
            match FileKind::parse(&name) {
                _ if entry.kind != EntryKind::File => names.foreign.push(name),
                Some((FileKind::Log, offset)) => drop(names.base_offsets.insert(offset)),
                Some((FileKind::ProducerSnapshot, offset)) => drop(names.snapshots.insert(offset)),
                Some((kind, offset)) => names.indexes.push((kind, offset)),
                // Waits for its removal, which the next start does.
                None if name.ends_with(DELETED_SUFFIX) => {}
                None if name == LEADER_EPOCH_CHECKPOINT || name == PARTITION_METADATA_FILE => {}
                None if LEFTOVER_SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) => names.leftovers.push(name),
                None => names.foreign.push(name),
            }
        }
        Ok(names)
    }
}

/// Bytes of the logs in a folder.
pub(super) fn log_bytes(disk: &dyn Disk, folder: &Path) -> io::Result<u64> {
    let entries = disk.list(folder)?;
    let logs = entries.iter().filter(|entry| matches!(FileKind::parse(&entry.name), Some((FileKind::Log, _))));
    Ok(logs.map(|entry| entry.size_bytes).sum())
}
