//! `.txnindex`: the aborted transactions whose markers lie in the segment (KIP-98).
//!
//! ```text
//!  entry, 34 bytes, big-endian:
//!  │ version i16 = 0 │ producer id i64 │ first offset i64 │ last offset i64 │ last stable offset i64 │
//! ```
//! Aborts are rare, so an entry is written at once, and the file exists only where there is one.

use std::io::{self, IoSlice};
use std::sync::Arc;

use parking_lot::Mutex;

use super::directory::{FileKind, PartitionDirectory};
use super::kept_file::KeptFile;
use crate::ids::{Offset, ProducerId};
use crate::io::DiskFile;

/// Bytes of one entry.
pub const TXN_ENTRY_BYTES: usize = 34;

/// Entries that a search reads at a time.
const ENTRIES_PER_READ: usize = 120;

/// One aborted transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTxn {
    pub producer_id: ProducerId,
    pub first_offset: Offset,
    /// The offset of the abort marker.
    pub last_offset: Offset,
    /// The last stable offset once this transaction was decided: no later entry begins before it.
    pub last_stable_offset: Offset,
}

impl AbortedTxn {
    fn encode(&self) -> [u8; TXN_ENTRY_BYTES] {
        let mut bytes = [0; TXN_ENTRY_BYTES];
        let fields = [self.producer_id.0, self.first_offset.0, self.last_offset.0, self.last_stable_offset.0];
        for (place, field) in bytes[2..].chunks_exact_mut(8).zip(fields) {
            place.copy_from_slice(&field.to_be_bytes());
        }
        bytes
    }

    /// `None`: a version that is not known.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let field = |at: usize| {
            let bytes = bytes.get(at..at + 8)?;
            Some(i64::from_be_bytes(bytes.try_into().ok()?))
        };
        if bytes.get(..2)? != [0, 0] {
            return None;
        }
        Some(Self {
            producer_id: ProducerId(field(2)?),
            first_offset: Offset(field(10)?),
            last_offset: Offset(field(18)?),
            last_stable_offset: Offset(field(26)?),
        })
    }
}

/// The transaction index of one segment.
#[derive(Debug)]
pub struct TxnIndex {
    file: Arc<KeptFile>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: usize,
    unsynced: bool,
}

impl TxnIndex {
    /// The index as its file has it; no file is an empty index. `InvalidData`: the file is none of this segment.
    pub fn open(directory: Arc<PartitionDirectory>, base_offset: Offset) -> io::Result<Self> {
        let file = KeptFile::new(directory, FileKind::TxnIndex, base_offset);
        let size_bytes = match file.size_bytes() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            found => found? as usize,
        };
        let state = State { entries: size_bytes / TXN_ENTRY_BYTES, unsynced: false };
        let index = Self { file, state: Mutex::new(state) };
        let mut sound = size_bytes.is_multiple_of(TXN_ENTRY_BYTES);
        let mut least = base_offset;
        index.visit(|entry| {
            // The marker follows at least one record. Where a crash has left zeros, it would not.
            sound &= entry.last_offset >= least && entry.first_offset < entry.last_offset;
            least = entry.last_offset.next();
            sound
        })?;
        if sound { Ok(index) } else { Err(corrupt()) }
    }

    pub(super) fn empty(directory: Arc<PartitionDirectory>, base_offset: Offset) -> Self {
        Self { file: KeptFile::new(directory, FileKind::TxnIndex, base_offset), state: Mutex::default() }
    }

    pub fn append(&self, transaction: &AbortedTxn) -> io::Result<()> {
        let mut state = self.state.lock();
        self.file.created()?;
        self.file.write_all_at(&[IoSlice::new(&transaction.encode())], (state.entries * TXN_ENTRY_BYTES) as u64)?;
        state.entries += 1;
        state.unsynced = true;
        Ok(())
    }

    /// Adds those that overlap the offsets from `from` to below `up_to`. True: no later segment can hold more.
    pub fn collect(&self, from: Offset, up_to: Offset, into: &mut Vec<AbortedTxn>) -> io::Result<bool> {
        let mut complete = false;
        self.visit(|entry| {
            if entry.last_offset >= from && entry.first_offset < up_to {
                into.push(*entry);
            }
            complete = entry.last_stable_offset >= up_to;
            !complete
        })?;
        Ok(complete)
    }

    /// Keeps the transactions that were decided below `offset`.
    pub fn truncate_to(&self, offset: Offset) -> io::Result<()> {
        let mut kept = 0;
        self.visit(|entry| {
            let keep = entry.last_offset < offset;
            kept += usize::from(keep);
            keep
        })?;
        let mut state = self.state.lock();
        if kept < state.entries {
            self.file.set_size_bytes((kept * TXN_ENTRY_BYTES) as u64)?;
            state.entries = kept;
            state.unsynced = true;
        }
        Ok(())
    }

    pub(super) fn take_unsynced(&self) -> io::Result<Option<Arc<dyn DiskFile>>> {
        let mut state = self.state.lock();
        if std::mem::take(&mut state.unsynced) { self.file.to_sync() } else { Ok(None) }
    }

    pub(super) fn file(&self) -> &KeptFile {
        &self.file
    }

    /// Shows the entries in order until `visitor` says false.
    fn visit(&self, mut visitor: impl FnMut(&AbortedTxn) -> bool) -> io::Result<()> {
        let entries = self.state.lock().entries;
        if entries == 0 {
            return Ok(());
        }
        let file = self.file.opened()?;
        let mut buffer = [0; ENTRIES_PER_READ * TXN_ENTRY_BYTES];
        let mut slot = 0;
        while slot < entries {
            let count = (entries - slot).min(ENTRIES_PER_READ);
            let page = &mut buffer[..count * TXN_ENTRY_BYTES];
            if file.read_at(page, (slot * TXN_ENTRY_BYTES) as u64)? < page.len() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            for bytes in page.chunks_exact(TXN_ENTRY_BYTES) {
                if !visitor(&AbortedTxn::decode(bytes).ok_or_else(corrupt)?) {
                    return Ok(());
                }
            }
            slot += count;
        }
        Ok(())
    }
}

fn corrupt() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not the transaction index of this segment")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::io::sim::SimDisk;
    use crate::io::{Disk, OpenMode};

    fn entry(first_offset: i64, last_offset: i64) -> [u8; TXN_ENTRY_BYTES] {
        let (first_offset, last_offset) = (Offset(first_offset), Offset(last_offset));
        AbortedTxn { producer_id: ProducerId(3), first_offset, last_offset, last_stable_offset: last_offset }.encode()
    }

    fn opens(entries: &[[u8; TXN_ENTRY_BYTES]]) -> bool {
        let disk: Arc<dyn Disk> = SimDisk::new(1);
        disk.create_directory(Path::new("t-0")).unwrap();
        let directory = PartitionDirectory::new(disk, "t-0".into());
        let file = directory.open(FileKind::TxnIndex, Offset::ZERO, OpenMode::Create).unwrap();
        file.write_all_at(&[IoSlice::new(&entries.concat())], 0).unwrap();
        match TxnIndex::open(directory, Offset::ZERO) {
            Ok(_) => true,
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::InvalidData);
                false
            }
        }
    }

    /// Pages come to the device in any order: an entry may be zeros, and the one behind it whole.
    #[test]
    fn what_a_crash_leaves_of_an_entry_is_none() {
        assert!(opens(&[entry(0, 4), entry(2, 9)]));
        assert!(!opens(&[[0; TXN_ENTRY_BYTES], entry(2, 9)]));
        assert!(!opens(&[entry(0, 4), [0; TXN_ENTRY_BYTES]]));
        assert!(!opens(&[entry(2, 9), entry(0, 4)]));
    }
}
