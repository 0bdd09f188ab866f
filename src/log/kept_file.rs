//! A file of a segment that stays open as long as there are descriptors for it, and is opened again when it is needed.
//!
//! ```text
//!             first use                      too many are open: synced where it has to be, then closed
//!  ┌────────┐ ─────────▶ ┌──────┐ ───────────────────────────────────────────────────────────┐
//!  │ closed │            │ open │                                                             │
//!  └────────┘ ◀────────────────────────────────────────────────────────────────────────────────┘
//! ```
//! Who is given the open file ([`KeptFile::opened`]) keeps it for as long as it likes, whatever becomes of this one: an
//! answer that is being sent goes on when its segment is closed, renamed or removed.

use std::fmt;
use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::RwLock;

use super::directory::{DELETED_SUFFIX, FileKind, PartitionDirectory};
use crate::ids::Offset;
use crate::io::{Closable, DiskFile, OpenMode, OsFile, relieving_worker};

/// See the module's documentation.
pub struct KeptFile {
    this: Weak<Self>,
    directory: Arc<PartitionDirectory>,
    kind: FileKind,
    base_offset: Offset,
    state: RwLock<State>,
    was_used: AtomicBool,
    /// Written to since it was last given away to be synced.
    has_unsynced: AtomicBool,
}

#[derive(Default)]
struct State {
    file: Option<Arc<dyn DiskFile>>,
    /// It has a place in the ring of open files.
    is_listed: bool,
    /// Its segment is no longer part of the log: its name ends with `.deleted`, and the name it had may be another's.
    is_retired: bool,
    /// A sync before closing it failed: whoever syncs it next hears of it.
    failed_sync: Option<io::ErrorKind>,
}

impl KeptFile {
    /// The file of that name, which need not be there yet.
    pub(super) fn new(directory: Arc<PartitionDirectory>, kind: FileKind, base_offset: Offset) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            directory,
            kind,
            base_offset,
            state: RwLock::default(),
            was_used: AtomicBool::new(false),
            has_unsynced: AtomicBool::new(false),
        })
    }

    /// The open file. It is opened where it is not; it must exist.
    pub fn opened(&self) -> io::Result<Arc<dyn DiskFile>> {
        self.in_mode(OpenMode::ReadWrite)
    }

    /// As [`KeptFile::opened`]; where it is absent, it is created.
    pub(super) fn created(&self) -> io::Result<Arc<dyn DiskFile>> {
        self.in_mode(OpenMode::Create)
    }

    /// The open file, for the caller to sync: what was written up to now no longer counts as unsynced. `None`: it was
    /// retired and is gone. An error is a sync that failed.
    pub(super) fn to_sync(&self) -> io::Result<Option<Arc<dyn DiskFile>>> {
        let opened = self.opened();
        let state = self.state.read();
        if let Some(kind) = state.failed_sync {
            return Err(kind.into());
        }
        self.has_unsynced.store(false, Ordering::Release);
        match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound && state.is_retired => Ok(None),
            opened => opened.map(Some),
        }
    }

    pub(super) fn is_open_as(&self, file: &Arc<dyn DiskFile>) -> bool {
        self.state.read().file.as_ref().is_some_and(|open| Arc::ptr_eq(open, file))
    }

    /// Gives it this content, durably and in one piece.
    pub(super) fn write_new(&self, content: &[u8]) -> io::Result<()> {
        self.let_go();
        let path = self.directory.file(self.kind, self.base_offset);
        self.directory.disk().write_atomically(&path, content)
    }

    /// Closes it without a sync: it was given away, or is needed no more.
    pub(super) fn let_go(&self) {
        if self.state.write().file.take().is_some() {
            self.directory.disk().open_files().closed();
        }
    }

    /// Lets `rename` give the file its last name, which ends with `.deleted`: it stays readable under that.
    pub(super) fn retire(&self, rename: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let mut state = self.state.write();
        let renamed = rename();
        // One that was never there has no other name; the one it would have had may be given to another.
        let is_retired = renamed.as_ref().map_or_else(|error| error.kind() == io::ErrorKind::NotFound, |()| true);
        state.is_retired |= is_retired;
        // Nobody will sync it any more.
        self.has_unsynced.store(false, Ordering::Release);
        renamed
    }

    fn in_mode(&self, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        if let Some(file) = &self.state.read().file {
            self.was_used.store(true, Ordering::Relaxed);
            return Ok(Arc::clone(file));
        }
        let open_files = self.directory.disk().open_files();
        let (file, entry) = {
            let mut state = self.state.write();
            if let Some(file) = &state.file {
                return Ok(Arc::clone(file));
            }
            let file = match self.open(state.is_retired, mode) {
                // It can still be read; that it takes writes again, the next opening finds out.
                Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                    return self.open(state.is_retired, OpenMode::Read);
                }
                opened => opened?,
            };
            // What is needed once is no better than what nobody needed for a while.
            self.was_used.store(false, Ordering::Relaxed);
            open_files.opened();
            state.file = Some(Arc::clone(&file));
            let is_listed = std::mem::replace(&mut state.is_listed, true);
            let this: Weak<dyn Closable> = self.this.clone();
            (file, (!is_listed).then_some(this))
        };
        open_files.make_way(entry);
        Ok(file)
    }

    fn open(&self, is_retired: bool, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let suffix = if is_retired { DELETED_SUFFIX } else { "" };
        self.directory.open_suffixed(self.kind, self.base_offset, suffix, mode)
    }

    fn note_write(&self) {
        self.has_unsynced.store(true, Ordering::Release);
    }
}

impl DiskFile for KeptFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.opened()?.read_at(buffer, position)
    }

    fn read_cached_at(&self, buffer: &mut [u8], position: u64) -> io::Result<Option<usize>> {
        self.opened()?.read_cached_at(buffer, position)
    }

    fn write_all_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        let file = self.opened()?;
        // Before, so that it is not closed in the midst of it; behind, since a sync that began meanwhile proves nothing.
        self.note_write();
        let written = file.write_all_at(slices, position);
        self.note_write();
        written
    }

    fn size_bytes(&self) -> io::Result<u64> {
        self.opened()?.size_bytes()
    }

    fn set_size_bytes(&self, size_bytes: u64) -> io::Result<()> {
        let file = self.opened()?;
        self.note_write();
        file.set_size_bytes(size_bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.to_sync()?.map_or(Ok(()), |file| file.sync())
    }

    /// None: what is to be sent is [`KeptFile::opened`].
    fn as_os_file(&self) -> Option<&OsFile> {
        None
    }
}

impl Closable for KeptFile {
    fn may_close(&self, with_unsynced: bool) -> bool {
        !self.was_used.swap(false, Ordering::Relaxed) && (with_unsynced || !self.has_unsynced.load(Ordering::Acquire))
    }

    fn close(&self) -> bool {
        // Whoever opens it right now is not waited for.
        let Some(mut state) = self.state.try_write() else { return false };
        if let Some(file) = &state.file {
            if self.has_unsynced.swap(false, Ordering::AcqRel)
                && let Err(error) = relieving_worker(|| file.sync())
            {
                state.failed_sync = Some(error.kind());
                return false;
            }
            state.file = None;
            self.directory.disk().open_files().closed();
        }
        state.is_listed = false;
        true
    }

    fn leave_if_closed(&self) -> bool {
        let Some(mut state) = self.state.try_write() else { return false };
        state.is_listed = state.file.is_some();
        !state.is_listed
    }
}

impl Drop for KeptFile {
    fn drop(&mut self) {
        self.let_go();
    }
}

impl fmt::Debug for KeptFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_open = self.state.read().file.is_some();
        f.debug_struct("KeptFile").field("kind", &self.kind).field("is_open", &is_open).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::io::Disk;
    use crate::io::sim::{SimDisk, SimFault, SimOperation};

    /// Files of one byte each, on a disk of which so many stay open.
    fn files(open: usize, count: i64) -> (Arc<SimDisk>, Vec<Arc<KeptFile>>) {
        let disk = SimDisk::with_open_files(1, open);
        disk.create_directory(Path::new("p")).unwrap();
        disk.sync_directory(Path::new("")).unwrap();
        let directory = PartitionDirectory::new(Arc::clone(&disk) as Arc<dyn Disk>, "p".into());
        let file = |number| {
            let file = KeptFile::new(Arc::clone(&directory), FileKind::Log, Offset(number));
            file.created().unwrap();
            file.write_all_at(&[IoSlice::new(&[number as u8])], 0).unwrap();
            file
        };
        let files = (0..count).map(file).collect();
        disk.sync_directory(Path::new("p")).unwrap();
        (disk, files)
    }

    fn content(file: &dyn DiskFile) -> u8 {
        let mut byte = [0];
        assert_eq!(file.read_at(&mut byte, 0).unwrap(), 1);
        byte[0]
    }

    #[test]
    fn few_stay_open_and_all_are_used() {
        let (disk, files) = files(2, 9);
        for round in 0..3 {
            for (number, file) in files.iter().enumerate() {
                assert_eq!(content(&**file) as usize, number, "round {round}");
                assert!(disk.open_files().count() <= 2);
            }
        }
        drop(files);
        assert_eq!(disk.open_files().count(), 0);
    }

    #[test]
    fn what_is_used_stays_open() {
        let (disk, files) = files(3, 8);
        let favourite = files[0].opened().unwrap();
        for file in &files[1..] {
            assert!(files[0].is_open_as(&favourite) && disk.open_files().count() <= 3);
            assert_eq!(content(&*files[0].opened().unwrap()), 0);
            file.opened().unwrap();
        }
    }

    #[test]
    fn what_is_closed_is_on_the_device() {
        let (disk, files) = files(1, 4);
        drop(files);
        disk.crash(7);
        for number in 0..3 {
            let path = Path::new("p").join(FileKind::Log.file_name(Offset(number)));
            assert_eq!(disk.read(&path, 9).unwrap(), [number as u8]);
        }
    }

    #[test]
    fn a_sync_that_failed_is_not_forgotten() {
        let (disk, files) = files(2, 2);
        disk.fail_after(SimOperation::Sync, 0, SimFault::Io);
        disk.open_files().make_room();
        disk.heal();
        for file in &files {
            assert!(file.to_sync().is_err() && file.sync().is_err(), "a second try would succeed and prove nothing");
            content(&**file);
        }
    }

    #[test]
    fn a_retired_file_is_read_under_its_new_name() {
        let (disk, files) = files(1, 3);
        let name = |number| Path::new("p").join(FileKind::Log.file_name(Offset(number)));
        for (number, file) in (0..).zip(&files) {
            let deleted = name(number).with_extension("log.deleted");
            file.retire(|| disk.rename(&name(number), &deleted)).unwrap();
            assert_eq!(content(&**file), number as u8);
            let held = file.opened().unwrap();
            disk.remove_file(&deleted).unwrap();
            file.let_go();
            assert_eq!(content(&*held), number as u8, "who has it keeps it");
            assert!(file.to_sync().unwrap().is_none());
            assert_eq!(file.opened().unwrap_err().kind(), io::ErrorKind::NotFound);
        }
    }
}
