//! The store in one file, for a node that stands alone.
//!
//! Reads and watches are served from memory, by the same machine that the memory store is. What changes goes
//! through one thread, which applies everything that waits, commits it to the file as one, and then shows it and
//! answers. So many transactions share one sync, no tokio worker ever waits for the disk, and nobody sees what a
//! crash could undo:
//!
//! ```text
//!  txn ──▶ queue ──▶ apply, apply, apply ──▶ commit (sync) ──▶ show ──▶ answers, watches
//!                    (memory, not shown)       └─ failed ──▶ roll back ──▶ errors
//! ```
//!
//! Leases and history live in memory only: whoever held a lease, or watched, was this very process. On opening,
//! the keys of leases of the process before are deleted.

mod copy;
mod database;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};
use tracing::{error, info, warn};

pub use self::database::OpenError;
use self::database::{Database, WriteError};
use super::mvcc::{HistoryLimits, Mvcc};
use super::store::{
    EventBatch, KeyRange, KeyValue, LeaseId, MetadataStore, RangeRequest, RangeResponse, Revision, StoreError, Txn,
    TxnResponse, WatchStream,
};
use super::visible::Visible;
use crate::io::Disk;
use crate::time::Clock;

/// Calls that may wait for the thread at once.
const MAX_QUEUED: usize = 1024;
/// Calls that share one commit.
const MAX_COMMIT_JOBS: usize = 256;
/// How long a write is not tried again after one has failed, unless somebody asks for one.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Says how a call ended, once that is durable.
type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
type Job = Box<dyn FnOnce(&mut Mvcc, Duration) -> Answer + Send>;

/// A [`MetadataStore`] in one redb file.
pub struct EmbeddedStore {
    state: Arc<Visible>,
    clock: Arc<dyn Clock>,
    /// Bounds the queue; the thread gives a place back with each answer.
    places: Arc<Semaphore>,
    /// Taken away to end the thread.
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl EmbeddedStore {
    /// Opens the file, or creates it. Blocks. Another process that has it open is an error, but only the lock of
    /// the directory, which the caller holds, keeps two from creating it at once.
    pub fn open(disk: Arc<dyn Disk>, path: &Path, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let (database, revision, kvs) = Database::open(disk, path)?;
        let state = Visible::new(Mvcc::restore(revision, kvs));
        let (jobs, queue) = mpsc::channel();
        let mut writer = Writer {
            state: Arc::clone(&state),
            clock: Arc::clone(&clock),
            database,
            limits: HistoryLimits::default(),
            failure: Failure::None,
        };
        // The leases of the process before have lapsed.
        writer.run(Vec::new());
        if writer.failure != Failure::None {
            return Err(OpenError::Unwritable { path: path.to_owned() });
        }
        let thread = std::thread::Builder::new().name("metadata-store".to_owned());
        let thread = thread.spawn(move || writer.run_until_closed(&queue)).map_err(OpenError::Thread)?;
        Ok(Self {
            state,
            clock,
            places: Arc::new(Semaphore::new(MAX_QUEUED)),
            jobs: Mutex::new(Some(jobs)),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// All that a store's file holds, of a process that has ended. Nothing is written. Blocks.
    pub fn inspect(disk: &dyn Disk, path: &Path) -> Result<(Revision, Vec<KeyValue>), OpenError> {
        copy::read(disk, path)
    }

    /// Has the thread change the state, and waits until that is durable.
    async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Mvcc, Duration) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let closed = || StoreError::Unavailable("the store is closed".to_owned());
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| closed())?;
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |mvcc, now| {
            let result = change(mvcc, now);
            Box::new(move |durable| {
                drop(place);
                // Nobody may be waiting any more.
                let _ = answer.send(durable.and(result));
            })
        });
        self.jobs.lock().as_ref().ok_or_else(closed)?.send(job).map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    async fn read(&self, request: RangeRequest) -> Result<RangeResponse, StoreError> {
        let now = self.clock.monotonic();
        let lapsed = self.state.lock().next_deadline().is_some_and(|deadline| deadline <= now);
        if lapsed {
            // The thread looks at leases before anything else. Reads go on where nothing can be written.
            let _ = self.change(|_, _| Ok(())).await;
        }
        self.state.range(&request)
    }
}

impl Drop for EmbeddedStore {
    /// Waits until what is queued is done and the file is closed.
    fn drop(&mut self) {
        *self.jobs.get_mut() = None;
        if let Some(thread) = self.thread.get_mut().take()
            && thread.join().is_err()
        {
            error!("the metadata store's thread panicked");
        }
    }
}

impl fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedStore").field("revision", &self.state.revision()).finish_non_exhaustive()
    }
}

impl MetadataStore for EmbeddedStore {
    fn range(&self, request: RangeRequest) -> BoxFuture<'_, Result<RangeResponse, StoreError>> {
        Box::pin(self.read(request))
    }

    fn txn(&self, txn: Txn) -> BoxFuture<'_, Result<TxnResponse, StoreError>> {
        Box::pin(self.change(move |mvcc, _| mvcc.apply(txn)))
    }

    fn grant_lease(&self, ttl: Duration) -> BoxFuture<'_, Result<LeaseId, StoreError>> {
        Box::pin(self.change(move |mvcc, now| Ok(mvcc.grant_lease(ttl, now))))
    }

    fn keep_lease_alive(&self, lease: LeaseId) -> BoxFuture<'_, Result<Duration, StoreError>> {
        Box::pin(self.change(move |mvcc, now| mvcc.keep_lease_alive(lease, now)))
    }

    fn revoke_lease(&self, lease: LeaseId) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.change(move |mvcc, _| mvcc.revoke_lease(lease)))
    }

    fn watch(&self, range: KeyRange, from: Revision) -> WatchStream {
        self.state.watch(range, from)
    }

    fn compact(&self, revision: Revision) -> BoxFuture<'_, Result<(), StoreError>> {
        let state = Arc::clone(&self.state);
        Box::pin(async move {
            let visible = state.revision();
            state.lock().compact(revision, visible)
        })
    }
}

/// What keeps the thread from writing.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Failure {
    None,
    /// There was no room, and nothing that counts was written: the file may be opened again.
    NoRoom,
    /// What the file holds is not known any more.
    Lasting(String),
}

/// What the thread owns.
struct Writer {
    state: Arc<Visible>,
    clock: Arc<dyn Clock>,
    database: Database,
    limits: HistoryLimits,
    failure: Failure,
}

impl Writer {
    fn run_until_closed(mut self, queue: &mpsc::Receiver<Job>) {
        loop {
            let first = match self.timeout() {
                None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(timeout) => queue.recv_timeout(timeout),
            };
            let jobs = match first {
                Ok(first) => std::iter::once(first).chain(queue.try_iter()).take(MAX_COMMIT_JOBS).collect(),
                Err(RecvTimeoutError::Timeout) => Vec::new(),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            self.run(jobs);
        }
    }

    /// How long to wait for a job: until the next lease lapses.
    fn timeout(&self) -> Option<Duration> {
        let deadline = self.state.lock().next_deadline()?;
        let left = deadline.saturating_sub(self.clock.monotonic());
        Some(if self.failure == Failure::None { left } else { left.max(PAUSE_AFTER_FAILURE) })
    }

    /// Applies the jobs, makes them durable, shows them, answers.
    fn run(&mut self, jobs: Vec<Job>) {
        let now = self.clock.monotonic();
        let durable = self.state.revision();
        let (answers, changes) = {
            let mut mvcc = self.state.lock();
            mvcc.expire_leases(now);
            let answers: Vec<Answer> = jobs.into_iter().map(|job| job(&mut mvcc, now)).collect();
            let changes: Vec<EventBatch> = mvcc.events_after(durable).cloned().collect();
            (answers, changes)
        };
        let result = self.write(durable, &changes);
        {
            let mut mvcc = self.state.lock();
            if result.is_ok() {
                let applied = mvcc.revision();
                mvcc.trim(self.limits, applied);
                self.state.show(&mvcc);
            } else {
                mvcc.roll_back(durable);
            }
        }
        for answer in answers {
            answer(result.clone());
        }
    }

    fn write(&mut self, durable: Revision, changes: &[EventBatch]) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        if self.failure == Failure::NoRoom {
            self.recover(durable);
        }
        let result = match &self.failure {
            Failure::None => self.database.write(changes),
            Failure::NoRoom => return Err(StoreError::Unavailable("no room on the disk".to_owned())),
            Failure::Lasting(reason) => return Err(StoreError::Unavailable(reason.clone())),
        };
        result.map_err(|error| {
            let text = error.to_string();
            self.failure = match error {
                WriteError::NoRoom(_) => Failure::NoRoom,
                WriteError::Lasting(_) => Failure::Lasting(text.clone()),
            };
            error!(error = text, "metadata can't be written");
            StoreError::Unavailable(text)
        })
    }

    /// Opens the file again after a write that found no room. It must hold what it held before that write.
    fn recover(&mut self, durable: Revision) {
        match self.database.reopen() {
            Ok(revision) if revision == durable => {
                info!("metadata can be written again");
                self.failure = Failure::None;
            }
            Ok(revision) => {
                let reason = format!("the file is at revision {revision}, not {durable}: restart to read it anew");
                self.failure = Failure::Lasting(reason);
            }
            Err(error) => warn!(%error, "metadata can't be written yet"),
        }
    }
}

/// For errors about files: what a caller can do about it.
fn is_no_room(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}
