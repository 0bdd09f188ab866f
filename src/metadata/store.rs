//! The store that all metadata lives in: etcd's model, so that etcd itself is one implementation.
//!
//! One revision counts all changes. A transaction takes the next revision if it changes anything; every key
//! remembers the revision that created it and the one that changed it last, and a transaction may compare both.
//! That is all the fencing Ottla has: whoever compared stale state changes nothing.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

/// Operations that one branch of a transaction may have, and compares: etcd's `--max-txn-ops`.
pub const MAX_TXN_OPERATIONS: usize = 128;
/// Bytes that one transaction may have: etcd's `--max-request-bytes`.
pub const MAX_TXN_BYTES: usize = 1536 * 1024;
/// What a key or an operation costs beside its bytes, as counted against [`MAX_TXN_BYTES`].
const OPERATION_OVERHEAD_BYTES: usize = 16;

/// The position of a change in the store's one history. An empty store is at revision 1, as in etcd.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub i64);

impl Revision {
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A lease that keys can hang on: when it lapses, they are deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub i64);

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// A key with its value, as of one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValue {
    pub key: Bytes,
    pub value: Bytes,
    /// The revision at which the key came to be; a key that is deleted and put again has a new one.
    pub create_revision: Revision,
    /// The revision of the last change.
    pub mod_revision: Revision,
    /// Changes since creation, from 1.
    pub version: i64,
    pub lease: Option<LeaseId>,
}

/// The keys from `start` up to, not including, `end`; without an end, all from `start` on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    pub start: Bytes,
    pub end: Option<Bytes>,
}

impl KeyRange {
    /// One key.
    pub fn key(key: impl Into<Bytes>) -> Self {
        let start = key.into();
        let end = Some(successor(&start));
        Self { start, end }
    }

    /// All keys that begin with `prefix`.
    pub fn prefix(prefix: impl Into<Bytes>) -> Self {
        let start = prefix.into();
        let mut end = start.to_vec();
        while let Some(last) = end.pop() {
            if last < u8::MAX {
                end.push(last + 1);
                return Self { start, end: Some(end.into()) };
            }
        }
        Self { start, end: None }
    }

    /// What is left of the range behind `key`: the next page.
    #[must_use]
    pub fn after(&self, key: &[u8]) -> Self {
        Self { start: successor(key), end: self.end.clone() }
    }

    pub fn contains(&self, key: &[u8]) -> bool {
        key >= &self.start[..] && self.end.as_ref().is_none_or(|end| key < &end[..])
    }

    /// The one key that the range is about, if it is about one.
    fn single(&self) -> Option<&Bytes> {
        let end = self.end.as_ref()?;
        (end.len() == self.start.len() + 1 && end.last() == Some(&0) && end.starts_with(&self.start))
            .then_some(&self.start)
    }
}

/// The least key greater than `key`.
fn successor(key: &[u8]) -> Bytes {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next.into()
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeRequest {
    pub range: KeyRange,
    /// The most keys to answer with; `None`: all.
    pub limit: Option<usize>,
    /// As of this revision; `None`: as of now.
    pub revision: Option<Revision>,
}

impl RangeRequest {
    pub fn all(range: KeyRange) -> Self {
        Self { range, limit: None, revision: None }
    }

    pub fn key(key: impl Into<Bytes>) -> Self {
        Self::all(KeyRange::key(key))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeResponse {
    /// The store's revision when it answered, whatever revision was asked for.
    pub revision: Revision,
    /// In the order of their keys.
    pub kvs: Vec<KeyValue>,
    /// Whether the limit cut something off.
    pub more: bool,
}

/// What must hold for a transaction to take its `then` branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compare {
    Absent(Bytes),
    Present(Bytes),
    /// Present, and created at this revision.
    CreateRevision(Bytes, Revision),
    /// Present, and last changed at this revision.
    ModRevision(Bytes, Revision),
    /// Present, with this value.
    Value(Bytes, Bytes),
}

impl Compare {
    pub fn key(&self) -> &Bytes {
        match self {
            Self::Absent(key)
            | Self::Present(key)
            | Self::CreateRevision(key, _)
            | Self::ModRevision(key, _)
            | Self::Value(key, _) => key,
        }
    }

    fn size_bytes(&self) -> usize {
        let operand = if let Self::Value(_, value) = self { value.len() } else { 8 };
        OPERATION_OVERHEAD_BYTES + self.key().len() + operand
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    Put {
        key: Bytes,
        value: Bytes,
        lease: Option<LeaseId>,
    },
    Delete(KeyRange),
    /// Sees what the operations before it in the same transaction did.
    Range(RangeRequest),
}

impl Operation {
    pub fn put(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self::Put { key: key.into(), value: value.into(), lease: None }
    }

    pub fn delete(key: impl Into<Bytes>) -> Self {
        Self::Delete(KeyRange::key(key))
    }

    fn size_bytes(&self) -> usize {
        let of_range = |range: &KeyRange| range.start.len() + range.end.as_ref().map_or(0, Bytes::len);
        OPERATION_OVERHEAD_BYTES
            + match self {
                Self::Put { key, value, .. } => key.len() + value.len(),
                Self::Delete(range) => of_range(range),
                Self::Range(request) => of_range(&request.range),
            }
    }
}

/// If all `compares` hold, all of `then` happens, else all of `otherwise`; in one revision, or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Txn {
    pub compares: Vec<Compare>,
    pub then: Vec<Operation>,
    pub otherwise: Vec<Operation>,
}

impl Txn {
    /// Operations without a condition.
    pub fn of(then: Vec<Operation>) -> Self {
        Self { then, ..Self::default() }
    }

    pub fn when(compares: Vec<Compare>, then: Vec<Operation>) -> Self {
        Self { compares, then, ..Self::default() }
    }

    /// What the transaction counts for against [`MAX_TXN_BYTES`].
    pub fn size_bytes(&self) -> usize {
        let operations = self.then.iter().chain(&self.otherwise).map(Operation::size_bytes).sum::<usize>();
        operations + self.compares.iter().map(Compare::size_bytes).sum::<usize>()
    }

    /// The limits that every implementation holds, so that what works on one works on all.
    pub fn validate(&self) -> Result<(), StoreError> {
        let operations = self.compares.len().max(self.then.len()).max(self.otherwise.len());
        if operations > MAX_TXN_OPERATIONS {
            return Err(StoreError::TooManyOperations { operations });
        }
        let size_bytes = self.size_bytes();
        if size_bytes > MAX_TXN_BYTES {
            return Err(StoreError::TooLarge { size_bytes });
        }
        if self.compares.iter().any(|compare| compare.key().is_empty()) {
            return Err(StoreError::EmptyKey);
        }
        validate_branch(&self.then)?;
        validate_branch(&self.otherwise)
    }
}

/// No key is changed twice: the order within a revision would not be visible.
fn validate_branch(operations: &[Operation]) -> Result<(), StoreError> {
    let mut put = BTreeSet::new();
    let mut deleted = Vec::new();
    for operation in operations {
        match operation {
            Operation::Put { key, .. } if key.is_empty() => return Err(StoreError::EmptyKey),
            Operation::Put { key, .. } => {
                if !put.insert(key) {
                    return Err(StoreError::DuplicateKey(printable(key)));
                }
            }
            Operation::Delete(range) => deleted.push(range),
            Operation::Range(_) => {}
        }
    }
    for range in deleted {
        let clash = match range.single() {
            Some(key) => put.contains(key).then_some(key),
            None => put.iter().find(|key| range.contains(key)).copied(),
        };
        if let Some(key) = clash {
            return Err(StoreError::DuplicateKey(printable(key)));
        }
    }
    Ok(())
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnResponse {
    /// Whether the compares held.
    pub succeeded: bool,
    /// The store's revision after the transaction: its own, if it changed anything.
    pub revision: Revision,
    /// One for each operation of the branch that was taken.
    pub responses: Vec<OperationResponse>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperationResponse {
    Put,
    Delete { deleted: usize },
    Range(RangeResponse),
}

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Put(KeyValue),
    Delete { key: Bytes, mod_revision: Revision },
}

impl Event {
    pub fn key(&self) -> &Bytes {
        match self {
            Self::Put(kv) => &kv.key,
            Self::Delete { key, .. } => key,
        }
    }
}

/// All changes of one revision within a watched range, never split. Without events it only says that the
/// history up to `revision` holds nothing more for this watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventBatch {
    pub revision: Revision,
    pub events: Vec<Event>,
}

/// Ends after its first error.
pub type WatchStream = BoxStream<'static, Result<EventBatch, StoreError>>;

/// Why the store did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    #[error("history up to revision {compact_revision} is compacted")]
    Compacted { compact_revision: Revision },
    #[error("revision {asked} is beyond the store's revision {current}")]
    FutureRevision { asked: Revision, current: Revision },
    #[error("a transaction of {operations} operations; the most is {MAX_TXN_OPERATIONS}")]
    TooManyOperations { operations: usize },
    #[error("a transaction of {size_bytes} bytes; the most is {MAX_TXN_BYTES}")]
    TooLarge { size_bytes: usize },
    #[error("key '{0}' is changed twice in one transaction")]
    DuplicateKey(String),
    #[error("a key is empty")]
    EmptyKey,
    #[error("lease {0} is not known, or has lapsed")]
    LeaseNotFound(LeaseId),
    /// Whether the change happened is unknown: read again before trying again.
    #[error("metadata store unavailable: {0}")]
    Unavailable(String),
}

/// A revisioned key-value store. Every call is linearizable.
pub trait MetadataStore: fmt::Debug + Send + Sync + 'static {
    fn range(&self, request: RangeRequest) -> BoxFuture<'_, Result<RangeResponse, StoreError>>;

    /// Durable when it returns.
    fn txn(&self, txn: Txn) -> BoxFuture<'_, Result<TxnResponse, StoreError>>;

    /// A lease that lapses `ttl` after its grant or its last keepalive.
    fn grant_lease(&self, ttl: Duration) -> BoxFuture<'_, Result<LeaseId, StoreError>>;

    /// The time to live that the lease has again.
    fn keep_lease_alive(&self, lease: LeaseId) -> BoxFuture<'_, Result<Duration, StoreError>>;

    /// Deletes the lease's keys, in one revision, and the lease.
    fn revoke_lease(&self, lease: LeaseId) -> BoxFuture<'_, Result<(), StoreError>>;

    /// The changes within `range`, each revision's in one batch and in order, from revision `from` on, as they
    /// become durable. A revision that changed nothing in the range is soon reported as well, by an empty batch
    /// of that or a later revision. Yields [`StoreError::Compacted`] where `from` or the place the reader has
    /// come to is compacted.
    fn watch(&self, range: KeyRange, from: Revision) -> WatchStream;

    /// Forgets the history up to `revision`, except what is current there. No error if that is done already.
    fn compact(&self, revision: Revision) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// Keys that one page of [`range_all`] has.
const PAGE_KEYS: usize = 1000;

/// A whole range as of one revision, read in pages; and that revision.
pub async fn range_all(store: &dyn MetadataStore, range: KeyRange) -> Result<(Revision, Vec<KeyValue>), StoreError> {
    let mut kvs = Vec::new();
    let mut at = None;
    let mut rest = range;
    loop {
        let page = store.range(RangeRequest { range: rest.clone(), limit: Some(PAGE_KEYS), revision: at }).await?;
        let revision = *at.get_or_insert(page.revision);
        let last = page.kvs.last().map(|kv| kv.key.clone());
        kvs.extend(page.kvs);
        match last {
            Some(last) if page.more => rest = rest.after(&last),
            _ => return Ok((revision, kvs)),
        }
    }
}

/// A key for a log line or an error.
pub fn printable(key: &[u8]) -> String {
    key.escape_ascii().to_string()
}
