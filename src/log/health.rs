//! Whether a log directory can still be trusted, and whether it takes writes.
//!
//! ```text
//!              ENOSPC, EDQUOT, little room left              EROFS
//!  ┌──────┐ ◀──────────────────────────────── ┌──────────┐ ────────▶ ┌───────────┐
//!  │ full │                                   │ writable │           │ read-only │
//!  └──────┘ ────────── room again ──────────▶ └──────────┘ ◀──────── └───────────┘
//!                                                  │        writable again
//!                        a sync fails, EIO         ▼
//!                        (from every state)     offline, for good
//! ```
//! A full directory is read from, its files are deleted, and what is small and belongs to the broker itself (commits,
//! checkpoints) is tried; producers get KAFKA_STORAGE_ERROR and come again.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use super::first_write::FirstWrite;

/// Told once when a directory goes offline, with the reason.
pub type OnOffline = Box<dyn Fn(&Path, &str) + Send + Sync>;

/// Whether a directory takes writes, as long as it is online.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteState {
    Writable,
    /// No room is left, or so little that it is kept for the broker's own needs.
    Full,
    /// The file system takes no writes any more.
    ReadOnly,
}

impl WriteState {
    /// What a write that failed says about the whole directory; `None`: nothing of the kind.
    pub fn after(error: &io::Error) -> Option<Self> {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(Self::Full),
            io::ErrorKind::ReadOnlyFilesystem => Some(Self::ReadOnly),
            _ => None,
        }
    }
}

impl fmt::Display for WriteState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Writable => "writable",
            Self::Full => "full",
            Self::ReadOnly => "read-only",
        })
    }
}

/// The state of one log directory, shared by all logs in it. Once offline it stays so: after a failed sync nobody
/// knows what the device holds, and trying again would only hide that.
pub struct DirectoryHealth {
    path: PathBuf,
    failure: OnceLock<String>,
    write_state: AtomicU8,
    /// What producers may write until it is looked again how much room there is.
    room_bytes: AtomicI64,
    on_offline: OnOffline,
    /// Another broker's directory, taken over with this start or one before.
    first_write: OnceLock<Arc<FirstWrite>>,
}

impl DirectoryHealth {
    pub fn new(path: PathBuf, on_offline: OnOffline) -> Arc<Self> {
        let write_state = AtomicU8::new(WriteState::Writable as u8);
        let room_bytes = AtomicI64::new(i64::MAX);
        Arc::new(Self {
            path,
            failure: OnceLock::new(),
            write_state,
            room_bytes,
            on_offline,
            first_write: OnceLock::new(),
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn is_offline(&self) -> bool {
        self.failure.get().is_some()
    }

    /// Why it is offline.
    pub fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// The directory is another broker's until the first write; said once, before anything is loaded.
    pub fn await_first_write(&self, first_write: Arc<FirstWrite>) {
        assert!(self.first_write.set(first_write).is_ok(), "a directory is taken over once");
    }

    /// Whether nothing was written to the directory yet, and nothing may be that nobody asked for.
    pub fn awaits_first_write(&self) -> bool {
        self.first_write.get().is_some_and(|first_write| first_write.is_awaited())
    }

    /// To be called before anything is written for a client. May wait for the device, once.
    pub fn begin_write(&self) -> io::Result<()> {
        self.first_write.get().map_or(Ok(()), |first_write| first_write.begin())
    }

    /// Writes something that nobody asked for: now, or right before the first write.
    pub fn write_in_its_time(&self, write: impl Fn() -> io::Result<()> + Send + 'static) -> io::Result<()> {
        match self.first_write.get() {
            Some(first_write) => first_write.in_its_time(write),
            None => write(),
        }
    }

    /// Takes the directory offline; the first reason stands.
    pub fn fail(&self, reason: impl fmt::Display) {
        let reason = reason.to_string();
        if self.failure.set(reason.clone()).is_ok() {
            tracing::error!(directory = %self.path.display(), %reason, "log directory goes offline");
            (self.on_offline)(&self.path, &reason);
        }
    }

    pub fn write_state(&self) -> WriteState {
        match self.write_state.load(Ordering::Relaxed) {
            full if full == WriteState::Full as u8 => WriteState::Full,
            read_only if read_only == WriteState::ReadOnly as u8 => WriteState::ReadOnly,
            _ => WriteState::Writable,
        }
    }

    /// A change is told once.
    pub fn set_write_state(&self, state: WriteState) {
        if self.write_state.swap(state as u8, Ordering::Relaxed) == state as u8 {
            return;
        }
        let directory = self.path.display();
        if state == WriteState::Writable {
            tracing::info!(%directory, "log directory takes writes again");
        } else {
            tracing::error!(%directory, %state, "log directory takes no writes: producers are refused until it does");
        }
    }

    /// What producers may write from now on.
    pub fn set_room_bytes(&self, room_bytes: u64) {
        self.room_bytes.store(i64::try_from(room_bytes).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// A producer is about to write so much. False where the directory has no room for it but what is kept: it is full
    /// then. So a burst takes no more than was there when it was last looked.
    pub fn take_room(&self, bytes: u64) -> bool {
        let bytes = bytes as i64;
        let has_room = self.room_bytes.fetch_sub(bytes, Ordering::Relaxed) >= bytes;
        if !has_room {
            self.set_write_state(WriteState::Full);
        }
        has_room
    }

    /// A write failed. True where that is because the directory takes no writes, which may pass.
    pub fn write_failed(&self, error: &io::Error) -> bool {
        let state = WriteState::after(error);
        if let Some(state) = state {
            self.set_write_state(state);
        }
        state.is_some()
    }
}

impl fmt::Debug for DirectoryHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirectoryHealth")
            .field("path", &self.path)
            .field("failure", &self.failure)
            .field("write_state", &self.write_state())
            .finish_non_exhaustive()
    }
}
