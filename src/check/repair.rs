//! Putting right what a check has found, with as little loss as there can be.
//!
//! ```text
//!  header fields outside the checksum   written anew, where the batches around leave one value only
//!  a batch that is not sound            the log ends before it, as recovery would end it; all behind it goes
//!  indexes, snapshots, epochs           removed, then built anew from the log by recovery itself
//!  checkpoints                          held to what the logs are
//!  messages of formats v0 and v1        their log is left as it is, whatever is wrong with it
//! ```
//! A partition without damage is not opened. After a cut the clean marker no longer names a broker epoch: this replica
//! has lost records, and must not be taken for one that has not (KIP-966).

use std::fmt;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use super::directory_check::DirectoryFacts;
use super::mend::Cut;
use super::partition_check::{EVERYTHING, PartitionFacts};
use super::{Check, CheckError, Found, Report};
use crate::config::ConfigOverrides;
use crate::ids::{Offset, TopicPartition};
use crate::io::{DirectoryLock, Disk, OpenMode};
use crate::log::checkpoints::{
    self, CLEANER_OFFSET_CHECKPOINT, LOG_START_OFFSET_CHECKPOINT, OffsetCheckpoint, RECOVERY_POINT_CHECKPOINT,
    REPLICATION_OFFSET_CHECKPOINT,
};
use crate::log::clean_shutdown;
use crate::log::directory::{FileKind, PartitionDirectory};
use crate::log::health::DirectoryHealth;
use crate::log::leader_epochs::LEADER_EPOCH_CHECKPOINT;
use crate::log::log_directory::{DirectoryError, LOCK_FILE};
use crate::log::partition_metadata::{self, PARTITION_METADATA_FILE};
use crate::log::producer_state::ProducerStateConfig;
use crate::log::recovery::{self, LoadRequest, Syncs};

/// A check, and what is to be done about it.
pub struct Repair<'a> {
    check: &'a Check<'a>,
    found: Found,
}

impl fmt::Debug for Repair<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repair").field("steps", &self.steps()).finish_non_exhaustive()
    }
}

impl<'a> Repair<'a> {
    pub(super) fn new(check: &'a Check<'a>, found: Found) -> Self {
        Self { check, found }
    }

    /// What the check has found.
    pub fn report(&self) -> Report {
        Report::of(&self.found)
    }

    /// What is to be done, one sentence each, of the partitions.
    pub fn steps(&self) -> Vec<String> {
        self.found.partitions.iter().flatten().flat_map(steps_of).collect()
    }

    /// Does it, durably, and says what was done. The directories stay locked meanwhile.
    pub fn carry_out(self) -> Result<Vec<String>, CheckError> {
        let mut done = self.steps();
        let disk = &*self.check.disk;
        let mut locks = Vec::new();
        for directory in &self.found.directories {
            locks.extend(lock(disk, directory)?);
        }
        for (directory, partitions) in self.found.directories.iter().zip(&self.found.partitions) {
            let mut ends = Vec::new();
            let mut was_cut = false;
            for facts in partitions {
                let repaired = self
                    .repair_partition(facts)
                    .map_err(|source| CheckError::Io { path: facts.place.folder.clone(), source })?;
                was_cut |= cut_of(facts).is_some();
                ends.push((facts, repaired));
            }
            let io = |source| CheckError::Io { path: directory.path.clone(), source };
            done.extend(self.repair_checkpoints(directory, &ends).map_err(io)?);
            if directory.was_clean && (was_cut || directory.is_clean_marker_bad) {
                clean_shutdown::write(disk, &directory.path, None).map_err(io)?;
                let path = directory.path.join(clean_shutdown::CLEAN_SHUTDOWN_FILE);
                done.push(format!("{} names no broker epoch any more", path.display()));
            }
        }
        drop(locks);
        Ok(done)
    }

    /// Where the log begins and ends afterwards.
    fn repair_partition(&self, facts: &PartitionFacts) -> io::Result<(Offset, Offset)> {
        let disk = &*self.check.disk;
        let (place, plan) = (&facts.place, &facts.plan);
        for mend in &plan.mends {
            let file = disk.open(&mend.path, OpenMode::ReadWrite)?;
            file.write_all_at(&[IoSlice::new(&mend.bytes)], mend.position)?;
            file.sync()?;
        }
        let cut = cut_of(facts);
        if let Some(cut) = cut {
            cut_log(disk, &place.folder, cut)?;
        }
        for (kind, offset) in &plan.rebuild {
            disk.remove_file(&place.folder.join(kind.file_name(*offset)))?;
            if *kind == FileKind::Log {
                // Recovery removes them too where there is no log, but only where it was no clean stop.
                for index in FileKind::OF_SEGMENT {
                    disk.remove_file(&place.folder.join(index.file_name(*offset)))?;
                }
            }
            if *kind == FileKind::TxnIndex {
                // A segment may well have none: what makes recovery look is an offset index that is missing.
                disk.remove_file(&place.folder.join(FileKind::OffsetIndex.file_name(*offset)))?;
            }
        }
        if plan.rebuild_epochs {
            disk.remove_file(&place.folder.join(LEADER_EPOCH_CHECKPOINT))?;
        }
        if plan.write_topic_id {
            match place.topic_id {
                Some(topic_id) => {
                    partition_metadata::write(disk, &place.folder, topic_id).map_err(io::Error::other)?;
                }
                // The metadata gives it one again.
                None => disk.remove_file(&place.folder.join(PARTITION_METADATA_FILE))?,
            }
        }
        if cut.is_none() && plan.rebuild.is_empty() && !plan.rebuild_epochs {
            return Ok((facts.first_base_offset, facts.log_end_offset));
        }
        disk.sync_directory(&place.folder)?;
        self.rebuild(facts, cut)
    }

    /// Opens the log as a start would, and closes it in good order.
    fn rebuild(&self, facts: &PartitionFacts, cut: Option<&Cut>) -> io::Result<(Offset, Offset)> {
        let place = &facts.place;
        let trusted_below = if place.was_clean { EVERYTHING } else { place.recovery_point.unwrap_or(Offset::ZERO) };
        let none = ConfigOverrides::new();
        let config = match &self.found.metadata {
            Some(metadata) => metadata.log_config(&place.partition, self.check.config),
            None => self.check.config.log_config(&none, &none, &none),
        };
        let loaded = recovery::load(&LoadRequest {
            topic_partition: place.partition.clone(),
            directory: PartitionDirectory::new(Arc::clone(&self.check.disk), place.folder.clone()),
            health: DirectoryHealth::new(place.folder.clone(), Box::new(|_, _| {})),
            config: Arc::new(config),
            producer_state: ProducerStateConfig::default(),
            was_clean: place.was_clean && cut.is_none(),
            recovery_point: cut.map_or(trusted_below, |cut| cut.offset.min(trusted_below)),
            log_start_offset: place.log_start_offset.min(cut.map_or(facts.log_end_offset, |cut| cut.offset)),
            high_watermark: Offset::ZERO,
            syncs: Syncs::Each,
            now_ms: self.check.now_ms,
        })?;
        loaded.log.close(self.check.now_ms).map_err(io::Error::other)?;
        Ok((loaded.log.log_start_offset(), loaded.log.log_end_offset()))
    }

    /// Writes the checkpoints that say what the logs are not.
    fn repair_checkpoints(
        &self,
        directory: &DirectoryFacts,
        ends: &[(&PartitionFacts, (Offset, Offset))],
    ) -> io::Result<Vec<String>> {
        let disk = &*self.check.disk;
        let mut done = Vec::new();
        for name in [
            LOG_START_OFFSET_CHECKPOINT,
            RECOVERY_POINT_CHECKPOINT,
            REPLICATION_OFFSET_CHECKPOINT,
            CLEANER_OFFSET_CHECKPOINT,
        ] {
            let is_bad = directory.bad_checkpoints.contains(&name);
            let before = match directory.checkpoints.get(name) {
                Some(file) => file.offsets.clone(),
                None if is_bad => readable_lines(disk, &directory.path.join(name))?,
                None => continue,
            };
            let mut after = before.clone();
            let is_ours = |facts: &PartitionFacts| facts.place.is_served && !facts.plan.is_old_format;
            for (facts, (first, end)) in ends.iter().filter(|(facts, _)| is_ours(facts)) {
                let was_cut = cut_of(facts).is_some();
                hold(name, &mut after, &facts.place.partition, (*first, *end), directory.was_clean || was_cut);
            }
            if is_bad || after != before {
                checkpoints::write(disk, &directory.path, name, &after).map_err(io::Error::other)?;
                let changed =
                    after.iter().filter(|(partition, offset)| before.get(*partition) != Some(*offset)).count();
                let path = directory.path.join(name);
                done.push(format!(
                    "{} is written anew, {changed} offsets of {} changed",
                    path.display(),
                    after.len()
                ));
            }
        }
        Ok(done)
    }
}

/// Makes a checkpoint say of a partition what can be so. `is_known`: its log was closed in good order, or was cut.
fn hold(
    name: &str,
    offsets: &mut OffsetCheckpoint,
    partition: &TopicPartition,
    (first, end): (Offset, Offset),
    is_known: bool,
) {
    let Some(offset) = offsets.get(partition).copied() else {
        if name == RECOVERY_POINT_CHECKPOINT && is_known {
            offsets.insert(partition.clone(), end);
        }
        return;
    };
    match name {
        RECOVERY_POINT_CHECKPOINT if is_known || offset > end => {
            offsets.insert(partition.clone(), end);
        }
        // Where the log begins is told by its first segment's name.
        LOG_START_OFFSET_CHECKPOINT if offset > end || (is_known && offset < first) => {
            offsets.remove(partition);
        }
        REPLICATION_OFFSET_CHECKPOINT | CLEANER_OFFSET_CHECKPOINT if offset > end => {
            offsets.insert(partition.clone(), end);
        }
        _ => {}
    }
}

/// The cut that is made: not one among records that were deleted, which would take all that were not.
fn cut_of(facts: &PartitionFacts) -> Option<&Cut> {
    facts.plan.cut.as_ref().filter(|cut| cut.offset >= facts.place.log_start_offset)
}

fn steps_of(facts: &PartitionFacts) -> Vec<String> {
    let (partition, plan) = (&facts.place.partition, &facts.plan);
    let mut steps = Vec::new();
    if plan.is_old_format && facts.findings.has_damage() {
        steps.push(format!("{partition}: the log has messages of formats v0 or v1, and its damage stays"));
    }
    for mend in &plan.mends {
        steps.push(format!(
            "{partition}: {} bytes at {}:{} get the value that the batches around them leave; nothing is lost",
            mend.bytes.len(),
            mend.path.display(),
            mend.position
        ));
    }
    match (&plan.cut, cut_of(facts)) {
        (_, Some(Cut { segment, position, offset, batches_behind, records_behind })) => steps.push(format!(
            "{partition}: the log ends before offset {offset}, at byte {position} of {}: what is damaged goes, and \
             {batches_behind} sound batches with {records_behind} records behind it",
            FileKind::Log.file_name(*segment)
        )),
        (Some(cut), None) => steps.push(format!(
            "{partition}: the damage at offset {} stays: it lies below the log start offset {}, and goes with its segment",
            cut.offset, facts.place.log_start_offset
        )),
        (None, None) => {}
    }
    for (kind, offset) in &plan.rebuild {
        let how = if *kind == FileKind::Log { "is empty and goes" } else { "is removed and built anew" };
        steps.push(format!("{partition}: {} {how}", kind.file_name(*offset)));
    }
    if plan.rebuild_epochs {
        steps.push(format!("{partition}: {LEADER_EPOCH_CHECKPOINT} is built anew from the log"));
    }
    if plan.write_topic_id {
        steps.push(match facts.place.topic_id {
            Some(topic_id) => format!("{partition}: {PARTITION_METADATA_FILE} gets topic id {topic_id}"),
            None => format!("{partition}: {PARTITION_METADATA_FILE} is removed; its topic id is not known"),
        });
    }
    steps
}

/// What comes behind the cut is removed before the cut: a crash in between must leave no hole.
fn cut_log(disk: &dyn Disk, folder: &Path, cut: &Cut) -> io::Result<()> {
    let mut behind: Vec<_> = disk
        .list(folder)?
        .into_iter()
        .filter(|entry| match FileKind::parse(&entry.name) {
            Some((FileKind::ProducerSnapshot, offset)) => offset > cut.offset,
            Some((_, base_offset)) => base_offset > cut.segment,
            None => false,
        })
        .map(|entry| entry.name)
        .collect();
    behind.sort_unstable();
    for name in behind.iter().rev() {
        disk.remove_file(&folder.join(name))?;
    }
    disk.sync_directory(folder)?;
    let log = disk.open(&folder.join(FileKind::Log.file_name(cut.segment)), OpenMode::ReadWrite)?;
    log.set_size_bytes(cut.position)?;
    log.sync()
}

/// What of a damaged checkpoint can be read.
fn readable_lines(disk: &dyn Disk, path: &Path) -> io::Result<OffsetCheckpoint> {
    let content = disk.read(path, checkpoints::MAX_FILE_BYTES)?;
    let line = |line: &str| checkpoints::decode(&format!("0\n1\n{line}\n")).unwrap_or_default();
    Ok(String::from_utf8_lossy(&content).lines().skip(2).flat_map(line).collect())
}

/// The check has the lock already where there was a file for it.
fn lock(disk: &dyn Disk, directory: &DirectoryFacts) -> Result<Option<Box<dyn DirectoryLock>>, CheckError> {
    if directory.is_locked() {
        return Ok(None);
    }
    match disk.lock(&directory.path.join(LOCK_FILE)) {
        Ok(lock) => Ok(Some(lock)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(DirectoryError::Locked { path: directory.path.clone() }.into())
        }
        Err(source) => Err(CheckError::Io { path: directory.path.join(LOCK_FILE), source }),
    }
}
