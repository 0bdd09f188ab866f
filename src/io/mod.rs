//! Files, behind a trait: the only place that asks the operating system for storage.
//!
//! Owns: [`Disk`] and [`DiskFile`], their real form (`real.rs`) and their simulated one (`sim.rs`).
//! Never does: knows what a file means. Paths, formats and orders of writes are the callers'.
//!
//! A sync is *submitted and completes as an event*, never a blocking call inside the log:
//!
//! ```text
//!  append (tokio worker)          sync thread of the directory
//!  write_all_at ── page cache
//!  submit_sync ───────────────▶  fdatasync, files in order
//!                                done(result) ──▶ flushed offset moves, waiters wake
//! ```

mod failure;
mod open_files;
mod process;
mod process_io;
mod real;
mod relief;
pub mod sim;
mod whole_sync;

use std::any::Any;
use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use failure::{is_device_failure, is_out_of_descriptors};
pub use open_files::{Closable, OpenFiles};
pub use process::{absolute, lower_thread_priority, open_file_limit, raise_open_file_limit, read_text};
pub use process_io::ProcessIo;
pub use real::{OnSync, RealDisk};
pub use relief::relieving_worker;

/// The end of the name of a file that is to replace another once it is whole.
pub const TEMPORARY_SUFFIX: &str = ".tmp";

/// What the operating system knows an open file by.
pub type OsFile = std::fs::File;

/// Beside `path`, what is to replace it.
pub fn temporary_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(TEMPORARY_SUFFIX);
    path.with_file_name(name)
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// The file must exist.
    Read,
    /// The file must exist.
    ReadWrite,
    /// Created empty where it is absent; reading and writing.
    Create,
}

/// What a directory holds under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    pub name: String,
    pub kind: EntryKind,
    pub size_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    File,
    Directory,
    Other,
}

/// The room on the volume that holds a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpace {
    pub total_bytes: u64,
    pub usable_bytes: u64,
}

/// Files to make durable, in this order; then the directories whose entries changed.
#[derive(Debug, Default)]
pub struct SyncRequest {
    pub files: Vec<Arc<dyn DiskFile>>,
    pub directories: Vec<PathBuf>,
}

/// Called once, on a sync thread, when a [`SyncRequest`] is done or has failed.
pub type SyncDone = Box<dyn FnOnce(io::Result<()>) + Send>;

/// Held for as long as this process owns a locked file.
pub trait DirectoryLock: Debug + Send + Sync {}

/// A file system on which everything can be made durable at once: many files cost little more than one.
pub trait WholeSync: Debug + Send + Sync {
    /// Makes durable all that was written below the path that this was got for, names too. Blocks. An error is about
    /// anything written since this was got.
    fn sync(&self) -> io::Result<()>;
}

/// The storage under one log directory.
pub trait Disk: Debug + Send + Sync + 'static {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;

    /// The files of this disk that stay open between uses; whoever keeps one open tells it.
    fn open_files(&self) -> &OpenFiles;

    /// The whole of a small file; longer than `max_bytes` is `InvalidData`.
    fn read(&self, path: &Path, max_bytes: u64) -> io::Result<Vec<u8>>;

    /// Replaces a small file so that a crash leaves the old or the new one, whole: a temporary file beside it
    /// ([`temporary_path`]), synced, renamed over it, the directory synced.
    fn write_atomically(&self, path: &Path, content: &[u8]) -> io::Result<()>;

    /// Creates the directory and its parents where they are absent.
    fn create_directory(&self, path: &Path) -> io::Result<()>;

    /// What the directory holds, in no order.
    fn list(&self, path: &Path) -> io::Result<Vec<DirectoryEntry>>;

    fn exists(&self, path: &Path) -> bool;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Absent is no error.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// With all that it holds; absent is no error.
    fn remove_directory(&self, path: &Path) -> io::Result<()>;
    /// Makes creations, renames and removals in this directory durable. Blocks.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;

    /// To be got before the first write below `path`, since it tells of errors from then on only. `None`: the file
    /// system is not known to tell of them, and files are to be synced one by one.
    fn whole_sync(&self, path: &Path) -> io::Result<Option<Arc<dyn WholeSync>>>;

    /// Makes files durable on a sync thread and calls `done` there. Never blocks the caller.
    fn submit_sync(&self, request: SyncRequest, done: SyncDone);

    /// Takes the exclusive lock that `path` stands for, creating the file. `WouldBlock`: another process has it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn DirectoryLock>>;

    fn space(&self, path: &Path) -> io::Result<DiskSpace>;
}

/// One open file; positions are the caller's, so that readers and the writer share it.
pub trait DiskFile: Any + Debug + Send + Sync {
    /// Fewer bytes than asked for only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;

    /// As [`DiskFile::read_at`], but `None` where a byte of it would have to come from the device.
    fn read_cached_at(&self, buffer: &mut [u8], position: u64) -> io::Result<Option<usize>>;

    /// Writes all of `slices`, one behind the other, from `position` on.
    fn write_all_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<()>;

    fn size_bytes(&self) -> io::Result<u64>;
    fn set_size_bytes(&self, size_bytes: u64) -> io::Result<()>;
    /// Makes content and size durable. Blocks: for recovery, checkpoints and shutdown, off the tokio workers.
    fn sync(&self) -> io::Result<()>;
    /// For `sendfile`; none in the simulator.
    fn as_os_file(&self) -> Option<&OsFile>;
}

/// A part of an open file, to be sent as it lies there.
#[derive(Clone, Debug)]
pub struct FileSlice {
    pub file: Arc<dyn DiskFile>,
    pub position: u64,
    pub size_bytes: usize,
}
