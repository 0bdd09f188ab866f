//! Whether a log directory can still be trusted.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// Told once when a directory goes offline, with the reason.
pub type OnOffline = Box<dyn Fn(&Path, &str) + Send + Sync>;

/// The state of one log directory, shared by all logs in it. Once offline it stays so: after a failed sync nobody
/// knows what the device holds, and trying again would only hide that.
pub struct DirectoryHealth {
    path: PathBuf,
    failure: OnceLock<String>,
    on_offline: OnOffline,
}

impl DirectoryHealth {
    pub fn new(path: PathBuf, on_offline: OnOffline) -> Arc<Self> {
        Arc::new(Self { path, failure: OnceLock::new(), on_offline })
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
