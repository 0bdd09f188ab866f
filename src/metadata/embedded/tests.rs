use std::path::PathBuf;
use std::sync::atomic::{AtomicI32, Ordering};

use super::*;
use crate::io::{DirectoryEntry, DirectoryLock, DiskFile, DiskSpace, OpenMode, RealDisk, SyncDone, SyncRequest};
use crate::metadata::conformance::open;
use crate::metadata::store::{KeyValue, Operation};
use crate::time::ManualClock;

fn put(key: impl ToString, value: &str) -> Txn {
    Txn::of(vec![Operation::put(key.to_string(), value.to_owned())])
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
            store.txn(put(number, &"x".repeat(200))).await.unwrap();
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

/// The real disk, with writes that fail once `writes_left` is used up, and syncs that fail when told to.
#[derive(Debug)]
struct FaultyDisk {
    disk: Arc<RealDisk>,
    faults: Arc<Faults>,
}

#[derive(Debug)]
struct Faults {
    writes_left: AtomicI32,
    syncs_left: AtomicI32,
}

#[derive(Debug)]
struct FaultyFile {
    file: Arc<dyn DiskFile>,
    faults: Arc<Faults>,
}

fn count_down(left: &AtomicI32, error: io::ErrorKind) -> io::Result<()> {
    if left.fetch_sub(1, Ordering::SeqCst) > 0 { Ok(()) } else { Err(error.into()) }
}

impl DiskFile for FaultyFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.file.read_at(buffer, position)
    }
    fn read_cached_at(&self, buffer: &mut [u8], position: u64) -> io::Result<Option<usize>> {
        self.file.read_cached_at(buffer, position)
    }
    fn write_all_at(&self, slices: &[io::IoSlice<'_>], position: u64) -> io::Result<()> {
        count_down(&self.faults.writes_left, io::ErrorKind::StorageFull)?;
        self.file.write_all_at(slices, position)
    }
    fn size_bytes(&self) -> io::Result<u64> {
        self.file.size_bytes()
    }
    fn set_size_bytes(&self, size_bytes: u64) -> io::Result<()> {
        self.file.set_size_bytes(size_bytes)
    }
    fn sync(&self) -> io::Result<()> {
        count_down(&self.faults.syncs_left, io::ErrorKind::Other)?;
        self.file.sync()
    }
    fn as_os_file(&self) -> Option<&std::fs::File> {
        None
    }
}

impl Disk for FaultyDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(FaultyFile { file: self.disk.open(path, mode)?, faults: Arc::clone(&self.faults) }))
    }
    fn read(&self, path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
        self.disk.read(path, max_bytes)
    }
    fn write_atomically(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.disk.write_atomically(path, content)
    }
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.disk.create_directory(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<DirectoryEntry>> {
        self.disk.list(path)
    }
    fn exists(&self, path: &Path) -> bool {
        self.disk.exists(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_file(path)
    }
    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_directory(path)
    }
    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_directory(path)
    }
    fn submit_sync(&self, request: SyncRequest, done: SyncDone) {
        self.disk.submit_sync(request, done);
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn DirectoryLock>> {
        self.disk.lock(path)
    }
    fn space(&self, path: &Path) -> io::Result<DiskSpace> {
        self.disk.space(path)
    }
}

struct Faulty {
    _directory: tempfile::TempDir,
    path: PathBuf,
    faults: Arc<Faults>,
    store: EmbeddedStore,
}

fn faulty() -> Faulty {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ottla.redb");
    let faults = Arc::new(Faults { writes_left: AtomicI32::new(i32::MAX), syncs_left: AtomicI32::new(i32::MAX) });
    let disk = FaultyDisk { disk: RealDisk::new(1).unwrap(), faults: Arc::clone(&faults) };
    let store = EmbeddedStore::open(Arc::new(disk), &path, ManualClock::at(0)).unwrap();
    Faulty { _directory: directory, path, faults, store }
}

#[tokio::test]
async fn a_full_disk_is_a_state() {
    let Faulty { _directory, path, faults, store } = faulty();
    let lease = store.grant_lease(Duration::from_secs(10)).await.unwrap();
    let leased = Operation::Put { key: "leased".into(), value: "1".into(), lease: Some(lease) };
    store.txn(Txn::of(vec![leased])).await.unwrap();
    let revision = store.txn(put("a", "1")).await.unwrap().revision;
    for writes in 0..3 {
        faults.writes_left.store(writes, Ordering::SeqCst);
        for change in [put("a", "2"), put("b", "2")] {
            let error = store.txn(change).await.unwrap_err();
            assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        }
        assert!(store.revoke_lease(lease).await.is_err());
        assert_eq!(content(&store).await.len(), 2, "what failed is not seen");
        assert_eq!(store.state.revision(), revision);
    }
    faults.writes_left.store(i32::MAX, Ordering::SeqCst);
    // The lease whose revocation failed is revoked at last.
    let expiry = store.txn(put("a", "3")).await.unwrap();
    assert_eq!(expiry.revision, Revision(revision.0 + 2));
    let expected = content(&store).await;
    assert_eq!(expected.iter().map(|kv| &kv.value[..]).collect::<Vec<_>>(), [b"3"]);
    drop(store);
    assert_eq!(content(&open(&path, &ManualClock::at(0))).await, expected);
}

#[tokio::test]
async fn a_failed_sync_is_never_retried() {
    let Faulty { _directory, path, faults, store } = faulty();
    store.txn(put("a", "1")).await.unwrap();
    faults.syncs_left.store(0, Ordering::SeqCst);
    assert!(store.txn(put("a", "2")).await.is_err());
    faults.syncs_left.store(i32::MAX, Ordering::SeqCst);
    assert!(store.txn(put("a", "3")).await.is_err());
    assert_eq!(content(&store).await[0].value, "1", "reads go on");
    drop(store);
    open(&path, &ManualClock::at(0));
}
