//! The store's state as a pure machine: what the memory and the embedded store share.
//!
//! Every key has its versions in ascending order, the last one current; `history` has the events of every
//! revision behind the compacted one. Whoever drives the machine says which revision is visible, so changes can
//! be applied, made durable and only then shown; or rolled back. Both parts are bounded by [`Mvcc::trim`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::time::Duration;

use bytes::Bytes;

use super::store::{
    Compare, Event, EventBatch, KeyRange, KeyValue, LeaseId, Operation, OperationResponse, RangeRequest,
    RangeResponse, Revision, StoreError, Txn, TxnResponse,
};

/// How much history is kept for watches and reads of old revisions.
#[derive(Clone, Copy, Debug)]
pub struct HistoryLimits {
    pub revisions: usize,
    pub size_bytes: usize,
}

impl Default for HistoryLimits {
    fn default() -> Self {
        Self { revisions: 10_000, size_bytes: 4 << 20 }
    }
}

/// One state of a key; without a value it is a deletion.
#[derive(Clone, Debug)]
struct State {
    create_revision: Revision,
    mod_revision: Revision,
    version: i64,
    lease: Option<LeaseId>,
    value: Option<Bytes>,
}

#[derive(Debug)]
struct Lease {
    ttl: Duration,
    /// On the monotonic clock.
    deadline: Duration,
    keys: BTreeSet<Bytes>,
}

#[derive(Debug)]
pub(super) struct Mvcc {
    revision: Revision,
    compact_revision: Revision,
    keys: BTreeMap<Bytes, Vec<State>>,
    /// One batch for each revision from `compact_revision + 1` to `revision`.
    history: VecDeque<EventBatch>,
    history_bytes: usize,
    leases: BTreeMap<LeaseId, Lease>,
    last_lease: i64,
}

impl Mvcc {
    /// A store that has just these keys and no history. Leases that they hang on have lapsed.
    pub(super) fn restore(revision: Revision, kvs: impl IntoIterator<Item = KeyValue>) -> Self {
        let keys = kvs.into_iter().map(|kv| {
            let version = State {
                create_revision: kv.create_revision,
                mod_revision: kv.mod_revision,
                version: kv.version,
                lease: kv.lease,
                value: Some(kv.value),
            };
            (kv.key, vec![version])
        });
        let mut restored = Self {
            revision,
            compact_revision: revision,
            keys: keys.collect(),
            history: VecDeque::new(),
            history_bytes: 0,
            leases: BTreeMap::new(),
            last_lease: 0,
        };
        restored.reattach();
        restored.last_lease = restored.leases.last_key_value().map_or(0, |(id, _)| id.0);
        restored
    }

    pub(super) fn empty() -> Self {
        Self::restore(Revision(1), [])
    }

    /// The last revision applied.
    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    /// Reads where `visible` is the last revision that readers may see.
    pub(super) fn range(&self, request: &RangeRequest, visible: Revision) -> Result<RangeResponse, StoreError> {
        let at = request.revision.unwrap_or(visible);
        if at > visible {
            return Err(StoreError::FutureRevision { asked: at, current: visible });
        }
        if at < self.compact_revision {
            return Err(StoreError::Compacted { compact_revision: self.compact_revision });
        }
        let mut found = self.range_at(&request.range, at);
        let limit = request.limit.unwrap_or(usize::MAX);
        let kvs: Vec<KeyValue> = found.by_ref().take(limit).collect();
        let more = found.next().is_some();
        Ok(RangeResponse { revision: visible, kvs, more })
    }

    fn range_at<'a>(&'a self, range: &KeyRange, at: Revision) -> impl Iterator<Item = KeyValue> + use<'a> {
        let empty = range.end.as_ref().is_some_and(|end| *end <= range.start);
        // A map panics on a range that ends before its start.
        let end = if empty { Some(range.start.clone()) } else { range.end.clone() };
        let end = end.map_or(Bound::Unbounded, Bound::Excluded);
        self.keys.range((Bound::Included(range.start.clone()), end)).filter_map(move |(key, versions)| {
            let version = versions.iter().rev().find(|version| version.mod_revision <= at)?;
            version.key_value(key)
        })
    }

    fn current(&self, key: &Bytes) -> Option<&State> {
        self.keys.get(key)?.last().filter(|version| version.value.is_some())
    }

    /// Applies a transaction on top of all applied before it.
    pub(super) fn apply(&mut self, txn: Txn) -> Result<TxnResponse, StoreError> {
        txn.validate()?;
        let succeeded = txn.compares.iter().all(|compare| self.holds(compare));
        let operations = if succeeded { txn.then } else { txn.otherwise };
        self.check_operations(&operations)?;
        let revision = self.revision.next();
        let mut events = Vec::new();
        let mut responses = Vec::with_capacity(operations.len());
        for operation in operations {
            responses.push(match operation {
                Operation::Put { key, value, lease } => {
                    events.push(self.put(key, value, lease, revision));
                    OperationResponse::Put
                }
                Operation::Delete(range) => {
                    let doomed: Vec<Bytes> = self.range_at(&range, revision).map(|kv| kv.key).collect();
                    let deleted = doomed.len();
                    events.extend(doomed.into_iter().map(|key| self.delete(key, revision)));
                    OperationResponse::Delete { deleted }
                }
                Operation::Range(request) => {
                    let visible = if events.is_empty() { self.revision } else { revision };
                    OperationResponse::Range(self.range(&request, visible)?)
                }
            });
        }
        self.commit(revision, events);
        Ok(TxnResponse { succeeded, revision: self.revision, responses })
    }

    /// Whatever can fail fails here, before anything has changed.
    fn check_operations(&self, operations: &[Operation]) -> Result<(), StoreError> {
        for operation in operations {
            match operation {
                Operation::Put { lease: Some(lease), .. } if !self.leases.contains_key(lease) => {
                    return Err(StoreError::LeaseNotFound(*lease));
                }
                Operation::Range(RangeRequest { revision: Some(at), .. }) => {
                    if *at > self.revision {
                        return Err(StoreError::FutureRevision { asked: *at, current: self.revision });
                    }
                    if *at < self.compact_revision {
                        return Err(StoreError::Compacted { compact_revision: self.compact_revision });
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn holds(&self, compare: &Compare) -> bool {
        let current = self.current(compare.key());
        match compare {
            Compare::Absent(_) => current.is_none(),
            Compare::Present(_) => current.is_some(),
            Compare::CreateRevision(_, revision) => current.is_some_and(|v| v.create_revision == *revision),
            Compare::ModRevision(_, revision) => current.is_some_and(|v| v.mod_revision == *revision),
            Compare::Value(_, value) => current.is_some_and(|v| v.value.as_ref() == Some(value)),
        }
    }

    fn put(&mut self, key: Bytes, value: Bytes, lease: Option<LeaseId>, revision: Revision) -> Event {
        let before = self.current(&key).map(|v| (v.create_revision, v.version, v.lease));
        self.detach(&key, before.and_then(|(_, _, lease)| lease));
        if let Some(lease) = lease.and_then(|lease| self.leases.get_mut(&lease)) {
            lease.keys.insert(key.clone());
        }
        let (create_revision, version) = before.map_or((revision, 1), |(created, version, _)| (created, version + 1));
        let version = State { create_revision, mod_revision: revision, version, lease, value: Some(value.clone()) };
        self.push(&key, version);
        let version = before.map_or(1, |(_, version, _)| version + 1);
        Event::Put(KeyValue { key, value, create_revision, mod_revision: revision, version, lease })
    }

    fn delete(&mut self, key: Bytes, revision: Revision) -> Event {
        self.detach(&key, self.current(&key).and_then(|v| v.lease));
        let tombstone =
            State { create_revision: revision, mod_revision: revision, version: 0, lease: None, value: None };
        self.push(&key, tombstone);
        Event::Delete { key, mod_revision: revision }
    }

    /// Most keys have one state most of the time: room for more would be most of what a store holds.
    fn push(&mut self, key: &Bytes, state: State) {
        match self.keys.get_mut(key) {
            Some(states) => states.push(state),
            None => {
                self.keys.insert(key.clone(), vec![state]);
            }
        }
    }

    fn detach(&mut self, key: &Bytes, lease: Option<LeaseId>) {
        if let Some(lease) = lease.and_then(|lease| self.leases.get_mut(&lease)) {
            lease.keys.remove(key);
        }
    }

    /// Takes the revision if something happened in it.
    fn commit(&mut self, revision: Revision, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        self.revision = revision;
        let batch = EventBatch { revision, events };
        self.history_bytes += size_bytes(&batch);
        self.history.push_back(batch);
    }

    /// Everything applied after `revision`, in order.
    pub(super) fn events_after(&self, revision: Revision) -> impl Iterator<Item = &EventBatch> {
        let skip = (revision.0 - self.compact_revision.0).max(0) as usize;
        self.history.iter().skip(skip)
    }

    /// Undoes everything applied after `revision`, the last durable one.
    pub(super) fn roll_back(&mut self, revision: Revision) {
        while self.history.back().is_some_and(|batch| batch.revision > revision) {
            let Some(batch) = self.history.pop_back() else { break };
            self.history_bytes -= size_bytes(&batch);
            for event in &batch.events {
                let Some(versions) = self.keys.get_mut(event.key()) else { continue };
                versions.retain(|version| version.mod_revision < batch.revision);
                if versions.is_empty() {
                    self.keys.remove(event.key());
                }
            }
        }
        self.revision = revision;
        self.reattach();
    }

    /// Finds out anew which keys hang on which lease. A lease whose revocation was undone has lapsed, so that it
    /// is revoked again.
    fn reattach(&mut self) {
        for lease in self.leases.values_mut() {
            lease.keys.clear();
        }
        for (key, versions) in &self.keys {
            let Some(id) = versions.last().and_then(|version| version.lease) else { continue };
            let lapsed = || Lease { ttl: Duration::ZERO, deadline: Duration::ZERO, keys: BTreeSet::new() };
            self.leases.entry(id).or_insert_with(lapsed).keys.insert(key.clone());
        }
    }

    /// The next thing a watch has to say, having said everything before `from`; `None`: nothing until the
    /// visible revision moves.
    pub(super) fn watch_batch(
        &self,
        range: &KeyRange,
        from: Revision,
        visible: Revision,
    ) -> Result<Option<EventBatch>, StoreError> {
        if from <= self.compact_revision {
            return Err(StoreError::Compacted { compact_revision: self.compact_revision });
        }
        let mut passed = None;
        for batch in self.events_after(Revision(from.0 - 1)).take_while(|batch| batch.revision <= visible) {
            let events: Vec<Event> = batch.events.iter().filter(|e| range.contains(e.key())).cloned().collect();
            if !events.is_empty() {
                return Ok(Some(EventBatch { revision: batch.revision, events }));
            }
            passed = Some(batch.revision);
        }
        Ok(passed.map(|revision| EventBatch { revision, events: Vec::new() }))
    }

    /// Forgets the history up to `revision`, which must be visible.
    pub(super) fn compact(&mut self, revision: Revision, visible: Revision) -> Result<(), StoreError> {
        if revision > visible {
            return Err(StoreError::FutureRevision { asked: revision, current: visible });
        }
        while self.compact_revision < revision {
            self.forget_oldest();
        }
        Ok(())
    }

    /// Brings the history within its limits; never beyond `visible`.
    pub(super) fn trim(&mut self, limits: HistoryLimits, visible: Revision) {
        while self.compact_revision < visible
            && (self.history.len() > limits.revisions || self.history_bytes > limits.size_bytes)
        {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some(batch) = self.history.pop_front() else { return };
        self.history_bytes -= size_bytes(&batch);
        self.compact_revision = batch.revision;
        for event in &batch.events {
            let Some(versions) = self.keys.get_mut(event.key()) else { continue };
            let kept = versions.iter().rposition(|v| v.mod_revision <= batch.revision).unwrap_or(0);
            let deletion = versions.get(kept).is_some_and(|v| v.value.is_none() && v.mod_revision <= batch.revision);
            versions.drain(..kept + usize::from(deletion));
            if versions.is_empty() {
                self.keys.remove(event.key());
            } else {
                versions.shrink_to_fit();
            }
        }
    }

    pub(super) fn grant_lease(&mut self, ttl: Duration, now: Duration) -> LeaseId {
        self.last_lease += 1;
        let id = LeaseId(self.last_lease);
        self.leases.insert(id, Lease { ttl, deadline: now.saturating_add(ttl), keys: BTreeSet::new() });
        id
    }

    pub(super) fn keep_lease_alive(&mut self, id: LeaseId, now: Duration) -> Result<Duration, StoreError> {
        let lease = self.leases.get_mut(&id).filter(|lease| lease.deadline > now);
        let lease = lease.ok_or(StoreError::LeaseNotFound(id))?;
        lease.deadline = now.saturating_add(lease.ttl);
        Ok(lease.ttl)
    }

    /// Deletes what hangs on leases that have lapsed.
    pub(super) fn expire_leases(&mut self, now: Duration) {
        let lapsed = self.leases.iter().filter(|(_, lease)| lease.deadline <= now);
        for id in lapsed.map(|(&id, _)| id).collect::<Vec<_>>() {
            // It is known: it was just listed.
            let _ = self.revoke_lease(id);
        }
    }

    /// When the next lease lapses.
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.leases.values().map(|lease| lease.deadline).min()
    }

    /// Deletes what hangs on the lease, in one revision.
    pub(super) fn revoke_lease(&mut self, id: LeaseId) -> Result<(), StoreError> {
        let lease = self.leases.remove(&id).ok_or(StoreError::LeaseNotFound(id))?;
        let revision = self.revision.next();
        let events = lease.keys.into_iter().map(|key| self.delete(key, revision)).collect();
        self.commit(revision, events);
        Ok(())
    }
}

impl State {
    fn key_value(&self, key: &Bytes) -> Option<KeyValue> {
        Some(KeyValue {
            key: key.clone(),
            value: self.value.clone()?,
            create_revision: self.create_revision,
            mod_revision: self.mod_revision,
            version: self.version,
            lease: self.lease,
        })
    }
}

/// What a batch holds in memory, roughly.
fn size_bytes(batch: &EventBatch) -> usize {
    let of_event = |event: &Event| {
        let value = if let Event::Put(kv) = event { kv.value.len() } else { 0 };
        size_of::<Event>() + event.key().len() + value
    };
    size_of::<EventBatch>() + batch.events.iter().map(of_event).sum::<usize>()
}
