//! The redb file: what is durable of the store.
//!
//! ```text
//!  table "keys"   key -> (create revision, mod revision, version, lease or 0, value)
//!  table "meta"   "format" -> 1
//!                 "revision" -> of the last change
//! ```
//! redb checks every page it reads on opening, so a damaged file is an error and not a crash. It is reached
//! through [`Disk`], so that the simulator's faults reach it.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::{ReadableDatabase, ReadableTable, StorageBackend, TableDefinition};

use super::is_no_room;
use crate::io::{DirectoryLock, Disk, DiskFile, OpenMode, temporary_path};
use crate::metadata::store::{Event, EventBatch, KeyValue, LeaseId, Revision};

const KEYS: TableDefinition<'_, &[u8], Row<'_>> = TableDefinition::new("keys");
const META: TableDefinition<'_, &str, i64> = TableDefinition::new("meta");
const FORMAT_KEY: &str = "format";
const REVISION_KEY: &str = "revision";
const FORMAT: i64 = 1;

/// All content is held in memory besides, so redb's own cache is only for its inner pages.
const CACHE_BYTES: usize = 2 << 20;

/// Create revision, mod revision, version, lease or 0, value.
type Row<'a> = (i64, i64, i64, i64, &'a [u8]);

/// Why there is no store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{path}: in use by another process")]
    InUse { path: PathBuf },
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path} is not a metadata store of Ottla, or is damaged: {reason}")]
    Damaged { path: PathBuf, reason: String },
    #[error("{path} has format {found}; this version of Ottla reads format {FORMAT}")]
    Format { path: PathBuf, found: i64 },
    #[error("{path} can't be written; the log says why")]
    Unwritable { path: PathBuf },
    #[error("can't start the metadata store's thread: {0}")]
    Thread(io::Error),
}

/// Why a change is not durable.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    /// A write found no room; what was durable before still is.
    #[error("no room for metadata: {0}")]
    NoRoom(String),
    /// Whether the change is durable is unknown.
    #[error("writing metadata failed, restart to read it anew: {0}")]
    Lasting(String),
}

pub(super) struct Database {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// None only between closing it and opening it again.
    file: Option<redb::Database>,
    sync_failed: Arc<AtomicBool>,
    /// The file that is locked is the one in place, so it comes after creation.
    _lock: Box<dyn DirectoryLock>,
}

impl Database {
    /// Opens the file, or creates it; with all that it holds.
    pub(super) fn open(disk: Arc<dyn Disk>, path: &Path) -> Result<(Self, Revision, Vec<KeyValue>), OpenError> {
        let io = |source| OpenError::Io { path: path.to_owned(), source };
        if !disk.exists(path) {
            create(&*disk, path)?;
        }
        let lock = disk.lock(path).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => OpenError::InUse { path: path.to_owned() },
            _ => io(error),
        })?;
        let sync_failed = Arc::default();
        let file = open_file(&*disk, path, &sync_failed)?;
        let (revision, kvs) = load(&file, path)?;
        let database = Self { disk, path: path.to_owned(), file: Some(file), sync_failed, _lock: lock };
        Ok((database, revision, kvs))
    }

    /// Closes the file and opens it again; the revision that it is at.
    pub(super) fn reopen(&mut self) -> Result<Revision, OpenError> {
        self.file = None;
        let file = open_file(&*self.disk, &self.path, &self.sync_failed)?;
        let revision = read_revision(&file, &self.path)?;
        self.file = Some(file);
        Ok(revision)
    }

    /// Makes changes durable, all or none.
    pub(super) fn write(&mut self, changes: &[EventBatch]) -> Result<(), WriteError> {
        let Some(file) = &self.file else { return Err(WriteError::NoRoom("the file is closed".to_owned())) };
        write(file, changes).map_err(|error| {
            let text = error.to_string();
            let no_room = matches!(&error, redb::Error::Io(source) if is_no_room(source));
            // A sync that failed may have dropped pages that look written: only the disk knows.
            if no_room && !self.sync_failed.load(Ordering::Relaxed) {
                WriteError::NoRoom(text)
            } else {
                WriteError::Lasting(text)
            }
        })
    }
}

fn write(file: &redb::Database, changes: &[EventBatch]) -> Result<(), redb::Error> {
    let Some(last) = changes.last() else { return Ok(()) };
    let txn = file.begin_write()?;
    {
        let mut keys = txn.open_table(KEYS)?;
        for event in changes.iter().flat_map(|batch| &batch.events) {
            match event {
                Event::Put(kv) => {
                    let lease = kv.lease.map_or(0, |lease| lease.0);
                    let row = (kv.create_revision.0, kv.mod_revision.0, kv.version, lease, &kv.value[..]);
                    keys.insert(&kv.key[..], row)?;
                }
                Event::Delete { key, .. } => {
                    keys.remove(&key[..])?;
                }
            }
        }
        txn.open_table(META)?.insert(REVISION_KEY, last.revision.0)?;
    }
    txn.commit()?;
    Ok(())
}

/// Creates the file under another name, so that one under its own name is always whole.
fn create(disk: &dyn Disk, path: &Path) -> Result<(), OpenError> {
    let io = |source| OpenError::Io { path: path.to_owned(), source };
    let temporary = temporary_path(path);
    disk.remove_file(&temporary).map_err(io)?;
    let initialize = |file: &redb::Database| -> Result<(), redb::Error> {
        let txn = file.begin_write()?;
        txn.open_table(KEYS)?;
        let mut meta = txn.open_table(META)?;
        meta.insert(FORMAT_KEY, FORMAT)?;
        meta.insert(REVISION_KEY, 1)?;
        drop(meta);
        Ok(txn.commit()?)
    };
    let backend = Backend { file: disk.open(&temporary, OpenMode::Create).map_err(io)?, sync_failed: Arc::default() };
    let file = builder().create_with_backend(backend).map_err(|error| describe(path, error.into()))?;
    initialize(&file).map_err(|error| describe(path, error))?;
    drop(file);
    disk.rename(&temporary, path).map_err(io)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    disk.sync_directory(directory.unwrap_or(Path::new("."))).map_err(io)
}

pub(super) fn builder() -> redb::Builder {
    let mut builder = redb::Database::builder();
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    builder
}

fn open_file(disk: &dyn Disk, path: &Path, sync_failed: &Arc<AtomicBool>) -> Result<redb::Database, OpenError> {
    let io = |source| OpenError::Io { path: path.to_owned(), source };
    let file = disk.open(path, OpenMode::ReadWrite).map_err(io)?;
    // redb would make a new database of it.
    if file.size_bytes().map_err(io)? == 0 {
        return Err(OpenError::Damaged { path: path.to_owned(), reason: "it is empty".to_owned() });
    }
    let backend = Backend { file, sync_failed: Arc::clone(sync_failed) };
    builder().create_with_backend(backend).map_err(|error| describe(path, error.into()))
}

pub(super) fn load(file: &redb::Database, path: &Path) -> Result<(Revision, Vec<KeyValue>), OpenError> {
    let revision = read_revision(file, path)?;
    let read = || -> Result<Vec<KeyValue>, redb::Error> {
        let txn = file.begin_read()?;
        let mut kvs = Vec::new();
        for row in txn.open_table(KEYS)?.iter()? {
            let (key, row) = row?;
            let (create_revision, mod_revision, version, lease, value) = row.value();
            kvs.push(KeyValue {
                key: key.value().to_vec().into(),
                value: value.to_vec().into(),
                create_revision: Revision(create_revision),
                mod_revision: Revision(mod_revision),
                version,
                lease: (lease != 0).then_some(LeaseId(lease)),
            });
        }
        Ok(kvs)
    };
    Ok((revision, read().map_err(|error| describe(path, error))?))
}

fn read_revision(file: &redb::Database, path: &Path) -> Result<Revision, OpenError> {
    let read = || -> Result<(Option<i64>, Option<i64>), redb::Error> {
        let meta = file.begin_read()?.open_table(META)?;
        let number = |key| Ok::<_, redb::Error>(meta.get(key)?.map(|number| number.value()));
        Ok((number(FORMAT_KEY)?, number(REVISION_KEY)?))
    };
    match read().map_err(|error| describe(path, error))? {
        (Some(FORMAT), Some(revision)) if revision >= 1 => Ok(Revision(revision)),
        (Some(found), _) if found != FORMAT => Err(OpenError::Format { path: path.to_owned(), found }),
        _ => Err(OpenError::Damaged { path: path.to_owned(), reason: "it names no revision".to_owned() }),
    }
}

/// An error of the disk is the disk's; all others say that the file is not what it should be.
pub(super) fn describe(path: &Path, error: redb::Error) -> OpenError {
    let path = path.to_owned();
    match error {
        redb::Error::Io(source) if !is_about_content(&source) => OpenError::Io { path, source },
        other => OpenError::Damaged { path, reason: other.to_string() },
    }
}

fn is_about_content(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

/// A file of [`Disk`], as redb wants it.
#[derive(Debug)]
struct Backend {
    file: Arc<dyn DiskFile>,
    sync_failed: Arc<AtomicBool>,
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.file.size_bytes()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut done = 0;
        while done < out.len() {
            match self.file.read_at(&mut out[done..], offset + done as u64)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                bytes => done += bytes,
            }
        }
        Ok(())
    }

    fn set_len(&self, size_bytes: u64) -> io::Result<()> {
        self.file.set_size_bytes(size_bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync().inspect_err(|_| self.sync_failed.store(true, Ordering::Relaxed))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_all_at(&[IoSlice::new(data)], offset)
    }
}
