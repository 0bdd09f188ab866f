//! Files that are out of use: renamed at once, removed later, so that readers come to their end.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use super::directory::{DELETED_SUFFIX, FileKind, PartitionDirectory};
use super::partition_log::PartitionLog;
use super::segment::Segment;
use crate::time::TimestampMs;

/// What waits for its removal.
#[derive(Debug, Default)]
pub(super) struct Removals {
    pending: Mutex<Vec<Pending>>,
}

#[derive(Debug)]
struct Pending {
    due_ms: TimestampMs,
    /// In the partition's folder, which may be renamed meanwhile.
    names: Vec<String>,
}

impl Removals {
    /// Renames the files of a segment that is no longer in the list, and its producer snapshot.
    pub(super) fn retire(
        &self,
        directory: &PartitionDirectory,
        segment: &Arc<Segment>,
        due_ms: TimestampMs,
    ) -> io::Result<()> {
        let kinds = FileKind::OF_SEGMENT.into_iter().chain([FileKind::ProducerSnapshot]);
        self.retire_files(directory, segment, kinds, due_ms)
    }

    /// As [`Removals::retire`], for these kinds of files.
    pub(super) fn retire_files(
        &self,
        directory: &PartitionDirectory,
        segment: &Arc<Segment>,
        kinds: impl IntoIterator<Item = FileKind>,
        due_ms: TimestampMs,
    ) -> io::Result<()> {
        let mut names = Vec::new();
        for kind in kinds {
            let path = directory.file(kind, segment.base_offset());
            let name = format!("{}{DELETED_SUFFIX}", kind.file_name(segment.base_offset()));
            // Whoever still reads it goes on with the open file, or opens it under its new name.
            match segment.retire_file(kind, || directory.disk().rename(&path, &path.with_file_name(&name))) {
                Ok(()) => names.push(name),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        self.pending.lock().push(Pending { due_ms, names });
        Ok(())
    }

    fn take_due(&self, now_ms: TimestampMs) -> Vec<Pending> {
        let mut pending = self.pending.lock();
        let (due, later) = std::mem::take(&mut *pending).into_iter().partition(|files| files.due_ms <= now_ms);
        *pending = later;
        due
    }
}

impl PartitionLog {
    /// Removes the files whose `file.delete.delay.ms` has passed; says how many. To be called now and then, and not
    /// from where a device must not be waited for: large files take their time.
    pub fn remove_due_files(&self, now_ms: TimestampMs) -> io::Result<usize> {
        let mut removed = 0;
        for files in self.removals.take_due(now_ms) {
            for name in files.names {
                let path: PathBuf = self.directory.path().join(name);
                self.directory.disk().remove_file(&path)?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}
