//! Verifying the files of a node that is stopped, and putting right what can be put right.
//!
//! Owns: what `ottla check` finds ([`Finding`]), the order in which it looks, the repair, and the scrubber that reads
//! the logs of a node that runs. Never does: interprets records; a batch is sound by its header and its checksum.
//!
//! ```text
//!  log directory ─ lock, meta.properties, checkpoints, clean marker, ottla.redb
//!        │                                                │ topics: ids, cleanup.policy
//!        ▼                                                ▼
//!  partition folders, many at a time: segments one behind the other, each batch once
//!        │                                 ├─ offset and time index      entries come along with their batches
//!        │                                 ├─ leader epochs, offsets     fields that no checksum covers
//!        │                                 └─ producers replayed ──▶ transaction index
//!        ▼
//!  log ends ──▶ checkpoints once more ──▶ Report
//! ```
//! What a crash may leave behind the recovery point is told apart from damage before it. After a clean stop all of a
//! log is before it.

mod batch_walk;
mod directory_check;
mod epoch_check;
mod finding;
mod index_check;
mod index_entries;
mod mend;
mod metadata_check;
mod partition_check;
mod repair;
mod report;
mod scrubber;
mod segment_check;
mod text_check;
mod txn_check;

#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use crate::config::BrokerConfig;
use crate::ids::Offset;
use crate::io::Disk;
use crate::log::checkpoints::{LOG_START_OFFSET_CHECKPOINT, RECOVERY_POINT_CHECKPOINT};
use crate::log::log_directory::DirectoryError;
use crate::time::TimestampMs;

pub use finding::{Finding, Kind, Level};
pub use repair::Repair;
pub use report::{CheckedDirectory, Report, Verdict};
pub use scrubber::Scrubber;

use directory_check::DirectoryFacts;
use metadata_check::Metadata;
use partition_check::{PartitionFacts, PartitionPlace};

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error("no log directory is named")]
    None,
}

/// Whether a partition's log is compacted, as far as that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compaction {
    Applied,
    Never,
    Unknown,
}

/// What is to be checked.
#[derive(Clone, Debug)]
pub struct Check<'a> {
    pub disk: Arc<dyn Disk>,
    pub directories: &'a [PathBuf],
    /// What the broker is started with: topics take their defaults from it.
    pub config: &'a BrokerConfig,
    pub threads: usize,
    pub now_ms: TimestampMs,
}

/// Bytes of logs, for who watches.
#[derive(Debug, Default)]
pub struct Progress {
    pub total_bytes: AtomicU64,
    pub read_bytes: AtomicU64,
}

/// All that was found, and what a repair goes by.
struct Found {
    directories: Vec<DirectoryFacts>,
    metadata: Option<Metadata>,
    /// By directory, in the order of their folders.
    partitions: Vec<Vec<PartitionFacts>>,
}

impl Check<'_> {
    /// Reads everything; writes nothing.
    pub fn run(&self, progress: &Progress) -> Result<Report, CheckError> {
        Ok(Report::of(&self.find(progress)?))
    }

    /// As [`Check::run`], and what can be done about what it finds. Nothing is done yet.
    pub fn plan_repair(&self, progress: &Progress) -> Result<Repair<'_>, CheckError> {
        Ok(Repair::new(self, self.find(progress)?))
    }

    fn find(&self, progress: &Progress) -> Result<Found, CheckError> {
        if self.directories.is_empty() {
            return Err(CheckError::None);
        }
        let disk = &*self.disk;
        let mut directories = Vec::new();
        for (at, path) in self.directories.iter().enumerate() {
            if self.directories[..at].contains(path) {
                return Err(DirectoryError::NamedTwice { path: path.clone() }.into());
            }
            directories.push(DirectoryFacts::read(disk, path)?);
        }
        let metadata = Metadata::read(disk, &mut directories)
            .map_err(|source| CheckError::Io { path: self.directories[0].clone(), source })?;
        let mut places = Vec::new();
        for (at, directory) in directories.iter().enumerate() {
            for (partition, folder, _) in &directory.folders {
                let topic = metadata.as_ref().map(|metadata| metadata.topic(partition, self.config));
                let log_bytes = partition_check::log_bytes(disk, folder)
                    .map_err(|source| CheckError::Io { path: folder.clone(), source })?;
                let place = PartitionPlace {
                    partition: partition.clone(),
                    folder: folder.clone(),
                    log_bytes,
                    was_clean: directory.was_clean,
                    recovery_point: directory.offset(RECOVERY_POINT_CHECKPOINT, partition),
                    log_start_offset: directory
                        .offset(LOG_START_OFFSET_CHECKPOINT, partition)
                        .unwrap_or(Offset::ZERO),
                    compaction: topic
                        .map_or_else(|| metadata_check::by_name(&partition.topic), |topic| topic.compaction),
                    topic_id: topic.and_then(|topic| topic.id),
                    is_served: topic.is_none_or(|topic| topic.is_served),
                };
                places.push((at, place));
            }
        }
        progress.total_bytes.store(places.iter().map(|(_, place)| place.log_bytes).sum(), Ordering::Relaxed);
        let mut partitions: Vec<_> = directories.iter().map(|_| Vec::new()).collect();
        for (at, facts) in self.check_all(places, progress) {
            partitions[at].push(facts);
        }
        let mut found = Found { directories, metadata, partitions };
        found.compare();
        Ok(found)
    }

    /// The largest first, so that no thread is left with one at the end.
    fn check_all(
        &self,
        mut places: Vec<(usize, PartitionPlace)>,
        progress: &Progress,
    ) -> Vec<(usize, PartitionFacts)> {
        places.sort_by_key(|(_, place)| std::cmp::Reverse(place.log_bytes));
        let next = AtomicUsize::new(0);
        let work = || {
            let mut checked = Vec::new();
            while let Some((at, place)) = places.get(next.fetch_add(1, Ordering::Relaxed)) {
                checked.push((*at, self.check_one(place.clone(), progress)));
            }
            checked
        };
        let threads = self.threads.clamp(1, places.len().max(1));
        let mut checked: Vec<_> = thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            workers.into_iter().flat_map(joined).collect()
        });
        checked.sort_by(|(_, one), (_, other)| one.place.folder.cmp(&other.place.folder));
        checked
    }

    /// A folder that the device does not give back is damage too.
    fn check_one(&self, place: PartitionPlace, progress: &Progress) -> PartitionFacts {
        let failed = place.clone();
        place.check(&*self.disk, self.now_ms, &progress.read_bytes).unwrap_or_else(|error| failed.unreadable(&error))
    }
}

impl Found {
    /// What only shows when all logs are known.
    fn compare(&mut self) {
        for (directory, partitions) in self.directories.iter_mut().zip(&self.partitions) {
            directory.compare(&partitions.iter().collect::<Vec<_>>());
        }
        metadata_check::compare_directories(&mut self.directories, self.metadata.as_ref());
        metadata_check::compare_topic_ids(&mut self.partitions);
        metadata_check::find_twins(&mut self.directories);
    }
}

/// A panic in a thread goes on in the one that waits for it.
fn joined<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
