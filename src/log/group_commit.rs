//! Making appends durable, many at a time.
//!
//! ```text
//!   append ─ request ─┐
//!   append ─ request ─┼─ one sync in flight ── done ── flushed offset ── on_flushed ── waiters
//!   append ─ request ─┘        │                          │
//!                              └─ those that came meanwhile share the next one
//! ```
//! A sync covers all that was appended before it was submitted. One that fails takes the directory offline: the
//! kernel may have dropped what it could not write, so a second try would succeed and prove nothing.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use super::errors::StorageError;
use super::partition_log::PartitionLog;
use super::read::floor_segment;
use crate::ids::Offset;
use crate::io::{DiskFile, SyncRequest};
use crate::time::TimestampMs;

/// Told after every sync, on a sync thread: up to which offset the log is durable, or why no longer.
pub type OnFlushed = Box<dyn Fn(Result<Offset, &StorageError>) + Send + Sync>;

/// Folders to sync, and how many changes of names that covers.
#[derive(Debug)]
pub(super) struct ChangedFolders {
    pub(super) paths: Vec<PathBuf>,
    pub(super) changes: u64,
}

/// What one log has asked of the sync threads.
pub(super) struct GroupCommit {
    flushed_offset: AtomicI64,
    state: Mutex<State>,
    on_flushed: RwLock<Option<Arc<OnFlushed>>>,
    /// Counts the changes of names in the partition's folder, and how many of them a sync has covered.
    folder_changes: AtomicU64,
    folder_changes_synced: AtomicU64,
    /// The folder's own name is not known to be durable.
    is_new_folder: AtomicBool,
}

#[derive(Debug)]
struct State {
    in_flight: bool,
    /// More was appended while one was in flight.
    wanted: bool,
    /// Counts truncations: what a sync covered before one says nothing about offsets written anew.
    generation: u64,
    last_flush_ms: TimestampMs,
}

/// What a sync under way will have made durable.
#[derive(Clone, Copy, Debug)]
struct Covered {
    target: Offset,
    generation: u64,
    folder_changes: u64,
}

impl GroupCommit {
    pub(super) fn new(flushed_offset: Offset, now_ms: TimestampMs) -> Self {
        Self {
            flushed_offset: AtomicI64::new(flushed_offset.0),
            state: Mutex::new(State { in_flight: false, wanted: false, generation: 0, last_flush_ms: now_ms }),
            on_flushed: RwLock::new(None),
            folder_changes: AtomicU64::new(0),
            folder_changes_synced: AtomicU64::new(0),
            is_new_folder: AtomicBool::new(false),
        }
    }

    pub(super) fn flushed_offset(&self) -> Offset {
        Offset(self.flushed_offset.load(Ordering::Acquire))
    }

    /// The next sync makes the names in the folder durable too, and the folder's own name where it is new.
    pub(super) fn files_created(&self, is_new_folder: bool) {
        self.is_new_folder.fetch_or(is_new_folder, Ordering::AcqRel);
        self.folder_changes.fetch_add(1, Ordering::AcqRel);
    }

    /// The log now ends at `offset`; syncs under way no longer count.
    pub(super) fn truncated_to(&self, offset: Offset) {
        let mut state = self.state.lock();
        state.generation += 1;
        self.flushed_offset.fetch_min(offset.0, Ordering::AcqRel);
    }

    /// The log is empty and goes on at `offset`.
    pub(super) fn restarted_at(&self, offset: Offset) {
        let mut state = self.state.lock();
        state.generation += 1;
        self.flushed_offset.store(offset.0, Ordering::Release);
    }

    /// What a sync of the folder at `path` has to cover.
    pub(super) fn changed_folders(&self, path: PathBuf) -> ChangedFolders {
        let changes = self.folder_changes.load(Ordering::Acquire);
        let mut paths = Vec::new();
        if changes > self.folder_changes_synced.load(Ordering::Acquire) {
            if self.is_new_folder.load(Ordering::Acquire) {
                paths.extend(path.parent().map(PathBuf::from));
            }
            paths.push(path);
        }
        ChangedFolders { paths, changes }
    }

    /// They are on the device.
    pub(super) fn folders_synced(&self, changes: u64) {
        if self.folder_changes_synced.fetch_max(changes, Ordering::AcqRel) < changes {
            // Nothing makes a folder new again.
            self.is_new_folder.store(false, Ordering::Release);
        }
    }

    /// Syncs with a checkpoint count as well.
    pub(super) fn advance(&self, flushed: Offset, generation: u64, now_ms: Option<TimestampMs>) -> bool {
        let mut state = self.state.lock();
        if state.generation != generation {
            return false;
        }
        if let Some(now_ms) = now_ms {
            state.last_flush_ms = now_ms;
        }
        self.flushed_offset.fetch_max(flushed.0, Ordering::AcqRel);
        true
    }

    pub(super) fn generation(&self) -> u64 {
        self.state.lock().generation
    }

    pub(super) fn tell(&self, result: Result<Offset, &StorageError>) {
        let listener = self.on_flushed.read().clone();
        if let Some(listener) = listener {
            listener(result);
        }
    }
}

impl fmt::Debug for GroupCommit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flushed_offset = self.flushed_offset();
        f.debug_struct("GroupCommit")
            .field("flushed_offset", &flushed_offset)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl PartitionLog {
    /// Who is told when the flushed offset has moved, or can no longer move. Called on a sync thread.
    pub fn set_on_flushed(&self, listener: OnFlushed) {
        *self.group_commit.on_flushed.write() = Some(Arc::new(listener));
    }

    /// Asks for what was appended to become durable. Returns at once; the listener hears of it.
    ///
    /// To be called after every append. With `log.flush.before.ack=false` it goes by `flush.messages` instead.
    pub fn request_flush(self: &Arc<Self>) {
        let unflushed = self.log_end_offset() - self.flushed_offset();
        let config = self.config.load();
        if unflushed > 0 && (config.flush_before_ack || unflushed >= config.flush_messages) {
            self.flush();
        }
    }

    /// `flush.ms` is set.
    pub fn has_timed_flushes(&self) -> bool {
        self.config.load().flush_ms != i64::MAX
    }

    /// As [`PartitionLog::request_flush`], for logs that go by `flush.ms`; to be called now and then.
    pub fn request_flush_if_due(self: &Arc<Self>, now_ms: TimestampMs) {
        let due = {
            let mut state = self.group_commit.state.lock();
            let due = now_ms.saturating_sub(state.last_flush_ms) >= self.config.load().flush_ms;
            if due {
                state.last_flush_ms = now_ms;
            }
            due
        };
        if due && self.log_end_offset() > self.flushed_offset() {
            self.flush();
        }
    }

    /// Makes durable what is appended, whatever the configuration says. Returns at once.
    pub fn flush(self: &Arc<Self>) {
        let generation = {
            let mut state = self.group_commit.state.lock();
            if state.in_flight {
                state.wanted = true;
                return;
            }
            state.in_flight = true;
            state.generation
        };
        self.submit_sync(generation);
    }

    fn submit_sync(self: &Arc<Self>, generation: u64) {
        if let Err(error) = self.check_online() {
            self.sync_failed(&error);
            return;
        }
        // The offset first: files hold at least what lies below it.
        let target = self.log_end_offset();
        let flushed = self.flushed_offset();
        let folders = self.group_commit.changed_folders(self.directory.path());
        let covered = Covered { target, generation, folder_changes: folders.changes };
        let files = match self.files_between(flushed, target) {
            Ok(files) => files,
            Err(error) => return self.sync_done(covered, Err(error)),
        };
        let request = SyncRequest { files, directories: folders.paths };
        let log = Arc::clone(self);
        self.directory.disk().submit_sync(request, Box::new(move |result| log.sync_done(covered, result)));
    }

    /// The files that hold the records between two offsets, oldest first, for the caller to sync.
    pub(super) fn files_between(&self, from: Offset, to: Offset) -> io::Result<Vec<Arc<dyn DiskFile>>> {
        if from >= to {
            return Ok(Vec::new());
        }
        let segments = self.segments.load();
        let first = floor_segment(&segments, from);
        let touched = segments[first..].iter().take_while(|segment| segment.base_offset() < to);
        touched.filter_map(|segment| segment.log_file().to_sync().transpose()).collect()
    }

    /// On a sync thread.
    fn sync_done(self: &Arc<Self>, covered: Covered, result: io::Result<()>) {
        let Covered { target, generation, folder_changes } = covered;
        if let Err(error) = result {
            self.fail_directory(format_args!("sync of {}: {error}", self.topic_partition));
            self.sync_failed(&error.into());
            return;
        }
        self.group_commit.folders_synced(folder_changes);
        if self.group_commit.advance(target, generation, None) {
            self.group_commit.tell(Ok(self.flushed_offset()));
        }
        let next = {
            let mut state = self.group_commit.state.lock();
            let again = std::mem::take(&mut state.wanted) || state.generation != generation;
            state.in_flight = again;
            again.then_some(state.generation)
        };
        if let Some(generation) = next {
            self.submit_sync(generation);
        }
    }

    fn sync_failed(&self, error: &StorageError) {
        {
            let mut state = self.group_commit.state.lock();
            state.in_flight = false;
            state.wanted = false;
        }
        self.group_commit.tell(Err(error));
    }
}
