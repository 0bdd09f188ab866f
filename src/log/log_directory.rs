//! One entry of `log.dirs`: locked, identified, and known to be one of ours.
//!
//! ```text
//!   .lock  meta.properties  .kafka_cleanshutdown  *-offset-checkpoint  ottla.redb
//!   orders-0/  orders-1/  ...  orders-2.3f2a...-delete/  lost+found/
//! ```
//! Nothing is written, not even the lock, before it is known that the directory is new or Kafka's.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::checkpoint_text::FileError;
use super::checkpoints::{
    CLEANER_OFFSET_CHECKPOINT, LOG_START_OFFSET_CHECKPOINT, RECOVERY_POINT_CHECKPOINT, REPLICATION_OFFSET_CHECKPOINT,
};
use super::clean_shutdown::{self, CLEAN_SHUTDOWN_FILE, CleanShutdown};
use super::first_write::FirstWrite;
use super::health::{DirectoryHealth, OnOffline};
use super::meta_properties::{META_PROPERTIES_FILE, MetaProperties};
use crate::ids::{self, BrokerId, DirectoryId, TopicPartition};
use crate::io::{DirectoryEntry, DirectoryLock, Disk, EntryKind, TEMPORARY_SUFFIX, WholeSync};

/// The file that a running broker holds locked.
pub const LOCK_FILE: &str = ".lock";
/// Kafka's own metadata log, left alone.
const CLUSTER_METADATA_TOPIC: &str = "__cluster_metadata";
/// Folders that are neither ours nor a partition's, and left alone.
const FOREIGN_FOLDERS: [&str; 2] = ["lost+found", "remote-log-index-cache"];
/// Names of foreign files that an error tells.
const MAX_NAMES_TOLD: usize = 3;

/// Why a directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    #[error("log directory {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("log directory {} is in use by another process, which holds {}", path.display(), path.join(LOCK_FILE).display())]
    Locked { path: PathBuf },
    #[error("{} is no log directory: it has no {META_PROPERTIES_FILE}, but {found}; nothing was changed", path.display())]
    Foreign { path: PathBuf, found: String },
    #[error("log directory {} belongs to node {found} ({META_PROPERTIES_FILE}), and node.id is {expected}", path.display())]
    OtherNode { path: PathBuf, found: BrokerId, expected: BrokerId },
    #[error("log directory {} belongs to cluster '{found}' ({META_PROPERTIES_FILE}), and this is cluster '{expected}'", path.display())]
    OtherCluster { path: PathBuf, found: String, expected: String },
    #[error("log directory {} is named twice in log.dirs", path.display())]
    NamedTwice { path: PathBuf },
    #[error("log directories {} and {} have the same directory.id {id}: one is a copy of the other", first.display(), second.display())]
    SameId { first: PathBuf, second: PathBuf, id: DirectoryId },
    #[error(transparent)]
    File(#[from] FileError),
    #[error("log.dirs names no directory")]
    None,
}

impl DirectoryError {
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.to_path_buf(), source }
    }

    /// The device or its permissions are to blame, not what the directory is.
    pub(super) fn is_io(&self) -> bool {
        matches!(self, Self::Io { .. } | Self::File(FileError::Io { .. }))
    }
}

/// A directory that this process owns.
#[derive(Debug)]
pub struct LogDirectory {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    id: DirectoryId,
    health: Arc<DirectoryHealth>,
    cluster_id: Option<String>,
    /// The version of its `meta.properties` as it was found, if there was one; 0 is ZooKeeper's.
    meta_version: Option<u32>,
    /// `meta.properties` says all of this, in its present version.
    is_formatted: bool,
    clean_shutdown: Option<CleanShutdown>,
    whole_sync: Option<Arc<dyn WholeSync>>,
    _lock: Box<dyn DirectoryLock>,
}

impl LogDirectory {
    /// Creates the directory where it is absent, and takes possession of it.
    pub fn open(
        disk: Arc<dyn Disk>,
        path: &Path,
        node_id: BrokerId,
        on_offline: OnOffline,
    ) -> Result<Self, DirectoryError> {
        if !disk.exists(path) {
            disk.create_directory(path).map_err(DirectoryError::io(path))?;
        }
        let meta = MetaProperties::read(&*disk, path)?;
        match &meta {
            Some(meta) => check_node(path, meta, node_id)?,
            None => check_unrelated(&disk.list(path).map_err(DirectoryError::io(path))?, path)?,
        }
        let lock = lock(&*disk, path)?;
        // The owner before may have written it between the first look and the lock.
        let meta = MetaProperties::read(&*disk, path)?;
        let meta_version = meta.as_ref().map(|meta| meta.version);
        let meta = meta.unwrap_or_default();
        let clean_shutdown = clean_shutdown::read(&*disk, path).map_err(DirectoryError::io(path))?;
        let whole_sync = disk.whole_sync(path).map_err(DirectoryError::io(path))?;
        Ok(Self {
            id: meta.directory_id.unwrap_or_else(|| DirectoryId(ids::random_uuid())),
            is_formatted: meta.version == 1 && meta.directory_id.is_some(),
            cluster_id: meta.cluster_id,
            meta_version,
            health: DirectoryHealth::new(path.to_path_buf(), on_offline),
            path: path.to_path_buf(),
            disk,
            clean_shutdown,
            whole_sync,
            _lock: lock,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    pub fn id(&self) -> DirectoryId {
        self.id
    }

    pub fn health(&self) -> &Arc<DirectoryHealth> {
        &self.health
    }

    /// Makes durable at once all that is written here, where that is known to tell of errors.
    pub(super) fn whole_sync(&self) -> Option<&Arc<dyn WholeSync>> {
        self.whole_sync.as_ref()
    }

    /// Whether it was a broker's that ran with ZooKeeper. Before Kafka 2.4 such a directory names no cluster.
    pub fn is_zookeepers(&self) -> bool {
        self.meta_version == Some(0)
    }

    /// The cluster it belongs to; `None` for a new one.
    pub fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.as_deref()
    }

    /// How it was left: `None` after a crash, and for a new one.
    pub fn clean_shutdown(&self) -> Option<CleanShutdown> {
        self.clean_shutdown
    }

    /// Makes it one of this cluster and node, unless it is already; one of another cluster is refused.
    pub fn format(&mut self, cluster_id: &str, node_id: BrokerId) -> Result<(), DirectoryError> {
        if let Some(found) = self.cluster_id.as_deref().filter(|found| *found != cluster_id) {
            let (found, expected) = (found.to_owned(), cluster_id.to_owned());
            return Err(DirectoryError::OtherCluster { path: self.path.clone(), found, expected });
        }
        if self.is_formatted {
            return Ok(());
        }
        let content = MetaProperties::encode(cluster_id, node_id, self.id);
        let (disk, file) = (Arc::clone(&self.disk), self.path.join(META_PROPERTIES_FILE));
        let write = move || disk.write_atomically(&file, content.as_bytes());
        self.health.write_in_its_time(write).map_err(DirectoryError::io(&self.path))?;
        self.cluster_id = Some(cluster_id.to_owned());
        self.is_formatted = true;
        Ok(())
    }
}

fn check_node(path: &Path, meta: &MetaProperties, expected: BrokerId) -> Result<(), DirectoryError> {
    match meta.node_id {
        Some(found) if found != expected => {
            Err(DirectoryError::OtherNode { path: path.to_path_buf(), found, expected })
        }
        _ => Ok(()),
    }
}

/// A directory without `meta.properties` may hold only what a broker could have left there.
pub(crate) fn check_unrelated(entries: &[DirectoryEntry], path: &Path) -> Result<(), DirectoryError> {
    let mut foreign: Vec<_> =
        entries.iter().filter(|entry| !is_related(entry)).map(|entry| entry.name.as_str()).collect();
    if foreign.is_empty() {
        return Ok(());
    }
    foreign.sort_unstable();
    let mut found =
        foreign.iter().take(MAX_NAMES_TOLD).map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
    if foreign.len() > MAX_NAMES_TOLD {
        found = format!("{found} and {} more", foreign.len() - MAX_NAMES_TOLD);
    }
    Err(DirectoryError::Foreign { path: path.to_path_buf(), found })
}

/// Whether a broker could have left it in its log directory.
pub(crate) fn is_related(entry: &DirectoryEntry) -> bool {
    const FILES: [&str; 8] = [
        LOCK_FILE,
        META_PROPERTIES_FILE,
        CLEAN_SHUTDOWN_FILE,
        RECOVERY_POINT_CHECKPOINT,
        LOG_START_OFFSET_CHECKPOINT,
        REPLICATION_OFFSET_CHECKPOINT,
        CLEANER_OFFSET_CHECKPOINT,
        "bootstrap.checkpoint",
    ];
    match entry.kind {
        EntryKind::Directory => Folder::parse(&entry.name) != Folder::Unknown,
        EntryKind::File => {
            let name = entry.name.strip_suffix(TEMPORARY_SUFFIX).unwrap_or(&entry.name);
            FILES.contains(&name) || name.starts_with("ottla.")
        }
        EntryKind::Other => false,
    }
}

/// Makes the directory this process's own for as long as the lock is kept.
pub(crate) fn lock(disk: &dyn Disk, path: &Path) -> Result<Box<dyn DirectoryLock>, DirectoryError> {
    disk.lock(&path.join(LOCK_FILE)).map_err(|source| match source.kind() {
        io::ErrorKind::WouldBlock => DirectoryError::Locked { path: path.to_path_buf() },
        _ => DirectoryError::Io { path: path.to_path_buf(), source },
    })
}

/// What a folder in a log directory is, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Folder {
    Partition(TopicPartition),
    /// A copy of a partition's log, on its way here from another directory.
    Future(TopicPartition),
    /// Of a deleted topic, to be removed.
    Deleted,
    /// Of another broker's or another time's: a stray, Kafka's metadata, the file system's own.
    LeftAlone,
    Unknown,
}

impl Folder {
    pub fn parse(name: &str) -> Self {
        if FOREIGN_FOLDERS.contains(&name) || name.ends_with("-stray") {
            return Self::LeftAlone;
        }
        if let Some(name) = name.strip_suffix("-future") {
            let partition = name.rsplit_once('.').and_then(|(name, _)| TopicPartition::from_directory_name(name));
            return partition.map_or(Self::LeftAlone, Self::Future);
        }
        if name.ends_with("-delete") {
            return Self::Deleted;
        }
        match TopicPartition::from_directory_name(name) {
            Some(partition) if &*partition.topic == CLUSTER_METADATA_TOPIC => Self::LeftAlone,
            Some(partition) => Self::Partition(partition),
            None => Self::Unknown,
        }
    }
}

/// All of `log.dirs`.
#[derive(Debug)]
pub struct LogDirectories {
    pub(super) online: Vec<LogDirectory>,
    /// Those that could not be opened, and why.
    pub(super) failed: Vec<(PathBuf, String)>,
    node_id: BrokerId,
}

impl LogDirectories {
    /// Opens all directories. What is not ours stops the start; one whose device fails is left out, as long as there
    /// is another.
    pub fn open(
        disk: &Arc<dyn Disk>,
        paths: &[PathBuf],
        node_id: BrokerId,
        on_offline: impl Fn(&Path, &str) + Clone + Send + Sync + 'static,
    ) -> Result<Self, DirectoryError> {
        let mut directories = Self { online: Vec::new(), failed: Vec::new(), node_id };
        let mut last_failure = DirectoryError::None;
        for (at, path) in paths.iter().enumerate() {
            if paths[..at].contains(path) {
                return Err(DirectoryError::NamedTwice { path: path.clone() });
            }
            match LogDirectory::open(Arc::clone(disk), path, node_id, Box::new(on_offline.clone())) {
                Ok(directory) => directories.add(directory)?,
                Err(error) if error.is_io() => {
                    directories.failed.push((path.clone(), error.to_string()));
                    last_failure = error;
                }
                Err(error) => return Err(error),
            }
        }
        if directories.online.is_empty() {
            return Err(last_failure);
        }
        for (path, reason) in &directories.failed {
            tracing::error!(directory = %path.display(), %reason, "log directory is offline");
        }
        Ok(directories)
    }

    fn add(&mut self, directory: LogDirectory) -> Result<(), DirectoryError> {
        for other in &self.online {
            if other.id == directory.id {
                let (first, second) = (other.path.clone(), directory.path.clone());
                return Err(DirectoryError::SameId { first, second, id: directory.id });
            }
            if let (Some(expected), Some(found)) = (other.cluster_id(), directory.cluster_id())
                && expected != found
            {
                let (found, expected) = (found.to_owned(), expected.to_owned());
                return Err(DirectoryError::OtherCluster { path: directory.path.clone(), found, expected });
            }
        }
        self.online.push(directory);
        Ok(())
    }

    /// The cluster that they belong to; `None` where all are new.
    pub fn cluster_id(&self) -> Option<&str> {
        self.online.iter().find_map(LogDirectory::cluster_id)
    }

    /// The registration under which all of them were closed in good order (KIP-966).
    pub fn clean_broker_epoch(&self) -> Option<ids::BrokerEpoch> {
        let mut epochs = self.online.iter().map(|directory| directory.clean_shutdown?.broker_epoch);
        let first = epochs.next()??;
        (self.failed.is_empty() && epochs.all(|epoch| epoch == Some(first))).then_some(first)
    }

    pub fn online(&self) -> &[LogDirectory] {
        &self.online
    }

    /// Those that could not be opened, and why.
    pub fn failed(&self) -> &[(PathBuf, String)] {
        &self.failed
    }

    /// Why the directory at `path` could not be opened, if it could not.
    pub fn failure(&self, path: &Path) -> Option<&str> {
        self.failed.iter().find(|(failed, _)| failed == path).map(|(_, reason)| reason.as_str())
    }

    /// The directories are another broker's, which can be started on them again until the first write; `note` is a file
    /// that says so.
    pub fn await_first_write(&self, note: PathBuf) -> Option<Arc<FirstWrite>> {
        let first = self.online.first()?;
        let paths = self.online.iter().map(|directory| directory.path.clone()).collect();
        let first_write = FirstWrite::awaited(Arc::clone(&first.disk), paths, note);
        self.online.iter().for_each(|directory| directory.health.await_first_write(Arc::clone(&first_write)));
        Some(first_write)
    }

    /// Writes `meta.properties` where it is missing, or was ZooKeeper's.
    pub fn format(&mut self, cluster_id: &str) -> Result<(), DirectoryError> {
        let node_id = self.node_id;
        self.online.iter_mut().try_for_each(|directory| directory.format(cluster_id, node_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::sim::SimDisk;

    const NODE: BrokerId = BrokerId(1);

    fn open(disk: &Arc<SimDisk>, path: &str) -> Result<LogDirectories, DirectoryError> {
        let disk: Arc<dyn Disk> = Arc::clone(disk) as _;
        LogDirectories::open(&disk, &[path.into()], NODE, |_, _| {})
    }

    fn disk_with(files: &[(&str, &str)]) -> Arc<SimDisk> {
        let disk = SimDisk::new(0);
        for (path, content) in files {
            let path = Path::new(path);
            disk.create_directory(path.parent().unwrap()).unwrap();
            disk.write_atomically(path, content.as_bytes()).unwrap();
        }
        disk
    }

    #[test]
    fn a_new_directory_is_created_and_formatted_once() {
        let disk = SimDisk::new(0);
        let mut directories = open(&disk, "data/logs").unwrap();
        assert_eq!((directories.cluster_id(), directories.clean_broker_epoch()), (None, None));
        directories.format("cluster").unwrap();
        let id = directories.online[0].id();
        drop(directories);

        let mut again = open(&disk, "data/logs").unwrap();
        assert_eq!((again.cluster_id(), again.online[0].id()), (Some("cluster"), id));
        again.format("cluster").unwrap();
        let error = again.format("other").unwrap_err().to_string();
        assert!(error.contains("belongs to cluster 'cluster'") && error.contains("'other'"), "{error}");
    }

    #[test]
    fn kafkas_directory_keeps_its_identity() {
        let meta = "version=1\ncluster.id=kafkas\nnode.id=1\ndirectory.id=JFuNnNNVGxDQ4X9hqyO0pA\n";
        let disk = disk_with(&[("data/meta.properties", meta), ("data/notes.txt", "")]);
        let mut directories = open(&disk, "data").unwrap();
        directories.format("kafkas").unwrap();
        assert_eq!(directories.online[0].id().to_string(), "JFuNnNNVGxDQ4X9hqyO0pA");
        assert_eq!(disk.read(Path::new("data/meta.properties"), 1000).unwrap(), meta.as_bytes());
    }

    #[test]
    fn zookeepers_directory_gets_a_directory_id() {
        for cluster in ["", "cluster.id=old\n"] {
            let disk = disk_with(&[("data/meta.properties", &format!("version=0\nbroker.id=1\n{cluster}"))]);
            let mut directories = open(&disk, "data").unwrap();
            assert!(directories.online[0].is_zookeepers());
            directories.format("old").unwrap();
            let meta = MetaProperties::read(&*disk, Path::new("data")).unwrap().unwrap();
            assert_eq!((meta.version, meta.node_id), (1, Some(NODE)));
            assert_eq!(meta.directory_id, Some(directories.online[0].id()));
        }
        assert!(!open(&disk_with(&[]), "data").unwrap().online[0].is_zookeepers(), "a new one");
    }

    fn check_refused(files: &[(&str, &str)], expected: &str) {
        let disk = disk_with(files);
        let trace = disk.trace();
        let error = open(&disk, "data").unwrap_err().to_string();
        assert_eq!(error, expected);
        assert_eq!(disk.trace(), trace, "nothing may be touched");
    }

    #[test]
    fn what_is_not_ours_is_refused_untouched() {
        check_refused(
            &[("data/a.txt", ""), ("data/sub/b", ""), ("data/c", ""), ("data/d", "")],
            "data is no log directory: it has no meta.properties, but 'a.txt', 'c', 'd' and 1 more; nothing was changed",
        );
        check_refused(
            &[("data/meta.properties", "version=1\nnode.id=2\ncluster.id=x\n")],
            "log directory data belongs to node 2 (meta.properties), and node.id is 1",
        );
        check_refused(
            &[("data/meta.properties", "version=9\n")],
            "data/meta.properties: line 1: version '9' is not known",
        );
    }

    #[test]
    fn leftovers_of_a_broker_are_no_strangers() {
        let disk = disk_with(&[
            ("data/.lock", ""),
            ("data/meta.properties.tmp", ""),
            ("data/ottla.redb", ""),
            ("data/recovery-point-offset-checkpoint", "0\n0\n"),
            ("data/orders-0/00000000000000000000.log", ""),
            ("data/__cluster_metadata-0/x", ""),
            ("data/lost+found/x", ""),
        ]);
        open(&disk, "data").unwrap();
    }

    #[test]
    fn one_process_owns_a_directory() {
        let disk = SimDisk::new(0);
        let owner = open(&disk, "data").unwrap();
        let error = open(&disk, "data").unwrap_err().to_string();
        assert_eq!(error, "log directory data is in use by another process, which holds data/.lock");
        drop(owner);
        open(&disk, "data").unwrap();
    }

    #[test]
    fn a_failing_directory_is_left_out_unless_it_is_the_only_one() {
        let disk = disk_with(&[("file", "")]);
        let error = open(&disk, "file/data").unwrap_err();
        assert!(error.is_io(), "{error}");
        let disk: Arc<dyn Disk> = disk;
        let open = |paths: &[&str]| {
            let paths: Vec<_> = paths.iter().map(PathBuf::from).collect();
            LogDirectories::open(&disk, &paths, NODE, |_, _| {})
        };
        let directories = open(&["file/data", "data"]).unwrap();
        assert_eq!((directories.online.len(), directories.failed.len()), (1, 1));
        drop(directories);
        assert!(matches!(open(&["data", "data"]), Err(DirectoryError::NamedTwice { .. })));
        assert!(matches!(open(&[]), Err(DirectoryError::None)));
    }

    #[test]
    fn folders_are_told_by_their_names() {
        let partition = |name: &str, at| Folder::Partition(TopicPartition::new(name, at));
        assert_eq!(Folder::parse("orders-0"), partition("orders", 0));
        assert_eq!(Folder::parse("foo-delete-3"), partition("foo-delete", 3));
        assert_eq!(Folder::parse("orders-0.3f2a-delete"), Folder::Deleted);
        for left_alone in ["__cluster_metadata-0", "lost+found", "orders-0.3f2a-stray", "orders-future"] {
            assert_eq!(Folder::parse(left_alone), Folder::LeftAlone, "{left_alone}");
        }
        assert_eq!(Folder::parse("photos"), Folder::Unknown);
        assert_eq!(Folder::parse("a.b-0.3f2a-future"), Folder::Future(TopicPartition::new("a.b", 0)));
    }
}
