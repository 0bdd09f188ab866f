//! `.timeindex`: from a timestamp to an offset before which no record is that new.
//!
//! ```text
//!  entry, 12 bytes, big-endian: │ timestamp i64 │ relative offset i32 │
//! ```
//! An entry (t, o) says: t is the largest timestamp of the segment up to offset o, so every record with a timestamp
//! above t lies beyond o.

use std::io;
use std::sync::Arc;

use super::directory::{FileKind, PartitionDirectory};
use super::index_file::{IndexEntry, IndexFile};
use super::kept_file::KeptFile;
use super::offset_index::{read_i32, relative_offset};
use crate::ids::Offset;
use crate::io::DiskFile;
use crate::time::TimestampMs;

/// Bytes of one entry.
pub const TIME_ENTRY_BYTES: usize = 12;

/// The timestamp of batches that have none, and of an empty segment.
pub const NO_TIMESTAMP: TimestampMs = -1;

/// An entry as it lies in the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) timestamp: TimestampMs,
    pub(crate) relative_offset: i32,
}

impl IndexEntry for Entry {
    const BYTES: usize = TIME_ENTRY_BYTES;

    fn decode(bytes: &[u8]) -> Self {
        let (timestamp, offset) = bytes.split_at(8);
        let timestamp = timestamp.try_into().map_or(NO_TIMESTAMP, i64::from_be_bytes);
        Self { timestamp, relative_offset: read_i32(offset) }
    }

    fn encode(self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.timestamp.to_be_bytes());
        into.extend_from_slice(&self.relative_offset.to_be_bytes());
    }

    fn is_zero(&self) -> bool {
        self.timestamp == 0 && self.relative_offset == 0
    }
}

/// A timestamp and the offset that it was seen at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampOffset {
    pub timestamp: TimestampMs,
    pub offset: Offset,
}

/// The time index of one segment.
#[derive(Debug)]
pub struct TimeIndex {
    base_offset: Offset,
    entries: IndexFile<Entry>,
}

impl TimeIndex {
    pub(super) fn empty(directory: Arc<PartitionDirectory>, base_offset: Offset) -> Self {
        Self { base_offset, entries: IndexFile::empty(directory, FileKind::TimeIndex, base_offset) }
    }

    /// `InvalidData`: the file cannot be a time index.
    pub fn open(directory: Arc<PartitionDirectory>, base_offset: Offset) -> io::Result<Self> {
        let entries = IndexFile::<Entry>::open(directory, FileKind::TimeIndex, base_offset)?;
        if let (Some(first), Some(last)) = (entries.first()?, entries.last()) {
            let ascends = first.timestamp <= last.timestamp && first.relative_offset <= last.relative_offset;
            if !ascends || first.relative_offset < 0 {
                let reason = format!("time index goes from {first:?} to {last:?}");
                return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
            }
        }
        entries.file().let_go();
        Ok(Self { base_offset, entries })
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn size_bytes(&self) -> u64 {
        (self.len() * TIME_ENTRY_BYTES) as u64
    }

    /// One place stays reserved for the entry that a roll adds.
    pub(super) fn is_full(&self, max_index_bytes: usize) -> bool {
        self.len() + 1 >= max_index_bytes / TIME_ENTRY_BYTES
    }

    /// The last entry; where there is none, no timestamp at the segment's beginning.
    pub fn last(&self) -> TimestampOffset {
        self.resolve(self.entries.last())
    }

    /// The last entry whose timestamp is at or before `timestamp`.
    pub fn lookup(&self, timestamp: TimestampMs) -> io::Result<TimestampOffset> {
        let found = self.entries.last_where(|entry| entry.timestamp <= timestamp)?;
        Ok(self.resolve(found.map(|(_, entry)| entry)))
    }

    /// Adds an entry if it is newer than the last: timestamps here always ascend, those of records need not.
    pub fn maybe_append(&self, entry: TimestampOffset) {
        let Some(relative_offset) = relative_offset(self.base_offset, entry.offset) else { return };
        let last = self.entries.last();
        if entry.timestamp > last.map_or(NO_TIMESTAMP, |last| last.timestamp)
            && last.is_none_or(|last| relative_offset >= last.relative_offset)
        {
            self.entries.append(Entry { timestamp: entry.timestamp, relative_offset });
        }
    }

    /// Keeps the entries of offsets below `offset`.
    pub fn truncate_to(&self, offset: Offset) -> io::Result<()> {
        let relative = offset - self.base_offset;
        let last_kept = self.entries.last_where(|entry| i64::from(entry.relative_offset) < relative)?;
        self.entries.truncate(last_kept.map_or(0, |(slot, _)| slot + 1))
    }

    pub fn write_tail(&self) -> io::Result<()> {
        self.entries.write_tail()
    }

    pub(super) fn take_unsynced(&self) -> io::Result<Option<Arc<dyn DiskFile>>> {
        self.entries.take_unsynced()
    }

    pub(super) fn file(&self) -> &KeptFile {
        self.entries.file()
    }

    fn resolve(&self, entry: Option<Entry>) -> TimestampOffset {
        entry.map_or(TimestampOffset { timestamp: NO_TIMESTAMP, offset: self.base_offset }, |entry| TimestampOffset {
            timestamp: entry.timestamp,
            offset: self.base_offset + i64::from(entry.relative_offset),
        })
    }
}
