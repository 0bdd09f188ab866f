//! One segment, from its first byte to its last.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::Compaction;
use super::batch_walk::{BatchWalk, Step, Stretch};
use super::epoch_check::EpochCheck;
use super::finding::{Finding, Findings, Kind, Level};
use super::index_check::{OffsetIndexCheck, TimeIndexCheck};
use super::mend::{Cut, Mend, Plan};
use super::txn_check::TxnReplay;
use crate::ids::Offset;
use crate::io::{Disk, DiskFile, OpenMode};
use crate::log::batch_scan::PlacedBatch;
use crate::log::directory::FileKind;
use crate::log::offset_index::relative_offset;
use crate::log::sound_batches::OldMessage;
use crate::protocol::batch::RECORD_COUNT_AT;

const OFFSET_BYTES: u64 = 8;
const COUNT_BYTES: u64 = 4;

/// What is known of a segment before it is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct SegmentPlace<'a> {
    pub(super) disk: &'a dyn Disk,
    pub(super) folder: &'a Path,
    pub(super) base_offset: Offset,
    /// The offset that follows its last: the next segment's base, or the end that the checkpoints tell of the log.
    pub(super) known_end: Option<Offset>,
    pub(super) is_last: bool,
    pub(super) compaction: Compaction,
    /// What lies below was on the device; a crash may have left anything beyond.
    pub(super) trusted_below: Offset,
    /// Bytes that were read, for who watches.
    pub(super) progress: &'a AtomicU64,
}

/// What holds for the whole partition and goes from segment to segment.
pub(super) struct LogState {
    /// The offset behind the last sound batch.
    pub(super) end_offset: Offset,
    pub(super) epochs: EpochCheck,
    pub(super) replay: TxnReplay,
    pub(super) findings: Findings,
    pub(super) plan: Plan,
    /// The first holes among the offsets, and how many there are.
    pub(super) gaps: Vec<(PathBuf, u64, Offset, Offset)>,
    pub(super) gap_count: u64,
    /// What looks like the torn end of the log, unless a sound batch comes: the finding and what would have to be cut.
    pub(super) torn: Option<(usize, Cut)>,
    /// Messages of formats v0 and v1, and the segment of the first.
    pub(super) old_messages: u64,
    pub(super) first_old: Option<PathBuf>,
    pub(super) batches: u64,
    pub(super) records: u64,
    pub(super) index_bytes: u64,
}

/// The check of one segment.
pub(super) struct SegmentCheck<'a> {
    place: SegmentPlace<'a>,
    log_path: PathBuf,
    offsets: Option<OffsetIndexCheck>,
    times: Option<TimeIndexCheck>,
    /// The batch before was damaged: how many offsets it had is not known.
    after_damage: bool,
    /// Messages of an old format: their indexes go by other rules, and nobody here goes by them.
    has_old: bool,
}

impl<'a> SegmentCheck<'a> {
    pub(super) fn run(place: SegmentPlace<'a>, log: &mut LogState) -> io::Result<()> {
        let path = |kind: FileKind| place.folder.join(kind.file_name(place.base_offset));
        let (base_offset, trusted_below) = (place.base_offset, place.trusted_below);
        let mut check = Self {
            place,
            log_path: path(FileKind::Log),
            offsets: OffsetIndexCheck::open(place.disk, &path(FileKind::OffsetIndex), base_offset, trusted_below)?,
            times: TimeIndexCheck::open(place.disk, &path(FileKind::TimeIndex), base_offset, trusted_below)?,
            after_damage: false,
            has_old: false,
        };
        log.replay.begin_segment();
        let end_before = log.end_offset;
        check.walk(log)?;
        check.check_indexes(end_before, log)
    }

    fn walk(&mut self, log: &mut LogState) -> io::Result<()> {
        let file = self.place.disk.open(&self.log_path, OpenMode::Read)?;
        let mut walk = BatchWalk::new(&*file, self.place.base_offset, file.size_bytes()?);
        let mut told = 0;
        while let Some(step) = walk.next(log.end_offset)? {
            match step {
                Step::Old(message) => self.on_old_message(&message, log),
                Step::Damaged(stretch) => self.on_damage(&stretch, file.size_bytes()?, log)?,
                Step::Sound(batch) => {
                    if let Some(batch) = self.place_batch(batch, &walk, log)? {
                        self.on_batch(&*file, &batch, log)?;
                    }
                }
            }
            let position = walk.position();
            self.place.progress.fetch_add(position - told, Ordering::Relaxed);
            told = position;
        }
        Ok(())
    }

    /// Its checksum is right, and more is not known of it: its records are not looked at.
    fn on_old_message(&mut self, message: &OldMessage, log: &mut LogState) {
        let (offset, expected) = (message.offset, log.end_offset);
        if offset < expected || relative_offset(self.place.base_offset, offset).is_none() {
            let what = format!("a message of offset {offset}, where {expected} or a later one should follow");
            let finding = Finding::new(Level::Damage, Kind::BatchOrder, &self.log_path, what);
            log.findings.push(finding.at(message.position, OFFSET_BYTES).offset(expected));
        } else {
            log.end_offset = offset + 1;
        }
        if let Some((place, _)) = log.torn.take() {
            log.findings.raise(place);
        }
        (self.has_old, self.after_damage) = (true, false);
        log.first_old.get_or_insert_with(|| self.log_path.clone());
        log.old_messages += 1;
        log.batches += 1;
        log.replay.is_exact = false;
    }

    fn on_damage(&mut self, stretch: &Stretch, file_bytes: u64, log: &mut LogState) -> io::Result<()> {
        let offset = log.end_offset;
        let is_beyond = offset >= self.place.trusted_below;
        let is_torn_end = is_beyond && stretch.end == file_bytes;
        let level = if is_torn_end { Level::Crash } else { Level::Damage };
        let behind = match (stretch.end < file_bytes, is_beyond) {
            (true, false) => "; sound batches follow, which recovery would cut off with it",
            (true, true) => "; sound batches follow: the next start will cut them off with it",
            (false, _) => "",
        };
        let what = format!("{}{behind}", stretch.error);
        let finding = Finding::new(level, Kind::Batch, &self.log_path, what);
        let place = log.findings.kept.len();
        log.findings.push(finding.at(stretch.position, stretch.end - stretch.position).offset(offset));
        if is_torn_end {
            log.torn = Some((place, self.cut_at(stretch.position, offset)));
        } else {
            log.plan.cut.get_or_insert(self.cut_at(stretch.position, offset));
        }
        if let Some(offsets) = &mut self.offsets {
            offsets.skip_to(stretch.end)?;
        }
        if let Some(times) = &mut self.times {
            times.skip_damaged();
        }
        log.replay.is_exact = false;
        self.after_damage = true;
        Ok(())
    }

    /// Where a batch whose checksum is right belongs: its base offset is not covered by it. `None`: nowhere.
    fn place_batch(
        &mut self,
        batch: PlacedBatch,
        walk: &BatchWalk<'_>,
        log: &mut LogState,
    ) -> io::Result<Option<PlacedBatch>> {
        let (found, expected) = (batch.header.base_offset, log.end_offset);
        let behind = match walk.peek(batch.end_position())? {
            Some(header) => Some(header.base_offset),
            None => self.place.known_end,
        };
        let fits_range = batch.header.last_offset_delta >= 0
            && relative_offset(self.place.base_offset, batch.header.last_offset()).is_some();
        let overlaps_next = behind.is_some_and(|behind| (expected..batch.header.next_offset()).contains(&behind));
        if found == expected && fits_range {
            return Ok(Some(batch));
        }
        if found > expected && fits_range && !overlaps_next {
            if !self.after_damage {
                note_gap(&self.log_path, &batch, expected, log);
            }
            return Ok(Some(batch));
        }
        // Nothing fits between the batches around it but the offsets that are expected.
        let mut mended = batch;
        mended.header.base_offset = expected;
        let is_certain = !self.after_damage && behind == Some(mended.header.next_offset());
        let what = match behind {
            Some(behind) => format!("a batch of offset {found} between offsets {expected} and {behind}"),
            None => format!("a batch of offset {found}, where {expected} or a later one should follow"),
        };
        let has_sound_behind = behind.is_some() || !self.place.is_last;
        let level = self.level(expected, has_sound_behind);
        let finding = Finding::new(level, Kind::BatchOrder, &self.log_path, what);
        log.findings.push(finding.at(batch.position, OFFSET_BYTES).offset(expected));
        if is_certain && level == Level::Damage {
            let (path, bytes) = (self.log_path.clone(), expected.0.to_be_bytes().to_vec());
            log.plan.mends.push(Mend { path, position: batch.position, bytes });
            return Ok(Some(mended));
        }
        if level == Level::Damage {
            log.plan.cut.get_or_insert(self.cut_at(batch.position, expected));
        }
        log.replay.is_exact = false;
        self.after_damage = true;
        Ok(None)
    }

    fn on_batch(&mut self, file: &dyn DiskFile, batch: &PlacedBatch, log: &mut LogState) -> io::Result<()> {
        let header = &batch.header;
        let (count, delta) = (header.record_count, header.last_offset_delta);
        let most = i64::from(delta) + 1;
        let is_off = i64::from(count) > most || count < 0;
        if is_off || (self.place.compaction == Compaction::Never && i64::from(count) != most) {
            let what = format!("{count} records, but the last offset delta is {delta}");
            let finding = Finding::new(self.level(header.base_offset, true), Kind::Batch, &self.log_path, what);
            let position = batch.position + RECORD_COUNT_AT as u64;
            log.findings.push(finding.at(position, COUNT_BYTES).offset(header.base_offset));
        }
        self.after_damage = false;
        if let Some((place, cut)) = log.torn.take() {
            log.findings.raise(place);
            log.plan.cut.get_or_insert(cut);
        }
        log.end_offset = header.next_offset();
        log.batches += 1;
        log.records += header.record_count.max(0) as u64;
        if let Some(cut) = &mut log.plan.cut {
            cut.batches_behind += 1;
            cut.records_behind += header.record_count.max(0) as u64;
        }
        log.epochs.on_batch(&self.log_path, batch);
        log.replay.on_batch(file, batch)?;
        if let Some(offsets) = &mut self.offsets {
            offsets.on_batch(batch)?;
        }
        if let Some(times) = &mut self.times {
            times.on_batch(batch)?;
        }
        Ok(())
    }

    fn check_indexes(&mut self, end_before: Offset, log: &mut LogState) -> io::Result<()> {
        let SegmentPlace { disk, folder, base_offset, trusted_below, .. } = self.place;
        let path = |kind: FileKind| folder.join(kind.file_name(base_offset));
        if self.has_old {
            let sizes = [
                self.offsets.as_ref().map(OffsetIndexCheck::size_bytes),
                self.times.as_ref().map(TimeIndexCheck::size_bytes),
            ];
            log.index_bytes += sizes.into_iter().flatten().sum::<u64>();
            return Ok(());
        }
        // A crash may have taken what was written to them since the last checkpoint.
        let may_be_torn = log.end_offset >= trusted_below;
        let is_empty = log.end_offset == end_before;
        let mut findings = Vec::new();
        let mut missing = |kind: FileKind, of: Kind| {
            if !is_empty {
                let level = if may_be_torn { Level::Crash } else { Level::Damage };
                let finding = Finding::new(level, of, &path(kind), "it is missing");
                findings.push((kind, vec![finding.offset(base_offset)]));
            }
        };
        if self.offsets.is_none() {
            missing(FileKind::OffsetIndex, Kind::OffsetIndex);
        }
        if self.times.is_none() {
            missing(FileKind::TimeIndex, Kind::TimeIndex);
        }
        if let Some(offsets) = &mut self.offsets {
            log.index_bytes += offsets.size_bytes();
            findings.push((FileKind::OffsetIndex, offsets.finish(may_be_torn)?));
        }
        if let Some(times) = &mut self.times {
            log.index_bytes += times.size_bytes();
            findings.push((FileKind::TimeIndex, times.finish(may_be_torn, !may_be_torn)?));
        }
        let (bytes, aborted) =
            log.replay.check_index(disk, &path(FileKind::TxnIndex), (base_offset, log.end_offset), trusted_below)?;
        log.index_bytes += bytes;
        findings.push((FileKind::TxnIndex, aborted));
        for (kind, found) in findings {
            if found.iter().any(|finding| finding.level == Level::Damage) {
                log.plan.rebuild(kind, base_offset);
            }
            log.findings.extend(found);
        }
        Ok(())
    }

    fn cut_at(&self, position: u64, offset: Offset) -> Cut {
        Cut { segment: self.place.base_offset, position, offset, batches_behind: 0, records_behind: 0 }
    }

    /// Beyond the recovery point nothing is promised; but what is followed by sound batches is no torn end.
    fn level(&self, offset: Offset, has_sound_behind: bool) -> Level {
        if offset >= self.place.trusted_below && !has_sound_behind { Level::Crash } else { Level::Damage }
    }
}

/// Compaction leaves holes, nothing else does: what they mean is said when the whole log was seen.
pub(super) fn note_gap(path: &Path, batch: &PlacedBatch, expected: Offset, log: &mut LogState) {
    const GAPS_KEPT: usize = 100;
    log.gap_count += 1;
    if log.gaps.len() < GAPS_KEPT {
        log.gaps.push((path.to_owned(), batch.position, expected, batch.header.base_offset));
    }
    log.replay.is_exact = false;
}
