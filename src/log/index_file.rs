//! What the indexes of a segment share: sorted entries of one size, the newest of them in memory.
//!
//! ```text
//!  ┌── file, exactly `stored` entries ──┐┌── tail, in memory ──┐
//!  │ e0 e1 e2 ...                       ││ ... newest          │
//!  └────────────────────────────────────┘└─────────────────────┘
//! ```
//! Kafka maps a preallocated file and writes through it. Here an append costs no system call: the tail is written at
//! a checkpoint, a roll and a close, and what a crash loses of it recovery builds again from the log.

use std::io::{self, IoSlice};
use std::sync::Arc;

use parking_lot::RwLock;

use super::directory::{FileKind, PartitionDirectory};
use super::kept_file::KeptFile;
use crate::ids::Offset;
use crate::io::DiskFile;

/// Once a search has narrowed to this many bytes of the file, it reads them in one go.
const SEARCH_PAGE_BYTES: usize = 4096;

/// An entry of an index; its size never varies.
pub(crate) trait IndexEntry: Copy + Send + Sync + 'static {
    const BYTES: usize;
    /// `bytes` holds exactly [`Self::BYTES`].
    fn decode(bytes: &[u8]) -> Self;
    fn encode(self, into: &mut Vec<u8>);
    /// Whether all its bytes are zero.
    fn is_zero(&self) -> bool;
}

/// Entries in ascending order: stored ones, then the tail.
pub(super) struct IndexFile<E> {
    kind: FileKind,
    /// Opened when first needed, since most closed segments are never looked into, and let go when it is given away to be
    /// synced: a partition that is only written to keeps no index open.
    file: Arc<KeptFile>,
    state: RwLock<State<E>>,
}

struct State<E> {
    /// There is a file of that name, and it is no leftover.
    exists: bool,
    stored: usize,
    tail: Vec<E>,
    last: Option<E>,
    /// Written to since the file was last handed out to be synced.
    unsynced: bool,
}

impl<E> State<E> {
    fn of_no_file() -> Self {
        Self { exists: false, stored: 0, tail: Vec::new(), last: None, unsynced: false }
    }
}

impl<E: IndexEntry> IndexFile<E> {
    /// An index that has no file yet, or whose file counts for nothing: the first write replaces it.
    pub(super) fn empty(directory: Arc<PartitionDirectory>, kind: FileKind, base_offset: Offset) -> Self {
        let file = KeptFile::new(directory, kind, base_offset);
        Self { kind, file, state: RwLock::new(State::of_no_file()) }
    }

    /// The index as its file has it. An absent file is `NotFound`; one that holds a part of an entry is `InvalidData`.
    pub(super) fn open(directory: Arc<PartitionDirectory>, kind: FileKind, base_offset: Offset) -> io::Result<Self> {
        let kept = KeptFile::new(directory, kind, base_offset);
        let file = kept.opened()?;
        let size_bytes = file.size_bytes()? as usize;
        if !size_bytes.is_multiple_of(E::BYTES) {
            let reason = format!("{size_bytes} bytes are no multiple of {}", E::BYTES);
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        let stored = size_bytes / E::BYTES;
        let last = match stored.checked_sub(1) {
            Some(slot) => Some(read_entry(&*file, slot)?),
            None => None,
        };
        let state = State { exists: true, stored, last, ..State::of_no_file() };
        kept.let_go();
        Ok(Self { kind, file: kept, state: RwLock::new(state) })
    }

    pub(super) fn len(&self) -> usize {
        let state = self.state.read();
        state.stored + state.tail.len()
    }

    pub(super) fn first(&self) -> io::Result<Option<E>> {
        if self.len() == 0 { Ok(None) } else { self.entry(0).map(Some) }
    }

    pub(super) fn last(&self) -> Option<E> {
        self.state.read().last
    }

    pub(super) fn append(&self, entry: E) {
        let mut state = self.state.write();
        state.tail.push(entry);
        state.last = Some(entry);
    }

    /// The last entry for which `is_before` holds, with its slot, given that it holds for all entries up to some
    /// slot and for none beyond.
    ///
    /// Entries that were not synced may be zeros after a crash, until recovery has cut them off. Only the very first
    /// can be zero and true, so that others count as beyond.
    pub(super) fn last_where(&self, is_before: impl Fn(&E) -> bool) -> io::Result<Option<(usize, E)>> {
        let stored = {
            let state = self.state.read();
            // Most look-ups are near the end of the log.
            if state.tail.first().is_some_and(&is_before) {
                let slot = state.tail.partition_point(&is_before) - 1;
                return Ok(Some((state.stored + slot, state.tail[slot])));
            }
            if state.stored == 0 {
                return Ok(None);
            }
            state.stored
        };
        // The file is searched without the lock: a read of a cold page must not hold up the appender.
        search_file(&*self.file.opened()?, stored, |slot, entry: &E| {
            !(slot > 0 && entry.is_zero()) && is_before(entry)
        })
    }

    pub(super) fn entry(&self, slot: usize) -> io::Result<E> {
        {
            let state = self.state.read();
            if slot >= state.stored {
                let entry = state.tail.get(slot - state.stored).copied();
                return entry.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no such index entry"));
            }
        }
        read_entry(&*self.file.opened()?, slot)
    }

    /// Writes the tail behind the stored entries. On an error nothing is forgotten, and it may be called again.
    pub(super) fn write_tail(&self) -> io::Result<()> {
        let mut state = self.state.write();
        if state.tail.is_empty() && state.exists {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(state.tail.len() * E::BYTES);
        state.tail.iter().for_each(|entry| entry.encode(&mut bytes));
        self.file.created()?;
        let position = (state.stored * E::BYTES) as u64;
        // A file that is longer is the leftover of a write that failed, or of a crash before recovery.
        if self.file.size_bytes()? != position {
            self.file.set_size_bytes(position)?;
        }
        if !bytes.is_empty() {
            self.file.write_all_at(&[IoSlice::new(&bytes)], position)?;
        }
        state.exists = true;
        state.stored += state.tail.len();
        state.tail = Vec::new();
        state.unsynced = true;
        Ok(())
    }

    /// Makes a file of all entries, which none has been written of before, and leaves it closed: a crash leaves all of it
    /// or none.
    pub(super) fn write_new(&self) -> io::Result<()> {
        let mut state = self.state.write();
        let mut bytes = Vec::with_capacity(state.tail.len() * E::BYTES);
        state.tail.iter().for_each(|entry| entry.encode(&mut bytes));
        self.file.write_new(&bytes)?;
        state.exists = true;
        state.stored = state.tail.len();
        state.tail = Vec::new();
        Ok(())
    }

    /// Forgets all entries for these, which are written with the next tail.
    pub(super) fn replace(&self, entries: Vec<E>) {
        let mut state = self.state.write();
        // What the file holds is a leftover from now on.
        state.exists = false;
        state.stored = 0;
        state.last = entries.last().copied();
        state.tail = entries;
    }

    /// The file, if it was written to since this was last asked; for the caller to sync.
    pub(super) fn take_unsynced(&self) -> io::Result<Option<Arc<dyn DiskFile>>> {
        let mut state = self.state.write();
        if !std::mem::take(&mut state.unsynced) {
            return Ok(None);
        }
        let file = self.file.to_sync()?;
        self.file.let_go();
        Ok(file)
    }

    /// Keeps the first `entries` entries.
    pub(super) fn truncate(&self, entries: usize) -> io::Result<()> {
        let mut state = self.state.write();
        if entries >= state.stored {
            let kept = entries - state.stored;
            state.tail.truncate(kept);
        } else {
            self.file.set_size_bytes((entries * E::BYTES) as u64)?;
            state.stored = entries;
            state.tail.clear();
            state.unsynced = true;
        }
        state.last = match state.tail.last() {
            Some(&entry) => Some(entry),
            None if state.stored == 0 => None,
            None => {
                let slot = state.stored - 1;
                Some(read_entry(&*self.file, slot)?)
            }
        };
        Ok(())
    }

    pub(super) fn file(&self) -> &KeptFile {
        &self.file
    }
}

impl<E> std::fmt::Debug for IndexFile<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.state.read();
        write!(f, "{:?}({} stored, {} in memory)", self.kind, state.stored, state.tail.len())
    }
}

fn read_entry<E: IndexEntry>(file: &dyn DiskFile, slot: usize) -> io::Result<E> {
    let mut entries = read_entries(file, slot, slot + 1)?;
    entries.pop().ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

fn read_entries<E: IndexEntry>(file: &dyn DiskFile, from: usize, to: usize) -> io::Result<Vec<E>> {
    let mut bytes = vec![0; (to - from) * E::BYTES];
    if file.read_at(&mut bytes, (from * E::BYTES) as u64)? < bytes.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes.chunks_exact(E::BYTES).map(E::decode).collect())
}

/// Halves the range by single entries until it fits a page, then searches the page in memory.
fn search_file<E: IndexEntry>(
    file: &dyn DiskFile,
    stored: usize,
    is_before: impl Fn(usize, &E) -> bool,
) -> io::Result<Option<(usize, E)>> {
    let (mut low, mut high) = (0, stored);
    while (high - low) * E::BYTES > SEARCH_PAGE_BYTES {
        let middle = low + (high - low) / 2;
        if is_before(middle, &read_entry(file, middle)?) {
            // The answer is the middle or beyond it.
            low = middle;
        } else {
            high = middle;
        }
    }
    let page = read_entries::<E>(file, low, high)?;
    let found = page.iter().enumerate().take_while(|(at, entry)| is_before(low + at, entry)).last();
    Ok(found.map(|(at, entry)| (low + at, *entry)))
}
