//! The store in memory: for tests, the simulator and brokers that keep nothing.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::mvcc::{HistoryLimits, Mvcc};
use super::store::{
    KeyRange, LeaseId, MetadataStore, RangeRequest, RangeResponse, Revision, StoreError, Txn, TxnResponse,
    WatchStream,
};
use super::visible::Visible;
use crate::time::Clock;

/// A [`MetadataStore`] whose content ends with it. Leases lapse when the store is next asked for anything, or told
/// to look: it has no timer of its own.
pub struct MemoryStore {
    state: Arc<Visible>,
    clock: Arc<dyn Clock>,
    limits: HistoryLimits,
}

impl MemoryStore {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::with_limits(clock, HistoryLimits::default())
    }

    pub fn with_limits(clock: Arc<dyn Clock>, limits: HistoryLimits) -> Self {
        Self { state: Visible::new(Mvcc::empty()), clock, limits }
    }

    /// Deletes the keys of leases that have lapsed.
    pub fn expire_leases(&self) {
        self.change(|_| ());
    }

    /// Changes the state and shows it, lapsed leases first.
    fn change<T>(&self, change: impl FnOnce(&mut Mvcc) -> T) -> T {
        let now = self.clock.monotonic();
        let mut mvcc = self.state.lock();
        mvcc.expire_leases(now);
        let result = change(&mut mvcc);
        let applied = mvcc.revision();
        mvcc.trim(self.limits, applied);
        self.state.show(&mvcc);
        result
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("revision", &self.state.revision()).finish_non_exhaustive()
    }
}

impl MetadataStore for MemoryStore {
    fn range(&self, request: RangeRequest) -> BoxFuture<'_, Result<RangeResponse, StoreError>> {
        Box::pin(async move {
            self.expire_leases();
            self.state.range(&request)
        })
    }

    fn txn(&self, txn: Txn) -> BoxFuture<'_, Result<TxnResponse, StoreError>> {
        Box::pin(async move { self.change(|mvcc| mvcc.apply(txn)) })
    }

    fn grant_lease(&self, ttl: Duration) -> BoxFuture<'_, Result<LeaseId, StoreError>> {
        Box::pin(async move { Ok(self.change(|mvcc| mvcc.grant_lease(ttl, self.clock.monotonic()))) })
    }

    fn keep_lease_alive(&self, lease: LeaseId) -> BoxFuture<'_, Result<Duration, StoreError>> {
        Box::pin(async move { self.change(|mvcc| mvcc.keep_lease_alive(lease, self.clock.monotonic())) })
    }

    fn revoke_lease(&self, lease: LeaseId) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { self.change(|mvcc| mvcc.revoke_lease(lease)) })
    }

    fn watch(&self, range: KeyRange, from: Revision) -> WatchStream {
        self.state.watch(range, from)
    }

    fn compact(&self, revision: Revision) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            self.change(|mvcc| {
                let applied = mvcc.revision();
                mvcc.compact(revision, applied)
            })
        })
    }
}
