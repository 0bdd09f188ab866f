//! A disk in memory, with crashes and faults, deterministic by its seed.
//!
//! It keeps its promises as narrowly as POSIX allows, so that code that passes here asks for no more:
//!
//! - What was written but not synced survives a [`SimDisk::crash`] in part: nothing, all of it, a prefix, or any of its
//!   sectors; a hole reads as zeros.
//! - A new name, a rename or a removal survives only once its *directory* was synced; syncing the file is not enough.
//!   Of one directory's changes a prefix survives.
//! - A submitted sync covers what was written *before it was submitted*, and completes when the test says so.
//! - After a sync that failed, the data it should have covered is gone from the device for good, though it still
//!   reads back: a second sync that succeeds proves nothing.
//! - A write that fails may have written a part.
//!
//! Whatever changes the disk is a *step*, and steps are counted: a test takes the power away at one of them, or lets some
//! of them fail.

mod file;
#[cfg(test)]
mod tests;
mod tree;
mod whole_sync;

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{
    DirectoryEntry, DirectoryLock, Disk, DiskFile, DiskSpace, EntryKind, OpenFiles, OpenMode, SyncDone, SyncRequest,
    WholeSync, temporary_path,
};
use file::FileState;
use tree::{Node, Tree};
use whole_sync::SimWholeSync;

/// The unit in which a device writes or does not write.
const SECTOR_BYTES: usize = 512;

/// The capacity of a disk that was given none.
const UNLIMITED_BYTES: u64 = 1 << 40;

/// What a failing operation answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SimFault {
    /// EIO.
    Io,
    /// ENOSPC.
    NoSpace,
    /// EROFS.
    ReadOnly,
}

impl SimFault {
    fn error(self) -> io::Error {
        match self {
            Self::Io => rustix::io::Errno::IO.into(),
            Self::NoSpace => rustix::io::Errno::NOSPC.into(),
            Self::ReadOnly => rustix::io::Errno::ROFS.into(),
        }
    }
}

/// The operations that faults are set for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SimOperation {
    Read,
    /// Writes, and all that changes a size or a directory.
    Write,
    Sync,
}

/// See the module's documentation.
pub struct SimDisk {
    state: Arc<Mutex<State>>,
    open_files: OpenFiles,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct FileId(u64);

struct State {
    rng: StdRng,
    tree: Tree,
    files: BTreeMap<FileId, FileState>,
    next_id: u64,
    /// Handles and locks from before a crash belong to a process that is no more.
    boot: u64,
    locks: BTreeSet<PathBuf>,
    submitted: VecDeque<SubmittedSync>,
    faults: BTreeMap<SimOperation, Countdown>,
    steps: u64,
    power_cut_at: Option<u64>,
    is_powerless: bool,
    failing_steps: Option<(Range<u64>, SimFault)>,
    /// How many operations have failed because a test wanted it.
    failures: u64,
    capacity_bytes: u64,
    read_bytes: u64,
    trace: u64,
    /// What was done, in words, where somebody wants to read it.
    journal: Option<Vec<String>>,
}

/// Operations that still succeed before all fail.
struct Countdown {
    remaining: u64,
    fault: SimFault,
}

struct SubmittedSync {
    /// Each file, and up to which of its writes.
    files: Vec<(FileId, u64)>,
    directories: Vec<PathBuf>,
    done: SyncDone,
}

impl SimDisk {
    pub fn new(seed: u64) -> Arc<Self> {
        Self::with_open_files(seed, usize::MAX)
    }

    /// As [`SimDisk::new`]; at most `limit` files stay open between uses.
    pub fn with_open_files(seed: u64, limit: usize) -> Arc<Self> {
        let state = State {
            rng: StdRng::seed_from_u64(seed),
            tree: Tree::new(),
            files: BTreeMap::new(),
            next_id: 0,
            boot: 0,
            locks: BTreeSet::new(),
            submitted: VecDeque::new(),
            faults: BTreeMap::new(),
            steps: 0,
            power_cut_at: None,
            is_powerless: false,
            failing_steps: None,
            failures: 0,
            capacity_bytes: UNLIMITED_BYTES,
            read_bytes: 0,
            trace: 0xcbf2_9ce4_8422_2325,
            journal: None,
        };
        Arc::new(Self { state: Arc::new(Mutex::new(state)), open_files: OpenFiles::new(limit) })
    }

    /// The power fails: what was not synced survives in part, chosen by `seed`. Submitted syncs never complete, and
    /// whoever still holds a file or a lock gets errors.
    pub fn crash(&self, seed: u64) {
        let forgotten = {
            let mut state = self.state.lock();
            let state = &mut *state;
            let mut rng = StdRng::seed_from_u64(seed);
            state.note("crash", &seed.to_le_bytes());
            state.restore_power();
            state.tree.crash(&mut rng);
            let reachable = state.tree.files();
            state.files.retain(|id, _| reachable.contains(id));
            for file in state.files.values_mut() {
                file.crash(&mut rng);
            }
            state.boot += 1;
            state.locks.clear();
            std::mem::take(&mut state.submitted)
        };
        // Dropped here, because a callback may own handles of this disk.
        drop(forgotten);
    }

    /// The process dies and the machine goes on: all that was written is there; handles and locks are not.
    pub fn kill(&self) {
        let forgotten = {
            let mut state = self.state.lock();
            state.note("kill", &[]);
            state.restore_power();
            state.boot += 1;
            state.locks.clear();
            std::mem::take(&mut state.submitted)
        };
        drop(forgotten);
    }

    /// Completes what was submitted up to now, in order; what the callbacks submit waits for the next call.
    pub fn run_syncs(&self) {
        for _ in 0..self.submitted_syncs() {
            self.run_sync(0);
        }
    }

    /// Completes the sync at this place of the queue: distinct requests complete in any order. False where there is
    /// none.
    pub fn run_sync(&self, place: usize) -> bool {
        let (result, done) = {
            let mut state = self.state.lock();
            let Some(sync) = state.submitted.remove(place) else { return false };
            (state.run_sync(&sync.files, &sync.directories), sync.done)
        };
        done(result);
        true
    }

    pub fn submitted_syncs(&self) -> usize {
        self.state.lock().submitted.len()
    }

    /// Lets `count` more operations of this kind succeed; then all fail until [`Self::heal`].
    pub fn fail_after(&self, operation: SimOperation, count: u64, fault: SimFault) {
        self.state.lock().faults.insert(operation, Countdown { remaining: count, fault });
    }

    /// Ends all faults that were set; what they destroyed stays destroyed.
    pub fn heal(&self) {
        let mut state = self.state.lock();
        state.faults.clear();
        state.failing_steps = None;
    }

    /// How many steps were tried so far: writes, sizes, names, syncs.
    pub fn steps(&self) -> u64 {
        self.state.lock().steps
    }

    /// The power fails in the midst of this step, which may then be done in part. Nothing works any more, until
    /// [`Self::crash`] or, where only the process has died, [`Self::kill`].
    pub fn cut_power_at(&self, step: u64) {
        self.state.lock().power_cut_at = Some(step);
    }

    pub fn is_powerless(&self) -> bool {
        self.state.lock().is_powerless
    }

    /// Lets these steps fail.
    pub fn fail_steps(&self, steps: Range<u64>, fault: SimFault) {
        self.state.lock().failing_steps = Some((steps, fault));
    }

    /// How many operations have failed for a power cut or a fault that was set.
    pub fn failures(&self) -> u64 {
        self.state.lock().failures
    }

    /// Keeps a line for each step from now on, and for each [`Self::remark`].
    pub fn keep_journal(&self) {
        self.state.lock().journal.get_or_insert_default();
    }

    /// What somebody who reads the journal should know.
    pub fn remark(&self, text: impl FnOnce() -> String) {
        self.state.lock().tell(text);
    }

    /// The lines since this was last asked.
    pub fn take_journal(&self) -> Vec<String> {
        self.state.lock().journal.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Writes that need more fail with ENOSPC.
    pub fn set_capacity_bytes(&self, capacity_bytes: u64) {
        self.state.lock().capacity_bytes = capacity_bytes;
    }

    /// Bit rot: turns over one bit of a file, in the page cache and on the device.
    pub fn flip_bit(&self, path: &Path, bit: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        let id = state.file_at(path)?;
        state.note("rot", &bit.to_le_bytes());
        state.file(id).flip_bit(bit);
        Ok(())
    }

    /// All bytes that were read so far, from files that are cached too: what something costs.
    pub fn read_bytes(&self) -> u64 {
        self.state.lock().read_bytes
    }

    /// A digest of every operation so far: two runs that did the same have the same.
    pub fn trace(&self) -> u64 {
        self.state.lock().trace
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimDisk").finish_non_exhaustive()
    }
}

impl State {
    /// FNV-1a over what is done, in order.
    fn note(&mut self, what: &str, detail: &[u8]) {
        for byte in what.bytes().chain(detail.iter().copied()) {
            self.trace = (self.trace ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn note_path(&mut self, what: &str, path: &Path) {
        self.note(what, path.as_os_str().as_encoded_bytes());
    }

    fn tell(&mut self, text: impl FnOnce() -> String) {
        if let Some(journal) = &mut self.journal {
            journal.push(text());
        }
    }

    /// To be called before anything is read.
    fn read_step(&mut self) -> io::Result<()> {
        let outcome = if self.is_powerless { Err(no_power()) } else { self.count_down(SimOperation::Read) };
        self.failures += u64::from(outcome.is_err());
        outcome
    }

    /// To be called before anything is changed or synced.
    fn step(&mut self, operation: SimOperation, what: impl FnOnce(&Self) -> String) -> io::Result<()> {
        let was_powerless = self.is_powerless;
        let outcome = self.try_step(operation);
        if self.journal.is_some() && !was_powerless {
            let (step, what) = (self.steps, what(self));
            let failure = outcome.as_ref().err().map_or_else(String::new, |error| format!(": {error}"));
            self.tell(|| format!("{step:>6}  {what}{failure}"));
        }
        self.steps += u64::from(!self.is_powerless);
        self.failures += u64::from(outcome.is_err());
        outcome
    }

    fn try_step(&mut self, operation: SimOperation) -> io::Result<()> {
        if self.is_powerless || Some(self.steps) == self.power_cut_at {
            self.is_powerless = true;
            return Err(no_power());
        }
        if let Some((steps, fault)) = &self.failing_steps
            && steps.contains(&self.steps)
        {
            return Err(fault.error());
        }
        self.count_down(operation)
    }

    fn count_down(&mut self, operation: SimOperation) -> io::Result<()> {
        let Some(countdown) = self.faults.get_mut(&operation) else { return Ok(()) };
        if countdown.remaining == 0 {
            return Err(countdown.fault.error());
        }
        countdown.remaining -= 1;
        Ok(())
    }

    fn restore_power(&mut self) {
        if std::mem::take(&mut self.is_powerless) {
            // The step at which it went is not tried again.
            self.steps += 1;
            self.power_cut_at = None;
        }
    }

    fn name_of(&self, id: FileId) -> String {
        self.files.get(&id).map_or_else(String::new, |file| file.created_as.display().to_string())
    }

    /// A file that the tree or a handle leads to.
    fn file(&mut self, id: FileId) -> &mut FileState {
        self.files.get_mut(&id).expect("a file lives as long as the boot in which it can be named")
    }

    fn file_at(&self, path: &Path) -> io::Result<FileId> {
        match self.tree.find(path)? {
            Node::File(id) => Ok(id),
            Node::Directory(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn open(&mut self, path: &Path, mode: OpenMode) -> io::Result<FileId> {
        if self.is_powerless {
            return Err(no_power());
        }
        match self.file_at(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && mode == OpenMode::Create => {
                self.step(SimOperation::Write, |_| format!("create {}", path.display()))?;
                self.note_path("create", path);
                let id = FileId(self.next_id);
                self.next_id += 1;
                self.tree.link(path, Node::File(id))?;
                self.files.insert(id, FileState::created_as(path));
                Ok(id)
            }
            other => other,
        }
    }

    fn used_bytes(&self) -> u64 {
        self.tree.files().iter().filter_map(|id| self.files.get(id)).map(FileState::size_bytes).sum()
    }

    /// Either all of `bytes` or, with the error, a part of them.
    fn write(&mut self, id: FileId, bytes: &[u8], position: u64) -> io::Result<()> {
        if self.is_powerless {
            return Err(no_power());
        }
        self.note("write", &position.to_le_bytes());
        self.note("", bytes);
        let growth = (position + bytes.len() as u64).saturating_sub(self.file(id).size_bytes());
        let is_limited = growth > 0 && self.capacity_bytes != UNLIMITED_BYTES;
        let full = is_limited && self.used_bytes() + growth > self.capacity_bytes;
        let what = |state: &Self| format!("write {} bytes at {position} of {}", bytes.len(), state.name_of(id));
        let outcome = if full { Err(SimFault::NoSpace.error()) } else { self.step(SimOperation::Write, what) };
        let written = if outcome.is_ok() { bytes.len() } else { self.rng.random_range(0..=bytes.len()) };
        let written = if full { 0 } else { written };
        self.file(id).write(&bytes[..written], position);
        outcome
    }

    fn sync_file(&mut self, id: FileId, up_to: u64) -> io::Result<()> {
        self.note("sync", &id.0.to_le_bytes());
        let outcome = self.step(SimOperation::Sync, |state| format!("sync {}", state.name_of(id)));
        match outcome {
            Ok(()) => self.file(id).sync(up_to),
            // The device may have come as far as it likes: the crash decides.
            Err(_) if self.is_powerless => {}
            Err(_) => self.file(id).fail_sync(up_to),
        }
        outcome
    }

    fn sync_directory(&mut self, path: &Path) -> io::Result<()> {
        self.note_path("syncdir", path);
        self.step(SimOperation::Sync, |_| format!("sync names in {}", path.display()))?;
        self.tree.sync(path)
    }

    fn run_sync(&mut self, files: &[(FileId, u64)], directories: &[PathBuf]) -> io::Result<()> {
        for &(id, up_to) in files {
            self.sync_file(id, up_to)?;
        }
        directories.iter().try_for_each(|directory| self.sync_directory(directory))
    }

    fn change<T>(
        &mut self,
        what: &str,
        path: &Path,
        change: impl FnOnce(&mut Tree) -> io::Result<T>,
    ) -> io::Result<T> {
        self.step(SimOperation::Write, |_| format!("{what} {}", path.display()))?;
        self.note_path(what, path);
        change(&mut self.tree)
    }
}

fn no_power() -> io::Error {
    io::Error::other("the power is gone")
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state.lock();
        let id = state.open(path, mode)?;
        let boot = state.boot;
        Ok(Arc::new(SimFile { state: Arc::clone(&self.state), id, boot, is_writable: mode != OpenMode::Read }))
    }

    fn open_files(&self) -> &OpenFiles {
        &self.open_files
    }

    fn read(&self, path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
        let mut state = self.state.lock();
        let id = state.file_at(path)?;
        state.read_step()?;
        let content = state.file(id).content();
        if content.len() as u64 > max_bytes {
            let reason = format!("{} is longer than {max_bytes} bytes", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        let content = content.to_vec();
        state.read_bytes += content.len() as u64;
        Ok(content)
    }

    fn write_atomically(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let temporary = temporary_path(path);
        let mut state = self.state.lock();
        let id = state.open(&temporary, OpenMode::Create)?;
        state.file(id).set_size(0);
        state.write(id, content, 0)?;
        state.sync_file(id, u64::MAX)?;
        state.change("replace", path, |tree| tree.rename(&temporary, path))?;
        state.sync_directory(path.parent().unwrap_or(Path::new("")))
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.state.lock().change("mkdir", path, |tree| tree.create_directory(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirectoryEntry>> {
        let mut state = self.state.lock();
        state.read_step()?;
        let entries = state.tree.list(path)?;
        let describe = |(name, node)| match node {
            Node::File(id) => DirectoryEntry { name, kind: EntryKind::File, size_bytes: state.file(id).size_bytes() },
            Node::Directory(_) => DirectoryEntry { name, kind: EntryKind::Directory, size_bytes: 0 },
        };
        Ok(entries.into_iter().map(describe).collect())
    }

    fn exists(&self, path: &Path) -> bool {
        self.state.lock().tree.find(path).is_ok()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.tell(|| format!("        {}", from.display()));
        state.change("rename to", to, |tree| tree.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        match state.file_at(path) {
            Ok(_) => state.change("remove", path, |tree| tree.unlink(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        match state.tree.find(path) {
            Ok(Node::Directory(_)) => state.change("rmdir", path, |tree| tree.unlink(path)),
            Ok(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.state.lock().sync_directory(path)
    }

    fn whole_sync(&self, path: &Path) -> io::Result<Option<Arc<dyn WholeSync>>> {
        Ok(Some(Arc::new(SimWholeSync { state: Arc::clone(&self.state), path: path.to_path_buf() })))
    }

    fn submit_sync(&self, request: SyncRequest, done: SyncDone) {
        let mut files = Vec::new();
        for file in &request.files {
            let file = SimFile::of(file.as_ref());
            let mut state = self.state.lock();
            if file.boot == state.boot {
                let up_to = state.file(file.id).written();
                files.push((file.id, up_to));
            }
        }
        self.state.lock().submitted.push_back(SubmittedSync { files, directories: request.directories, done });
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DirectoryLock>> {
        let mut state = self.state.lock();
        state.open(path, OpenMode::Create)?;
        if !state.locks.insert(path.to_path_buf()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let boot = state.boot;
        Ok(Box::new(SimLock { state: Arc::clone(&self.state), path: path.to_path_buf(), boot }))
    }

    fn space(&self, path: &Path) -> io::Result<DiskSpace> {
        let state = self.state.lock();
        state.tree.find(path)?;
        let usable_bytes = state.capacity_bytes.saturating_sub(state.used_bytes());
        Ok(DiskSpace { total_bytes: state.capacity_bytes, usable_bytes })
    }
}

struct SimLock {
    state: Arc<Mutex<State>>,
    path: PathBuf,
    boot: u64,
}

impl DirectoryLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        if state.boot == self.boot {
            state.locks.remove(&self.path);
        }
    }
}

impl fmt::Debug for SimLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimLock").field("path", &self.path).finish_non_exhaustive()
    }
}

struct SimFile {
    state: Arc<Mutex<State>>,
    id: FileId,
    boot: u64,
    is_writable: bool,
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimFile").field("id", &self.id).finish_non_exhaustive()
    }
}

impl SimFile {
    fn of(file: &dyn DiskFile) -> &Self {
        let file: &dyn Any = file;
        file.downcast_ref().expect("files of one disk are synced by that disk")
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state.lock();
        if state.boot != self.boot {
            return Err(io::Error::other("the process that had opened this file is no more"));
        }
        act(&mut state)
    }

    fn with_writable<T>(&self, act: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        if !self.is_writable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.with(act)
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.with(|state| {
            state.read_step()?;
            let count = state.file(self.id).read(buffer, position);
            state.read_bytes += count as u64;
            Ok(count)
        })
    }

    fn read_cached_at(&self, buffer: &mut [u8], position: u64) -> io::Result<Option<usize>> {
        self.with(|state| {
            let file = state.file(self.id);
            let is_whole = position.saturating_add(buffer.len() as u64) <= file.size_bytes();
            Ok((file.is_cached && is_whole).then(|| file.read(buffer, position)))
        })
    }

    fn write_all_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        self.with_writable(|state| state.write(self.id, &bytes, position))
    }

    fn size_bytes(&self) -> io::Result<u64> {
        self.with(|state| Ok(state.file(self.id).size_bytes()))
    }

    fn set_size_bytes(&self, size_bytes: u64) -> io::Result<()> {
        self.with_writable(|state| {
            let what = |state: &State| format!("set the size of {} to {size_bytes}", state.name_of(self.id));
            state.step(SimOperation::Write, what)?;
            state.note("size", &size_bytes.to_le_bytes());
            state.file(self.id).set_size(size_bytes);
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.with(|state| state.sync_file(self.id, u64::MAX))
    }

    fn as_os_file(&self) -> Option<&std::fs::File> {
        None
    }
}
