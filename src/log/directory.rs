//! The folder of one partition, and the names of the files in it.
//!
//! ```text
//!  orders-0/
//!    00000000000000000000.log          the batches from offset 0 on      (protocol/batch.rs)
//!    00000000000000000000.index        where some of them lie            (offset_index.rs)
//!    00000000000000000000.timeindex    which of them were the newest     (time_index.rs)
//!    00000000000000000000.txnindex     transactions aborted in it        (txn_index.rs)
//!    00000000000000001200.log ...      the next segment
//!    00000000000000001200.snapshot     the producers as of offset 1200   (producer_state/snapshot.rs)
//!    leader-epoch-checkpoint           epochs and where they begin       (leader_epochs.rs)
//!    partition.metadata                whose folder it is                (partition_metadata.rs)
//!    *.cleaned *.swap *.deleted        a change that is under way        (replacement.rs)
//! ```

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::ids::Offset;
use crate::io::{Disk, DiskFile, OpenMode};

/// The suffix of a file that waits for its removal.
pub const DELETED_SUFFIX: &str = ".deleted";
/// The suffix of a file that the cleaner is writing: it means nothing yet.
pub const CLEANED_SUFFIX: &str = ".cleaned";
/// The suffix of a file that the cleaner has finished: what it replaces goes.
pub const SWAP_SUFFIX: &str = ".swap";

/// The kinds of files that are named after the offset they begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    Log,
    OffsetIndex,
    TimeIndex,
    TxnIndex,
    ProducerSnapshot,
}

impl FileKind {
    /// The files of a segment, the log itself first.
    pub const OF_SEGMENT: [Self; 4] = [Self::Log, Self::OffsetIndex, Self::TimeIndex, Self::TxnIndex];

    pub const fn extension(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::OffsetIndex => "index",
            Self::TimeIndex => "timeindex",
            Self::TxnIndex => "txnindex",
            Self::ProducerSnapshot => "snapshot",
        }
    }

    /// Twenty digits, so that names sort as offsets do.
    pub fn file_name(self, offset: Offset) -> String {
        format!("{:020}.{}", offset.0, self.extension())
    }

    /// The kind and the offset that a file's name tells; `None` for any other name.
    pub fn parse(file_name: &str) -> Option<(Self, Offset)> {
        let (digits, extension) = file_name.split_once('.')?;
        if digits.len() != 20 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let kind = [Self::Log, Self::OffsetIndex, Self::TimeIndex, Self::TxnIndex, Self::ProducerSnapshot]
            .into_iter()
            .find(|kind| kind.extension() == extension)?;
        Some((kind, Offset(digits.parse().ok()?)))
    }
}

/// Where the files of one partition lie. The folder is renamed while in use when its topic is deleted.
#[derive(Debug)]
pub struct PartitionDirectory {
    disk: Arc<dyn Disk>,
    path: Arc<RwLock<PathBuf>>,
    /// Behind the name of every file.
    suffix: &'static str,
}

impl PartitionDirectory {
    pub fn new(disk: Arc<dyn Disk>, path: PathBuf) -> Arc<Self> {
        Arc::new(Self { disk, path: Arc::new(RwLock::new(path)), suffix: "" })
    }

    /// The same folder, the names of whose files end with `suffix`.
    pub(super) fn suffixed(&self, suffix: &'static str) -> Arc<Self> {
        Arc::new(Self { disk: Arc::clone(&self.disk), path: Arc::clone(&self.path), suffix })
    }

    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    pub fn path(&self) -> PathBuf {
        self.path.read().clone()
    }

    pub fn file(&self, kind: FileKind, offset: Offset) -> PathBuf {
        self.path.read().join(kind.file_name(offset) + self.suffix)
    }

    pub fn open(&self, kind: FileKind, offset: Offset, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        self.open_suffixed(kind, offset, "", mode)
    }

    /// As [`PartitionDirectory::open`], of the file whose name ends with `suffix` besides.
    pub(super) fn open_suffixed(
        &self,
        kind: FileKind,
        offset: Offset,
        suffix: &str,
        mode: OpenMode,
    ) -> io::Result<Arc<dyn DiskFile>> {
        // With the lock, so that the folder keeps its name meanwhile.
        let path = self.path.read();
        self.disk.open(&path.join(kind.file_name(offset) + self.suffix + suffix), mode)
    }

    /// Renames the folder; open files stay open.
    pub fn rename(&self, to: PathBuf) -> io::Result<()> {
        let mut path = self.path.write();
        self.disk.rename(&path, &to)?;
        *path = to;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kafkas() {
        assert_eq!(FileKind::Log.file_name(Offset(42)), "00000000000000000042.log");
        assert_eq!(FileKind::parse("00000000000000000042.timeindex"), Some((FileKind::TimeIndex, Offset(42))));
        for foreign in [
            "42.log",
            "00000000000000000042.log.deleted",
            "leader-epoch-checkpoint",
            "x.log",
            "99999999999999999999.log",
        ] {
            assert_eq!(FileKind::parse(foreign), None, "{foreign}");
        }
    }
}
