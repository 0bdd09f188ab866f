//! What every store must do: one suite, run against each implementation.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;

use super::store::{
    Compare, Event, EventBatch, KeyRange, MAX_TXN_BYTES, MAX_TXN_OPERATIONS, MetadataStore, Operation,
    OperationResponse, RangeRequest, RangeResponse, Revision, StoreError, Txn, TxnResponse, WatchStream, range_all,
};
use super::{EmbeddedStore, MemoryStore};
use crate::io::RealDisk;
use crate::time::ManualClock;

/// A store, and what time it is for it.
pub(super) struct World {
    store: Arc<dyn MetadataStore>,
    clock: Arc<ManualClock>,
    _directory: Option<tempfile::TempDir>,
}

fn memory() -> World {
    let clock = ManualClock::at(0);
    World { store: Arc::new(MemoryStore::new(clock.clone())), clock, _directory: None }
}

fn embedded() -> World {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(0);
    let store = open(&directory.path().join("ottla.redb"), &clock);
    World { store: Arc::new(store), clock, _directory: Some(directory) }
}

pub(super) fn open(path: &Path, clock: &Arc<ManualClock>) -> EmbeddedStore {
    EmbeddedStore::open(RealDisk::new(1).unwrap(), path, clock.clone()).unwrap()
}

macro_rules! suite {
    ($($case:ident)*) => {
        mod memory_store { $(#[tokio::test] async fn $case() { super::$case(super::memory()).await })* }
        mod embedded_store { $(#[tokio::test] async fn $case() { super::$case(super::embedded()).await })* }
    };
}

suite! {
    revisions_count_changes
    versions_and_creations
    compares_decide
    a_transaction_is_atomic
    a_transaction_sees_its_own_changes
    only_one_of_many_wins
    limits_are_etcds
    keys_are_changed_once
    ranges_are_ordered_and_bounded
    pages_are_of_one_revision
    old_revisions_can_be_read
    future_revisions_cannot
    leases_lapse
    leases_are_kept_alive
    leases_are_revoked
    a_key_can_leave_its_lease
    watches_deliver_in_order
    watches_start_in_the_past
    watches_keep_a_revision_together
    watches_report_what_they_pass_over
    compaction_ends_old_watches_and_reads
    compaction_keeps_what_is_current
}

impl World {
    async fn txn(&self, txn: Txn) -> TxnResponse {
        self.store.txn(txn).await.unwrap()
    }

    async fn put(&self, key: &str, value: &str) -> Revision {
        self.txn(Txn::of(vec![put(key, value)])).await.revision
    }

    async fn delete(&self, key: &str) -> Revision {
        self.txn(Txn::of(vec![Operation::delete(key.to_owned())])).await.revision
    }

    async fn range(&self, range: KeyRange) -> RangeResponse {
        self.store.range(RangeRequest::all(range)).await.unwrap()
    }

    /// `key=value` of all keys with a prefix.
    async fn content(&self, prefix: &str) -> Vec<String> {
        let kvs = self.range(KeyRange::prefix(prefix.to_owned())).await.kvs;
        kvs.iter().map(|kv| format!("{}={}", text(&kv.key), text(&kv.value))).collect()
    }

    async fn revision(&self) -> Revision {
        self.range(KeyRange::key("none")).await.revision
    }
}

fn put(key: &str, value: &str) -> Operation {
    Operation::put(key.to_owned(), value.to_owned())
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// `revision: key=value, -key`
fn describe(batch: &EventBatch) -> String {
    let events: Vec<String> = batch
        .events
        .iter()
        .map(|event| match event {
            Event::Put(kv) => format!("{}={}", text(&kv.key), text(&kv.value)),
            Event::Delete { key, .. } => format!("-{}", text(key)),
        })
        .collect();
    format!("{}: {}", batch.revision, events.join(", "))
}

/// What a watch says next about its own keys.
async fn next(watch: &mut WatchStream) -> Result<EventBatch, StoreError> {
    let found = async {
        loop {
            match watch.next().await.expect("a watch goes on") {
                Ok(batch) if batch.events.is_empty() => {}
                other => return other,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), found).await.expect("a watch delivers")
}

async fn revisions_count_changes(world: World) {
    let start = world.revision().await;
    assert!(start >= Revision(1));
    assert_eq!(world.put("a", "1").await, Revision(start.0 + 1));
    assert_eq!(world.put("a", "1").await, Revision(start.0 + 2), "a put counts even if it changes nothing");
    assert_eq!(world.delete("none").await, Revision(start.0 + 2), "a deletion of nothing does not");
    assert_eq!(world.txn(Txn::of(vec![put("b", "1"), put("c", "1")])).await.revision, Revision(start.0 + 3));
    let read = Txn::of(vec![Operation::Range(RangeRequest::key("a"))]);
    assert_eq!(world.txn(read).await.revision, Revision(start.0 + 3));
}

async fn versions_and_creations(world: World) {
    let created = world.put("a", "1").await;
    let changed = world.put("a", "2").await;
    let kv = world.range(KeyRange::key("a")).await.kvs.remove(0);
    assert_eq!((kv.create_revision, kv.mod_revision, kv.version, kv.lease), (created, changed, 2, None));
    world.delete("a").await;
    let anew = world.put("a", "3").await;
    let kv = world.range(KeyRange::key("a")).await.kvs.remove(0);
    assert_eq!((kv.create_revision, kv.mod_revision, kv.version), (anew, anew, 1));
}

async fn compares_decide(world: World) {
    let created = world.put("a", "1").await;
    let changed = world.put("a", "2").await;
    for (compare, holds) in [
        (Compare::Absent("a".into()), false),
        (Compare::Absent("b".into()), true),
        (Compare::Present("a".into()), true),
        (Compare::Present("b".into()), false),
        (Compare::CreateRevision("a".into(), created), true),
        (Compare::CreateRevision("a".into(), changed), false),
        (Compare::CreateRevision("b".into(), Revision(0)), false),
        (Compare::ModRevision("a".into(), changed), true),
        (Compare::ModRevision("a".into(), created), false),
        (Compare::ModRevision("b".into(), Revision(0)), false),
        (Compare::Value("a".into(), "2".into()), true),
        (Compare::Value("a".into(), "1".into()), false),
        (Compare::Value("b".into(), Bytes::new()), false),
    ] {
        let txn = Txn { compares: vec![compare.clone()], then: vec![], otherwise: vec![] };
        assert_eq!(world.txn(txn).await.succeeded, holds, "{compare:?}");
    }
}

async fn a_transaction_is_atomic(world: World) {
    world.put("a", "1").await;
    let failed = world
        .txn(Txn {
            compares: vec![Compare::Present("a".into()), Compare::Present("b".into())],
            then: vec![put("a", "then"), put("b", "then")],
            otherwise: vec![put("c", "else"), Operation::Range(RangeRequest::key("a"))],
        })
        .await;
    assert!(!failed.succeeded);
    assert_eq!(failed.responses.len(), 2);
    let OperationResponse::Range(range) = &failed.responses[1] else { panic!("{failed:?}") };
    assert_eq!(range.kvs[0].value, "1");
    assert_eq!(world.content("").await, ["a=1", "c=else"]);
    let done = world.txn(Txn::of(vec![put("x", "1"), put("y", "1"), Operation::delete("a")])).await;
    assert_eq!(done.responses[2], OperationResponse::Delete { deleted: 1 });
    for key in ["x", "y"] {
        assert_eq!(world.range(KeyRange::key(key)).await.kvs[0].mod_revision, done.revision);
    }
}

async fn a_transaction_sees_its_own_changes(world: World) {
    let response = world
        .txn(Txn::of(vec![put("a", "1"), put("b", "1"), Operation::Range(RangeRequest::all(KeyRange::prefix("")))]))
        .await;
    let OperationResponse::Range(range) = &response.responses[2] else { panic!("{response:?}") };
    assert_eq!(range.kvs.len(), 2);
    assert_eq!(range.kvs[0].mod_revision, response.revision);
}

async fn only_one_of_many_wins(world: World) {
    let attempts = (0..20).map(|number| {
        let txn = Txn::when(vec![Compare::Absent("a".into())], vec![put("a", &number.to_string())]);
        world.store.txn(txn)
    });
    let results = futures_util::future::join_all(attempts).await;
    assert_eq!(results.into_iter().filter(|result| result.as_ref().unwrap().succeeded).count(), 1);
}

async fn limits_are_etcds(world: World) {
    let puts = |count: usize| Txn::of((0..count).map(|number| put(&number.to_string(), "")).collect());
    world.txn(puts(MAX_TXN_OPERATIONS)).await;
    let many = world.store.txn(puts(MAX_TXN_OPERATIONS + 1)).await;
    assert_eq!(many, Err(StoreError::TooManyOperations { operations: MAX_TXN_OPERATIONS + 1 }));
    let compares = vec![Compare::Absent("none".into()); MAX_TXN_OPERATIONS + 1];
    assert!(world.store.txn(Txn::when(compares, vec![])).await.is_err());

    let large = |size_bytes: usize| Txn::of(vec![Operation::put("large", vec![b'x'; size_bytes])]);
    world.txn(large(MAX_TXN_BYTES - 100)).await;
    let too_large = world.store.txn(large(MAX_TXN_BYTES)).await;
    assert!(matches!(too_large, Err(StoreError::TooLarge { .. })), "{too_large:?}");
    assert_eq!(world.store.txn(Txn::of(vec![put("", "")])).await, Err(StoreError::EmptyKey));
}

async fn keys_are_changed_once(world: World) {
    let before = world.revision().await;
    for operations in [
        vec![put("a", "1"), put("a", "2")],
        vec![put("a", "1"), Operation::delete("a")],
        vec![put("aa", "1"), Operation::Delete(KeyRange::prefix("a"))],
    ] {
        let result = world.store.txn(Txn::of(operations)).await;
        assert!(matches!(result, Err(StoreError::DuplicateKey(_))), "{result:?}");
    }
    world.txn(Txn::of(vec![put("a", "1"), Operation::Delete(KeyRange::prefix("b"))])).await;
    assert_eq!(world.revision().await, before.next());
}

async fn ranges_are_ordered_and_bounded(world: World) {
    for key in ["b", "a/1", "a/2", "a/10", "a", "a0"] {
        world.put(key, "").await;
    }
    assert_eq!(world.content("a/").await, ["a/1=", "a/10=", "a/2="]);
    assert_eq!(world.content("a").await, ["a=", "a/1=", "a/10=", "a/2=", "a0="]);
    assert_eq!(world.range(KeyRange::key("a")).await.kvs.len(), 1);
    let limited = RangeRequest { limit: Some(2), ..RangeRequest::all(KeyRange::prefix("a/")) };
    let response = world.store.range(limited).await.unwrap();
    assert_eq!((response.kvs.len(), response.more), (2, true));
    let exact = RangeRequest { limit: Some(3), ..RangeRequest::all(KeyRange::prefix("a/")) };
    assert!(!world.store.range(exact).await.unwrap().more);
    let backwards = KeyRange { start: "b".into(), end: Some("a".into()) };
    assert!(world.range(backwards).await.kvs.is_empty());
}

async fn pages_are_of_one_revision(world: World) {
    for batch in 0..25 {
        let puts = (0..100).map(|number| put(&format!("k{:04}", batch * 100 + number), "old")).collect();
        world.txn(Txn::of(puts)).await;
    }
    let at = world.revision().await;
    let store = Arc::clone(&world.store);
    let first = store.range(RangeRequest { limit: Some(1), ..RangeRequest::all(KeyRange::prefix("k")) }).await;
    assert_eq!(first.unwrap().revision, at);
    let (revision, kvs) = range_all(&*store, KeyRange::prefix("k")).await.unwrap();
    assert_eq!((revision, kvs.len()), (at, 2500));
    assert!(kvs.is_sorted_by_key(|kv| kv.key.clone()));
}

async fn old_revisions_can_be_read(world: World) {
    let first = world.put("a", "1").await;
    world.put("a", "2").await;
    let deleted = world.delete("a").await;
    let at = |revision| RangeRequest { revision: Some(revision), ..RangeRequest::key("a") };
    let old = world.store.range(at(first)).await.unwrap();
    assert_eq!((&old.kvs[0].value[..], old.kvs[0].version, old.revision), (&b"1"[..], 1, deleted));
    assert_eq!(world.store.range(at(first.next())).await.unwrap().kvs[0].value, "2");
    assert!(world.store.range(at(deleted)).await.unwrap().kvs.is_empty());
}

async fn future_revisions_cannot(world: World) {
    let current = world.revision().await;
    let asked = Revision(current.0 + 1);
    let request = RangeRequest { revision: Some(asked), ..RangeRequest::key("a") };
    assert_eq!(world.store.range(request).await, Err(StoreError::FutureRevision { asked, current }));
    assert_eq!(world.store.compact(asked).await, Err(StoreError::FutureRevision { asked, current }));
}

const TTL: Duration = Duration::from_secs(10);

async fn leases_lapse(world: World) {
    let lease = world.store.grant_lease(TTL).await.unwrap();
    let leased = |key: &str| Operation::Put { key: key.to_owned().into(), value: "1".into(), lease: Some(lease) };
    let registered = world.txn(Txn::of(vec![leased("a"), leased("b"), put("c", "1")])).await.revision;
    assert_eq!(world.range(KeyRange::key("a")).await.kvs[0].lease, Some(lease));
    let mut watch = world.store.watch(KeyRange::prefix(""), registered.next());
    world.clock.advance_ms(9_999);
    assert_eq!(world.content("").await.len(), 3);
    world.clock.advance_ms(1);
    assert_eq!(world.content("").await, ["c=1"]);
    let batch = next(&mut watch).await.unwrap();
    assert_eq!(describe(&batch), format!("{}: -a, -b", registered.next()), "one revision for all of them");
    assert_eq!(world.store.txn(Txn::of(vec![leased("d")])).await, Err(StoreError::LeaseNotFound(lease)));
    assert_eq!(world.store.keep_lease_alive(lease).await, Err(StoreError::LeaseNotFound(lease)));
}

async fn leases_are_kept_alive(world: World) {
    let lease = world.store.grant_lease(TTL).await.unwrap();
    world.txn(Txn::of(vec![Operation::Put { key: "a".into(), value: "1".into(), lease: Some(lease) }])).await;
    for _ in 0..5 {
        world.clock.advance_ms(6_000);
        assert_eq!(world.store.keep_lease_alive(lease).await, Ok(TTL));
    }
    assert_eq!(world.content("").await, ["a=1"]);
}

async fn leases_are_revoked(world: World) {
    let lease = world.store.grant_lease(TTL).await.unwrap();
    let other = world.store.grant_lease(TTL).await.unwrap();
    assert_ne!(lease, other);
    for (key, lease) in [("a", lease), ("b", other)] {
        world.txn(Txn::of(vec![Operation::Put { key: key.into(), value: "1".into(), lease: Some(lease) }])).await;
    }
    world.store.revoke_lease(lease).await.unwrap();
    assert_eq!(world.content("").await, ["b=1"]);
    assert_eq!(world.store.revoke_lease(lease).await, Err(StoreError::LeaseNotFound(lease)));
}

async fn a_key_can_leave_its_lease(world: World) {
    let lease = world.store.grant_lease(TTL).await.unwrap();
    for key in ["put", "deleted"] {
        world.txn(Txn::of(vec![Operation::Put { key: key.into(), value: "1".into(), lease: Some(lease) }])).await;
    }
    world.put("put", "2").await;
    world.delete("deleted").await;
    world.put("deleted", "2").await;
    world.store.revoke_lease(lease).await.unwrap();
    assert_eq!(world.content("").await, ["deleted=2", "put=2"]);
}

async fn watches_deliver_in_order(world: World) {
    let start = world.revision().await;
    let mut watch = world.store.watch(KeyRange::prefix("a"), start.next());
    let mut expected = Vec::new();
    for number in 0..20 {
        let revision = world.put("a", &number.to_string()).await;
        world.put("b", "not watched").await;
        expected.push(format!("{revision}: a={number}"));
    }
    expected.push(format!("{}: -a", world.delete("a").await));
    for line in expected {
        assert_eq!(describe(&next(&mut watch).await.unwrap()), line);
    }
}

async fn watches_start_in_the_past(world: World) {
    let first = world.put("a", "1").await;
    world.put("a", "2").await;
    let mut watch = world.store.watch(KeyRange::prefix("a"), first);
    for value in ["1", "2"] {
        assert!(describe(&next(&mut watch).await.unwrap()).ends_with(&format!("a={value}")));
    }
    world.put("a", "3").await;
    assert!(describe(&next(&mut watch).await.unwrap()).ends_with("a=3"));
}

async fn watches_keep_a_revision_together(world: World) {
    let start = world.revision().await;
    let puts = (0..MAX_TXN_OPERATIONS).map(|number| put(&format!("{number:03}"), "")).collect();
    world.txn(Txn::of(puts)).await;
    let mut watch = world.store.watch(KeyRange::prefix(""), start.next());
    let batch = next(&mut watch).await.unwrap();
    assert_eq!(batch.events.len(), MAX_TXN_OPERATIONS);
    let Event::Put(kv) = &batch.events[0] else { panic!("{batch:?}") };
    assert_eq!((kv.create_revision, kv.mod_revision, kv.version), (batch.revision, batch.revision, 1));
}

async fn watches_report_what_they_pass_over(world: World) {
    let start = world.revision().await;
    let mut watch = world.store.watch(KeyRange::prefix("mine"), start.next());
    let elsewhere = world.put("elsewhere", "1").await;
    let reached = async {
        loop {
            let batch = watch.next().await.unwrap().unwrap();
            assert!(batch.events.is_empty());
            if batch.revision >= elsewhere {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), reached).await.unwrap();
}

async fn compaction_ends_old_watches_and_reads(world: World) {
    let first = world.put("a", "1").await;
    let second = world.put("a", "2").await;
    let third = world.put("a", "3").await;
    world.store.compact(second).await.unwrap();
    world.store.compact(second).await.unwrap();
    let compacted = StoreError::Compacted { compact_revision: second };
    let mut watch = world.store.watch(KeyRange::prefix(""), first);
    assert_eq!(next(&mut watch).await, Err(compacted.clone()));
    assert!(watch.next().await.is_none(), "a watch ends with its error");
    let at = |revision| RangeRequest { revision: Some(revision), ..RangeRequest::key("a") };
    assert_eq!(world.store.range(at(first)).await, Err(compacted));
    assert_eq!(world.store.range(at(second)).await.unwrap().kvs[0].value, "2");
    let mut watch = world.store.watch(KeyRange::prefix(""), third);
    assert_eq!(describe(&next(&mut watch).await.unwrap()), format!("{third}: a=3"));
}

async fn compaction_keeps_what_is_current(world: World) {
    world.put("kept", "1").await;
    world.put("deleted", "1").await;
    world.put("changed", "1").await;
    world.put("changed", "2").await;
    let last = world.delete("deleted").await;
    world.store.compact(last).await.unwrap();
    assert_eq!(world.content("").await, ["changed=2", "kept=1"]);
    let kv = world.range(KeyRange::key("changed")).await.kvs.remove(0);
    assert_eq!(kv.version, 2);
    let anew = world.put("deleted", "3").await;
    assert_eq!(world.range(KeyRange::key("deleted")).await.kvs[0].create_revision, anew);
}
