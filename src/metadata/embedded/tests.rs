use super::*;
use crate::io::RealDisk;
use crate::io::sim::{SimDisk, SimFault, SimOperation};
use crate::metadata::conformance::open;
use crate::metadata::store::{KeyValue, Operation};
use crate::time::ManualClock;

fn put(key: &str, value: &str) -> Txn {
    Txn::of(vec![Operation::put(key.to_owned(), value.to_owned())])
}

async fn content(store: &EmbeddedStore) -> Vec<KeyValue> {
    store.range(RangeRequest::all(KeyRange::prefix(""))).await.unwrap().kvs
}

#[tokio::test]
async fn what_was_answered_survives() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ottla.redb");
    let clock = ManualClock::at(0);
    let (before, revision) = {
        let store = open(&path, &clock);
        store.txn(put("a", "1")).await.unwrap();
        store.txn(put("a", "2")).await.unwrap();
        store.txn(put("b", "1")).await.unwrap();
        let revision = store.txn(Txn::of(vec![Operation::delete("b")])).await.unwrap().revision;
        (content(&store).await, revision)
    };
    let store = open(&path, &clock);
    assert_eq!(content(&store).await, before);
    assert_eq!(store.txn(put("a", "3")).await.unwrap().revision, revision.next());
}

#[tokio::test]
async fn leases_end_with_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ottla.redb");
    let clock = ManualClock::at(0);
    let registered = {
        let store = open(&path, &clock);
        let lease = store.grant_lease(Duration::from_secs(10)).await.unwrap();
        store.txn(put("kept", "1")).await.unwrap();
        let leased = Operation::Put { key: "leased".into(), value: "1".into(), lease: Some(lease) };
        store.txn(Txn::of(vec![leased])).await.unwrap().revision
    };
    let store = open(&path, &clock);
    let kvs = content(&store).await;
    assert_eq!(kvs.iter().map(|kv| &kv.key[..]).collect::<Vec<_>>(), [b"kept"]);
    assert_eq!(store.state.revision(), registered.next());
    let again = store.grant_lease(Duration::from_secs(10)).await.unwrap();
    let leased = Operation::Put { key: "leased".into(), value: "2".into(), lease: Some(again) };
    assert_eq!(store.txn(Txn::of(vec![leased])).await.unwrap().revision, Revision(registered.0 + 2));
}

#[tokio::test]
async fn a_lease_lapses_without_being_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(crate::time::SystemClock::new());
    let path = directory.path().join("ottla.redb");
    let store = EmbeddedStore::open(RealDisk::new(1).unwrap(), &path, clock).unwrap();
    let lease = store.grant_lease(Duration::from_millis(100)).await.unwrap();
    let leased = Operation::Put { key: "leased".into(), value: "1".into(), lease: Some(lease) };
    let revision = store.txn(Txn::of(vec![leased])).await.unwrap().revision;
    let mut watch = store.watch(KeyRange::prefix(""), revision.next());
    let batch = tokio::time::timeout(Duration::from_secs(10), futures_util::StreamExt::next(&mut watch)).await;
    assert_eq!(batch.unwrap().unwrap().unwrap().events.len(), 1);
}

#[tokio::test]
async fn one_process_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ottla.redb");
    let clock = ManualClock::at(0);
    let store = open(&path, &clock);
    let second = EmbeddedStore::open(RealDisk::new(1).unwrap(), &path, clock.clone());
    assert!(matches!(second, Err(OpenError::InUse { .. })), "{second:?}");
    drop(store);
    open(&path, &clock);
}

#[tokio::test]
async fn a_damaged_file_is_an_error_and_no_crash() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ottla.redb");
    let clock = ManualClock::at(0);
    {
        let store = open(&path, &clock);
        for number in 0..100 {
            store.txn(put(&number.to_string(), &"x".repeat(200))).await.unwrap();
        }
    }
    let disk = RealDisk::new(1).unwrap();
    let whole = disk.read(&path, 64 << 20).unwrap();
    let check = |name: &str, content: &[u8]| {
        let path = directory.path().join(name);
        disk.write_atomically(&path, content).unwrap();
        EmbeddedStore::open(disk.clone(), &path, clock.clone())
    };
    for (name, content) in [
        ("empty", &b""[..]),
        ("short", b"x"),
        ("text", "log.dirs=/tmp\n".repeat(1000).as_bytes()),
        ("cut", &whole[..whole.len() / 2]),
        ("header", &[&whole[..9], &[0xff; 311], &whole[320..]].concat()),
    ] {
        let error = check(name, content).unwrap_err();
        assert!(matches!(error, OpenError::Damaged { .. }), "{name}: {error}");
        assert!(error.to_string().contains(name), "{error}");
    }
    // A bit that flips anywhere is found, or lay where nothing is.
    let mut found = 0;
    for position in (4096..whole.len()).step_by(1021) {
        let mut content = whole.clone();
        content[position] ^= 0x10;
        found += usize::from(check("flipped", &content).is_err());
    }
    assert!(found > 5, "{found}");
}

#[tokio::test]
async fn another_format_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ottla.redb");
    drop(open(&path, &ManualClock::at(0)));
    {
        let table = redb::TableDefinition::<&str, i64>::new("meta");
        let file = redb::Database::open(&path).unwrap();
        let txn = file.begin_write().unwrap();
        txn.open_table(table).unwrap().insert("format", 2).unwrap();
        txn.commit().unwrap();
    }
    let error = EmbeddedStore::open(RealDisk::new(1).unwrap(), &path, ManualClock::at(0)).unwrap_err();
    assert!(matches!(error, OpenError::Format { found: 2, .. }), "{error}");
}

const PATH: &str = "/data/ottla.redb";

fn simulated(seed: u64) -> Arc<SimDisk> {
    let disk = SimDisk::new(seed);
    disk.create_directory(Path::new("/data")).unwrap();
    disk.sync_directory(Path::new("/")).unwrap();
    disk
}

fn try_open(disk: &Arc<SimDisk>) -> Result<EmbeddedStore, OpenError> {
    EmbeddedStore::open(disk.clone(), Path::new(PATH), ManualClock::at(0))
}

#[tokio::test]
async fn a_full_disk_is_a_state() {
    let disk = simulated(1);
    let store = try_open(&disk).unwrap();
    let lease = store.grant_lease(Duration::from_secs(10)).await.unwrap();
    let leased = Operation::Put { key: "leased".into(), value: "1".into(), lease: Some(lease) };
    store.txn(Txn::of(vec![leased])).await.unwrap();
    let revision = store.txn(put("a", "1")).await.unwrap().revision;
    for writes in 0..3 {
        disk.fail_after(SimOperation::Write, writes, SimFault::NoSpace);
        for change in [put("a", "2"), put("b", "2")] {
            let error = store.txn(change).await.unwrap_err();
            assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        }
        assert!(store.revoke_lease(lease).await.is_err());
        assert_eq!(content(&store).await.len(), 2, "what failed is not seen");
        assert_eq!(store.state.revision(), revision);
    }
    disk.heal();
    // The lease whose revocation failed is revoked at last.
    let expiry = store.txn(put("a", "3")).await.unwrap();
    assert_eq!(expiry.revision, Revision(revision.0 + 2));
    let expected = content(&store).await;
    assert_eq!(expected.iter().map(|kv| &kv.value[..]).collect::<Vec<_>>(), [b"3"]);
    drop(store);
    assert_eq!(content(&try_open(&disk).unwrap()).await, expected);
}

#[tokio::test]
async fn a_failed_sync_is_never_retried() {
    let disk = simulated(2);
    let store = try_open(&disk).unwrap();
    store.txn(put("a", "1")).await.unwrap();
    disk.fail_after(SimOperation::Sync, 0, SimFault::NoSpace);
    assert!(store.txn(put("a", "2")).await.is_err());
    disk.heal();
    assert!(store.txn(put("a", "3")).await.is_err());
    assert_eq!(content(&store).await[0].value, "1", "reads go on");
    drop(store);
    disk.crash(2);
    let value = content(&try_open(&disk).unwrap()).await[0].value.clone();
    assert!(value == "1" || value == "2", "{value:?}");
}

/// Crashes at every write of a node's first seconds: what was answered is there, whole, and what was not is there
/// as a whole or not at all.
#[tokio::test]
async fn a_crash_at_any_write_loses_nothing_answered() {
    let (mut in_creation, mut in_use) = (0, 0);
    for seed in 0..120 {
        let disk = simulated(seed);
        disk.fail_after(SimOperation::Write, seed % 60, SimFault::Io);
        let mut answered = 0;
        let created = try_open(&disk);
        if let Ok(store) = &created {
            for number in 1..30 {
                let both = vec![
                    Operation::put("a", number.to_string()),
                    Operation::put("b", format!("{number}{}", "x".repeat(100 * number))),
                ];
                if store.txn(Txn::of(both)).await.is_err() {
                    break;
                }
                answered = number;
            }
            in_use += 1;
        } else {
            in_creation += 1;
        }
        if seed % 2 == 0 {
            disk.crash(seed);
        } else {
            disk.kill();
        }
        drop(created);
        disk.heal();
        let kvs = content(&try_open(&disk).unwrap()).await;
        let found: Vec<String> =
            kvs.iter().map(|kv| String::from_utf8_lossy(&kv.value).trim_end_matches('x').to_owned()).collect();
        let expected = |number: usize| if number == 0 { vec![] } else { vec![number.to_string(); 2] };
        assert!(found == expected(answered) || found == expected(answered + 1), "seed {seed}: {answered}, {found:?}");
    }
    assert!(in_creation > 5 && in_use > 30, "{in_creation} {in_use}");
}
