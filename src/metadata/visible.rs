//! The machine behind a lock, with the revision that readers may see: what calls and watches meet in.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use super::mvcc::Mvcc;
use super::store::{KeyRange, RangeRequest, RangeResponse, Revision, StoreError, WatchStream};

#[derive(Debug)]
pub(super) struct Visible {
    mvcc: Mutex<Mvcc>,
    /// Moves only under the lock of `mvcc`.
    revision: watch::Sender<Revision>,
}

impl Visible {
    pub(super) fn new(mvcc: Mvcc) -> Arc<Self> {
        let revision = watch::Sender::new(mvcc.revision());
        Arc::new(Self { mvcc: Mutex::new(mvcc), revision })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Mvcc> {
        self.mvcc.lock()
    }

    pub(super) fn revision(&self) -> Revision {
        *self.revision.borrow()
    }

    /// Shows everything applied so far, and wakes the watches.
    pub(super) fn show(&self, mvcc: &MutexGuard<'_, Mvcc>) {
        let applied = mvcc.revision();
        self.revision.send_if_modified(|revision| std::mem::replace(revision, applied) != applied);
    }

    pub(super) fn range(&self, request: &RangeRequest) -> Result<RangeResponse, StoreError> {
        let mvcc = self.lock();
        mvcc.range(request, self.revision())
    }

    /// A watch is a place in the history, not a queue: a slow reader costs nothing, and finds its place compacted
    /// when it is too slow. It ends with the store.
    pub(super) fn watch(self: &Arc<Self>, range: KeyRange, from: Revision) -> WatchStream {
        let reader = Reader { store: Arc::downgrade(self), moved: self.revision.subscribe(), range, next: from };
        let batches = stream::unfold(Some(reader), |reader| async move {
            let mut reader = reader?;
            match reader.next().await? {
                Ok(batch) => Some((Ok(batch), Some(reader))),
                Err(error) => Some((Err(error), None)),
            }
        });
        batches.boxed()
    }
}

struct Reader {
    store: std::sync::Weak<Visible>,
    moved: watch::Receiver<Revision>,
    range: KeyRange,
    next: Revision,
}

impl Reader {
    async fn next(&mut self) -> Option<Result<super::store::EventBatch, StoreError>> {
        loop {
            let visible = *self.moved.borrow_and_update();
            {
                let store = self.store.upgrade()?;
                let batch = store.lock().watch_batch(&self.range, self.next, visible);
                match batch {
                    Ok(None) => {}
                    Ok(Some(batch)) => {
                        self.next = batch.revision.next();
                        return Some(Ok(batch));
                    }
                    Err(error) => return Some(Err(error)),
                }
            }
            self.moved.changed().await.ok()?;
        }
    }
}
