//! The metadata store of a broker that has taken over another's directories, until the first write.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::log::first_write::FirstWrite;
use crate::metadata::store::{
    KeyRange, LeaseId, MetadataStore, Operation, RangeRequest, RangeResponse, Revision, StoreError, Txn, TxnResponse,
    WatchStream,
};

/// A store whose every change, from some moment on, counts as a first write to the log directories.
#[derive(Debug)]
pub struct AdoptedStore {
    inner: Arc<dyn MetadataStore>,
    first_write: Arc<FirstWrite>,
    /// What a start writes of itself, registration and epochs, changes nothing for anybody else.
    has_started: AtomicBool,
}

impl AdoptedStore {
    pub fn new(inner: Arc<dyn MetadataStore>, first_write: Arc<FirstWrite>) -> Arc<Self> {
        Arc::new(Self { inner, first_write, has_started: AtomicBool::new(false) })
    }

    /// Changes count from now on.
    pub fn start(&self) {
        self.has_started.store(true, Ordering::Release);
    }
}

impl MetadataStore for AdoptedStore {
    fn range(&self, request: RangeRequest) -> BoxFuture<'_, Result<RangeResponse, StoreError>> {
        self.inner.range(request)
    }

    fn txn(&self, txn: Txn) -> BoxFuture<'_, Result<TxnResponse, StoreError>> {
        let is_change = |operations: &[Operation]| operations.iter().any(|one| !matches!(one, Operation::Range(_)));
        let counts = self.has_started.load(Ordering::Acquire) && (is_change(&txn.then) || is_change(&txn.otherwise));
        if counts && let Err(error) = self.first_write.begin() {
            let reason = format!("the log directories can't be made ready for a first write: {error}");
            return std::future::ready(Err(StoreError::Unavailable(reason))).boxed();
        }
        self.inner.txn(txn)
    }

    fn grant_lease(&self, ttl: Duration) -> BoxFuture<'_, Result<LeaseId, StoreError>> {
        self.inner.grant_lease(ttl)
    }

    fn keep_lease_alive(&self, lease: LeaseId) -> BoxFuture<'_, Result<Duration, StoreError>> {
        self.inner.keep_lease_alive(lease)
    }

    fn revoke_lease(&self, lease: LeaseId) -> BoxFuture<'_, Result<(), StoreError>> {
        self.inner.revoke_lease(lease)
    }

    fn watch(&self, range: KeyRange, from: Revision) -> WatchStream {
        self.inner.watch(range, from)
    }

    fn compact(&self, revision: Revision) -> BoxFuture<'_, Result<(), StoreError>> {
        self.inner.compact(revision)
    }
}
