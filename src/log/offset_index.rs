//! `.index`: from an offset to the position of a batch at or before it.
//!
//! ```text
//!  entry, 8 bytes, big-endian: │ relative offset i32 │ position i32 │
//! ```
//! An entry names the *last* offset of a batch and the position of its first byte, as Kafka writes it.

use std::io;
use std::sync::Arc;

use super::directory::{FileKind, PartitionDirectory};
use super::index_file::{IndexEntry, IndexFile};
use super::kept_file::KeptFile;
use crate::ids::Offset;
use crate::io::DiskFile;

/// Bytes of one entry.
pub const OFFSET_ENTRY_BYTES: usize = 8;

/// An entry as it lies in the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) relative_offset: i32,
    pub(crate) position: i32,
}

impl IndexEntry for Entry {
    const BYTES: usize = OFFSET_ENTRY_BYTES;

    fn decode(bytes: &[u8]) -> Self {
        let (offset, position) = bytes.split_at(4);
        Self { relative_offset: read_i32(offset), position: read_i32(position) }
    }

    fn encode(self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.relative_offset.to_be_bytes());
        into.extend_from_slice(&self.position.to_be_bytes());
    }

    fn is_zero(&self) -> bool {
        self.relative_offset == 0 && self.position == 0
    }
}

pub(super) fn read_i32(bytes: &[u8]) -> i32 {
    bytes.try_into().map_or(0, i32::from_be_bytes)
}

/// `offset` as an index of a segment that begins at `base_offset` can hold it.
pub(crate) fn relative_offset(base_offset: Offset, offset: Offset) -> Option<i32> {
    i32::try_from(offset - base_offset).ok().filter(|&relative| relative >= 0)
}

/// Where a batch lies in its segment's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetPosition {
    pub offset: Offset,
    pub position: u64,
}

/// The offset index of one segment.
#[derive(Debug)]
pub struct OffsetIndex {
    base_offset: Offset,
    entries: IndexFile<Entry>,
}

impl OffsetIndex {
    pub(super) fn empty(directory: Arc<PartitionDirectory>, base_offset: Offset) -> Self {
        Self { base_offset, entries: IndexFile::empty(directory, FileKind::OffsetIndex, base_offset) }
    }

    /// `InvalidData`: the file cannot be the index of a log of `log_bytes`.
    pub fn open(directory: Arc<PartitionDirectory>, base_offset: Offset, log_bytes: u64) -> io::Result<Self> {
        let entries = IndexFile::<Entry>::open(directory, FileKind::OffsetIndex, base_offset)?;
        if let (Some(first), Some(last)) = (entries.first()?, entries.last()) {
            let count = entries.len();
            let ascends =
                count == 1 || (first.relative_offset < last.relative_offset && first.position < last.position);
            // An unclean stop of Kafka leaves zeros behind the entries: then the last is below the first.
            let sound = first.relative_offset >= 0 && first.position >= 0 && ascends;
            if !sound || last.position as u64 >= log_bytes {
                let reason = format!("last of {count} entries is {last:?} in an index over {log_bytes} bytes");
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
        (self.len() * OFFSET_ENTRY_BYTES) as u64
    }

    pub(super) fn is_full(&self, max_index_bytes: usize) -> bool {
        self.len() >= max_index_bytes / OFFSET_ENTRY_BYTES
    }

    /// The last entry; where there is none, the segment's beginning.
    pub fn last(&self) -> OffsetPosition {
        self.resolve(self.entries.last())
    }

    /// The last entry at or before `target`; where there is none, the segment's beginning.
    pub fn lookup(&self, target: Offset) -> io::Result<OffsetPosition> {
        let relative = target - self.base_offset;
        let found = self.entries.last_where(|entry| i64::from(entry.relative_offset) <= relative)?;
        Ok(self.resolve(found.map(|(_, entry)| entry)))
    }

    /// The position of the last indexed batch that begins at or before `position`.
    pub(super) fn floor_of_position(&self, position: u64) -> io::Result<u64> {
        let found = self.entries.last_where(|entry| entry.position as u64 <= position)?;
        Ok(found.map_or(0, |(_, entry)| entry.position as u64))
    }

    /// Offsets and positions ascend; anything else is left out, since it cannot be found anyway.
    pub fn append(&self, offset: Offset, position: u64) {
        let (Some(relative_offset), Ok(position)) =
            (relative_offset(self.base_offset, offset), i32::try_from(position))
        else {
            return;
        };
        if self.entries.last().is_none_or(|last| relative_offset > last.relative_offset) {
            self.entries.append(Entry { relative_offset, position });
        }
    }

    /// Forgets all entries for these, which the next write brings to the file.
    pub(super) fn replace(&self, entries: Vec<OffsetPosition>) {
        let encode = |entry: OffsetPosition| {
            let relative_offset = relative_offset(self.base_offset, entry.offset)?;
            Some(Entry { relative_offset, position: i32::try_from(entry.position).ok()? })
        };
        self.entries.replace(entries.into_iter().filter_map(encode).collect());
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

    /// As [`OffsetIndex::write_tail`] where there is no file: a crash leaves all of it or none.
    pub(super) fn write_new(&self) -> io::Result<()> {
        self.entries.write_new()
    }

    pub(super) fn take_unsynced(&self) -> io::Result<Option<Arc<dyn DiskFile>>> {
        self.entries.take_unsynced()
    }

    pub(super) fn file(&self) -> &KeptFile {
        self.entries.file()
    }

    fn resolve(&self, entry: Option<Entry>) -> OffsetPosition {
        entry.map_or(OffsetPosition { offset: self.base_offset, position: 0 }, |entry| OffsetPosition {
            offset: self.base_offset + i64::from(entry.relative_offset),
            position: entry.position as u64,
        })
    }
}
