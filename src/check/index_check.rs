//! Whether the indexes of a segment say what its log says.

use std::io;
use std::path::Path;

use super::finding::{Finding, Kind};
use super::index_entries::{IndexEntries, Ordered};
use crate::ids::Offset;
use crate::io::Disk;
use crate::log::batch_scan::PlacedBatch;
use crate::log::offset_index::Entry as OffsetEntry;
use crate::log::time_index::{Entry as TimeEntry, NO_TIMESTAMP};
use crate::time::TimestampMs;

impl Ordered for OffsetEntry {
    fn follows(&self, before: Option<&Self>) -> bool {
        match before {
            None => self.relative_offset >= 0 && self.position >= 0,
            Some(before) => self.relative_offset > before.relative_offset && self.position > before.position,
        }
    }
}

impl Ordered for TimeEntry {
    fn follows(&self, before: Option<&Self>) -> bool {
        match before {
            None => self.timestamp >= 0 && self.relative_offset >= 0,
            Some(before) => self.timestamp > before.timestamp && self.relative_offset >= before.relative_offset,
        }
    }
}

/// An entry names the beginning of a batch, and the batch's last offset. Kafka before 4.0 wrote the last offset of all
/// batches that were appended together: look-ups are right then too, so this is only noted.
pub(super) struct OffsetIndexCheck {
    entries: IndexEntries<OffsetEntry>,
    base_offset: Offset,
    trusted_below: Offset,
    /// An entry that names a later offset than its batch's last, and its slot.
    late: Option<(usize, Offset)>,
    late_entries: usize,
}

impl OffsetIndexCheck {
    pub(super) fn open(
        disk: &dyn Disk,
        path: &Path,
        base_offset: Offset,
        trusted_below: Offset,
    ) -> io::Result<Option<Self>> {
        let entries = IndexEntries::open(disk, path, Kind::OffsetIndex)?;
        Ok(entries.map(|entries| Self { entries, base_offset, trusted_below, late: None, late_entries: 0 }))
    }

    pub(super) fn size_bytes(&self) -> u64 {
        self.entries.size_bytes()
    }

    pub(super) fn on_batch(&mut self, batch: &PlacedBatch) -> io::Result<()> {
        let last_offset = batch.header.last_offset();
        while let Some(entry) = self.entries.peek()? {
            let position = entry.position as u64;
            if position > batch.position {
                break;
            }
            if position < batch.position {
                self.entries.refuse(format!("no batch begins at {position}"));
                continue;
            }
            let offset = self.base_offset + i64::from(entry.relative_offset);
            if offset < last_offset {
                self.entries
                    .refuse(format!("offset {offset}, where the batch at {position} ends with {last_offset}"));
                continue;
            }
            self.settle_late();
            self.entries.accept(entry, offset < self.trusted_below);
            if offset > last_offset {
                self.late = Some((self.entries.last_slot(), offset));
            }
        }
        if let Some((_, offset)) = self.late
            && last_offset >= offset
        {
            if last_offset == offset {
                self.late = None;
                self.late_entries += 1;
            } else {
                self.settle_late();
            }
        }
        Ok(())
    }

    /// Nothing can be said about entries that lead here.
    pub(super) fn skip_to(&mut self, position: u64) -> io::Result<()> {
        while let Some(entry) = self.entries.peek()?
            && (entry.position as u64) < position
        {
            self.entries.accept(entry, false);
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, may_be_torn: bool) -> io::Result<Vec<Finding>> {
        self.settle_late();
        while let Some(entry) = self.entries.peek()? {
            self.entries.refuse(format!("position {}, where the log ends before", entry.position));
        }
        let mut findings = self.entries.findings(self.base_offset, may_be_torn);
        if self.late_entries > 0 {
            let what = format!("{} entries name the end of a run of batches, as Kafka before 4.0", self.late_entries);
            findings.push(self.entries.note(what));
        }
        Ok(findings)
    }

    /// The offset that an entry names ends no batch before the next entry's.
    fn settle_late(&mut self) {
        if let Some((slot, offset)) = self.late.take() {
            self.entries.refuse_slot(slot, format!("offset {offset}, which ends no batch from there on"));
        }
    }
}

/// An entry names the largest timestamp so far and an offset of the batch that brought it.
pub(super) struct TimeIndexCheck {
    entries: IndexEntries<TimeEntry>,
    base_offset: Offset,
    trusted_below: Offset,
    /// The largest timestamp of the batches so far.
    max_timestamp: TimestampMs,
    /// Batches were passed over: larger timestamps may have been among them.
    has_holes: bool,
    /// The timestamp of the last right entry.
    last: TimestampMs,
}

impl TimeIndexCheck {
    pub(super) fn open(
        disk: &dyn Disk,
        path: &Path,
        base_offset: Offset,
        trusted_below: Offset,
    ) -> io::Result<Option<Self>> {
        let Some(entries) = IndexEntries::open(disk, path, Kind::TimeIndex)? else { return Ok(None) };
        Ok(Some(Self {
            entries,
            base_offset,
            trusted_below,
            max_timestamp: NO_TIMESTAMP,
            has_holes: false,
            last: NO_TIMESTAMP,
        }))
    }

    pub(super) fn size_bytes(&self) -> u64 {
        self.entries.size_bytes()
    }

    pub(super) fn on_batch(&mut self, batch: &PlacedBatch) -> io::Result<()> {
        let header = &batch.header;
        let before = self.max_timestamp;
        self.max_timestamp = before.max(header.max_timestamp);
        while let Some(entry) = self.entries.peek()? {
            let offset = self.base_offset + i64::from(entry.relative_offset);
            if offset > header.last_offset() {
                break;
            }
            let timestamp = entry.timestamp;
            if offset < header.base_offset {
                if self.has_holes {
                    self.entries.accept(entry, false);
                } else {
                    self.entries.refuse(format!("offset {offset}, which no batch has"));
                }
            } else if timestamp != header.max_timestamp {
                let expected = header.max_timestamp;
                self.entries.refuse(format!("timestamp {timestamp} for offset {offset}, whose batch has {expected}"));
            } else if before > timestamp {
                self.entries.refuse(format!("timestamp {timestamp}, where an earlier batch has {before}"));
            } else {
                self.last = timestamp;
                self.entries.accept(entry, offset < self.trusted_below);
            }
        }
        Ok(())
    }

    pub(super) fn skip_damaged(&mut self) {
        self.has_holes = true;
    }

    /// `is_closed`: a segment that is not written to any more ends its time index with its largest timestamp.
    pub(super) fn finish(&mut self, may_be_torn: bool, is_closed: bool) -> io::Result<Vec<Finding>> {
        while let Some(entry) = self.entries.peek()? {
            let offset = self.base_offset + i64::from(entry.relative_offset);
            if self.has_holes {
                self.entries.accept(entry, false);
            } else {
                self.entries.refuse(format!("offset {offset}, where the segment ends before"));
            }
        }
        let mut findings = self.entries.findings(self.base_offset, may_be_torn);
        if findings.is_empty() && is_closed && !self.has_holes && self.last < self.max_timestamp {
            let (last, expected) = (self.last, self.max_timestamp);
            let what = format!("it ends with timestamp {last}, where the segment's largest is {expected}");
            let finding = Finding::damage(Kind::TimeIndex, self.entries.path(), what);
            findings.push(finding.at(self.size_bytes(), 0).offset(self.base_offset));
        }
        Ok(findings)
    }
}
