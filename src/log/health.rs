//! Whether a log directory can still be trusted.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::first_write::FirstWrite;

/// Told once when a directory goes offline, with the reason.
pub type OnOffline = Box<dyn Fn(&Path, &str) + Send + Sync>;

/// The state of one log directory, shared by all logs in it. Once offline it stays so: after a failed sync nobody
/// knows what the device holds, and trying again would only hide that.
pub struct DirectoryHealth {
    path: PathBuf,
    failure: OnceLock<String>,
    on_offline: OnOffline,
    /// Another broker's directory, taken over with this start or one before.
    first_write: OnceLock<Arc<FirstWrite>>,
}

impl DirectoryHealth {
    pub fn new(path: PathBuf, on_offline: OnOffline) -> Arc<Self> {
        Arc::new(Self { path, failure: OnceLock::new(), on_offline, first_write: OnceLock::new() })
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
}

impl fmt::Debug for DirectoryHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirectoryHealth")
            .field("path", &self.path)
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}
