//! What lies in the log directories: which partition's log is where, whose it is, and whether it can be served.
//!
//! Nothing is written, no log is opened: of each only the small files and the first bytes of its segments are read.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::path::{Path, PathBuf};

use crate::ids::{DirectoryId, LeaderEpoch, TopicId, TopicPartition};
use crate::io::{Disk, EntryKind, OpenMode};
use crate::log::FileError;
use crate::log::directory::FileKind;
use crate::log::leader_epochs::{self, LEADER_EPOCH_CHECKPOINT, LeaderEpochs};
use crate::log::log_directory::{Folder, LogDirectories};
use crate::log::partition_metadata;
use crate::protocol::batch::MAGIC_V2;

use super::metadata_log::METADATA_FOLDER;

/// Where every message format has its number.
const MAGIC_AT: usize = 16;

/// Why the directories can't be looked through.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{partition} lies in {} and in {}: one of them has to go", first.display(), second.display())]
    TwoFolders { partition: TopicPartition, first: PathBuf, second: PathBuf },
}

/// What lies in the log directories.
#[derive(Debug, Default)]
pub struct Survey {
    pub logs: BTreeMap<TopicPartition, FoundLog>,
    /// Copies of logs on their way to another directory: they go on moving later.
    pub futures: Vec<PathBuf>,
    /// Of deleted topics: removed later.
    pub deleted: Vec<PathBuf>,
    /// Folders that stay as they are: strays, and what is no partition's.
    pub left_alone: Vec<PathBuf>,
    /// Directories that can't be opened, and why.
    pub offline: Vec<(PathBuf, String)>,
    /// Every directory was closed in good order.
    pub was_clean: bool,
}

/// The folder of a partition.
#[derive(Clone, Debug)]
pub struct FoundLog {
    pub path: PathBuf,
    pub directory: DirectoryId,
    /// `None`: a folder from before topics had ids.
    pub topic_id: Option<TopicId>,
    /// The newest in its `leader-epoch-checkpoint`.
    pub latest_epoch: Option<LeaderEpoch>,
    /// Why it can't be served.
    pub obstacle: Option<String>,
}

impl Survey {
    /// Looks through all directories that are online.
    pub fn take(directories: &LogDirectories) -> Result<Self, SurveyError> {
        let mut survey = Self { was_clean: true, offline: directories.failed().to_vec(), ..Self::default() };
        for directory in directories.online() {
            survey.was_clean &= directory.clean_shutdown().is_some();
            let disk = &**directory.disk();
            let mut entries = disk.list(directory.path()).map_err(at(directory.path()))?;
            entries.sort_unstable_by(|one, other| one.name.cmp(&other.name));
            for entry in entries.into_iter().filter(|entry| entry.kind == EntryKind::Directory) {
                let path = directory.path().join(&entry.name);
                match Folder::parse(&entry.name) {
                    Folder::Partition(partition) => survey.add(disk, partition, path, directory.id())?,
                    Folder::Future(_) => survey.futures.push(path),
                    Folder::Deleted => survey.deleted.push(path),
                    Folder::LeftAlone if entry.name == METADATA_FOLDER => {}
                    Folder::LeftAlone | Folder::Unknown => survey.left_alone.push(path),
                }
            }
        }
        Ok(survey)
    }

    fn add(
        &mut self,
        disk: &dyn Disk,
        partition: TopicPartition,
        path: PathBuf,
        directory: DirectoryId,
    ) -> Result<(), SurveyError> {
        let found = FoundLog::read(disk, path, directory)?;
        match self.logs.entry(partition) {
            Entry::Vacant(place) => drop(place.insert(found)),
            Entry::Occupied(taken) => {
                let (partition, first) = (taken.key().clone(), taken.get().path.clone());
                return Err(SurveyError::TwoFolders { partition, first, second: found.path });
            }
        }
        Ok(())
    }
}

impl FoundLog {
    fn read(disk: &dyn Disk, path: PathBuf, directory: DirectoryId) -> Result<Self, SurveyError> {
        let mut found = Self { path, directory, topic_id: None, latest_epoch: None, obstacle: None };
        let path = &found.path;
        match partition_metadata::read(disk, path) {
            Ok(topic_id) => found.topic_id = topic_id,
            Err(FileError::Io { path, source }) => return Err(SurveyError::Io { path, source }),
            Err(error) => found.obstacle = Some(error.to_string()),
        }
        match read_latest_epoch(disk, path).map_err(at(path))? {
            Ok(epoch) => found.latest_epoch = epoch,
            Err(reason) => found.obstacle = Some(format!("{LEADER_EPOCH_CHECKPOINT}: {reason}")),
        }
        if let Some(old) = old_format(disk, path)? {
            found.obstacle = Some(old);
        }
        Ok(found)
    }
}

fn read_latest_epoch(disk: &dyn Disk, folder: &Path) -> io::Result<Result<Option<LeaderEpoch>, String>> {
    let content = match disk.read(&folder.join(LEADER_EPOCH_CHECKPOINT), leader_epochs::MAX_FILE_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Ok(None)),
        content => content?,
    };
    let epochs = LeaderEpochs::decode(&String::from_utf8_lossy(&content));
    Ok(epochs.map(|epochs| epochs.latest_epoch()).map_err(|error| error.to_string()))
}

/// The message format is raised in time order, so the oldest batch of a segment tells.
fn old_format(disk: &dyn Disk, folder: &Path) -> Result<Option<String>, SurveyError> {
    for entry in disk.list(folder).map_err(at(folder))? {
        let is_segment = matches!(FileKind::parse(&entry.name), Some((FileKind::Log, _)));
        if !is_segment || entry.kind != EntryKind::File {
            continue;
        }
        let path = folder.join(&entry.name);
        let file = disk.open(&path, OpenMode::Read).map_err(at(&path))?;
        let mut start = [0; MAGIC_AT + 1];
        let read = file.read_at(&mut start, 0).map_err(at(&path))?;
        if read == start.len() && (start[MAGIC_AT] as i8) < MAGIC_V2 {
            let reason = format!("{} has batches of message format v{}", entry.name, start[MAGIC_AT] as i8);
            return Ok(Some(reason));
        }
    }
    Ok(None)
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> SurveyError {
    move |source| SurveyError::Io { path: path.to_owned(), source }
}
