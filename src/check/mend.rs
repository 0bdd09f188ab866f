//! What a repair does to one partition. Decided while the partition is checked, done only when asked for.

use std::path::PathBuf;

use crate::ids::Offset;
use crate::log::directory::FileKind;

/// Bytes of a batch's header outside its checksum, whose right value follows from what lies around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mend {
    pub(super) path: PathBuf,
    pub(super) position: u64,
    pub(super) bytes: Vec<u8>,
}

/// Where recovery would end the log: the first batch that can't be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) segment: Offset,
    pub(super) position: u64,
    pub(super) offset: Offset,
    /// Sound batches and records behind it, which go too.
    pub(super) batches_behind: u64,
    pub(super) records_behind: u64,
}

/// All that is to be done to a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) mends: Vec<Mend>,
    pub(super) cut: Option<Cut>,
    /// Indexes and snapshots that say what is not so: removed, and built anew.
    pub(super) rebuild: Vec<(FileKind, Offset)>,
    pub(super) rebuild_epochs: bool,
    pub(super) write_topic_id: bool,
    /// Messages of formats v0 or v1 are among its batches: nothing is done to the log, and to what follows from it.
    pub(super) is_old_format: bool,
}

impl Plan {
    pub(super) fn rebuild(&mut self, kind: FileKind, offset: Offset) {
        if !self.rebuild.contains(&(kind, offset)) {
            self.rebuild.push((kind, offset));
        }
    }
}
