//! What an interrupted compaction, split, deletion or write has left in a partition's folder.
//!
//! Compaction writes its result as `.cleaned`, renames all of it to `.swap` once it is complete and synced, takes the
//! old segments away and then renames to the final names. So a `.cleaned` file means nothing yet, and a `.swap` file
//! is good: what it replaces goes. Splitting a segment writes several `.cleaned` files and renames them from the last
//! to the first: while one is still `.cleaned`, the `.swap` files behind it mean nothing either.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::super::batch_scan::HeaderScan;
use super::super::directory::{CLEANED_SUFFIX, DELETED_SUFFIX, FileKind, PartitionDirectory, SWAP_SUFFIX};
use super::super::producer_state;
use super::Folder;
use crate::ids::Offset;
use crate::io::{EntryKind, OpenMode, TEMPORARY_SUFFIX};

/// Removes or completes what was left half done, and says what is there then.
pub(super) fn tidy(directory: &PartitionDirectory) -> io::Result<Folder> {
    let entries = directory.disk().list(&directory.path())?;
    let files = entries.into_iter().filter(|entry| entry.kind == EntryKind::File);
    let sizes: BTreeMap<_, _> = files.map(|entry| (entry.name, entry.size_bytes)).collect();
    let mut tidying = Tidying { directory, names: sizes.keys().cloned().collect(), has_changed: false };
    tidying.remove_temporary()?;
    tidying.complete_swaps()?;
    tidying.remove_empty_segments(&sizes)?;
    tidying.remove_orphans()?;
    if tidying.has_changed {
        directory.disk().sync_directory(&directory.path())?;
    }
    Ok(Folder { base_offsets: tidying.base_offsets(), snapshots: tidying.snapshots() })
}

struct Tidying<'a> {
    directory: &'a PartitionDirectory,
    names: BTreeSet<String>,
    has_changed: bool,
}

impl Tidying<'_> {
    fn remove_temporary(&mut self) -> io::Result<()> {
        let first_cleaned = self.with_suffix(CLEANED_SUFFIX).map(|(_, _, offset)| offset).min();
        self.remove_where("a swap file of an incomplete split", |name| {
            let swap = parse_suffixed(name, SWAP_SUFFIX);
            swap.is_some_and(|(_, offset)| first_cleaned.is_some_and(|cleaned| offset >= cleaned))
        })?;
        self.remove_where("a leftover", |name| {
            name.ends_with(DELETED_SUFFIX) || name.ends_with(CLEANED_SUFFIX) || name.ends_with(TEMPORARY_SUFFIX)
        })
    }

    /// Removes the segments that swap files replace, then gives these their final names.
    fn complete_swaps(&mut self) -> io::Result<()> {
        let swaps: Vec<_> =
            self.with_suffix(SWAP_SUFFIX).map(|(name, kind, offset)| (name.clone(), kind, offset)).collect();
        let mut replaced: BTreeMap<Offset, Offset> = BTreeMap::new();
        for (name, kind, base_offset) in &swaps {
            if *kind == FileKind::Log {
                // Of an empty one, what has its name is replaced at least.
                replaced.insert(*base_offset, self.next_offset(name, *base_offset)?.max(base_offset.next()));
            }
        }
        if let (Some((&first, _)), Some(&end)) = (replaced.first_key_value(), replaced.values().max()) {
            self.remove_where("a file that compaction has replaced", |name| {
                FileKind::parse(name).is_some_and(|(_, offset)| (first..end).contains(&offset))
            })?;
        }
        for (name, kind, base_offset) in swaps {
            let folder = self.directory.path();
            let final_name = kind.file_name(base_offset);
            tracing::info!(folder = %folder.display(), %name, "an interrupted swap is completed");
            self.directory.disk().rename(&folder.join(&name), &folder.join(&final_name))?;
            self.names.remove(&name);
            self.names.insert(final_name);
            self.has_changed = true;
        }
        Ok(())
    }

    /// The offset behind the last record of a log file that has no index yet. Where a batch is not sound, the file
    /// replaces nothing from there on: old segments behind it stay.
    fn next_offset(&self, name: &str, base_offset: Offset) -> io::Result<Offset> {
        let path = self.directory.path().join(name);
        let file = self.directory.disk().open(&path, OpenMode::Read)?;
        let mut scan = HeaderScan::new(&*file, 0, file.size_bytes()?);
        let mut next_offset = base_offset;
        loop {
            match scan.next() {
                Ok(Some(batch)) => next_offset = batch.header.next_offset(),
                Ok(None) => return Ok(next_offset),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    tracing::warn!(path = %path.display(), %error, "a swap file is not sound");
                    return Ok(next_offset);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// A roll that failed leaves an empty file, and the log goes on in the segment before: what lies there would be
    /// hidden by it. The last segment may well be empty, and the first one tells where the log begins.
    fn remove_empty_segments(&mut self, sizes: &BTreeMap<String, u64>) -> io::Result<()> {
        let bases = self.base_offsets();
        let inner = bases.get(1..bases.len().saturating_sub(1)).unwrap_or_default();
        let is_empty = |base: &&Offset| sizes.get(&FileKind::Log.file_name(**base)) == Some(&0);
        let empty: BTreeSet<_> = inner.iter().filter(is_empty).copied().collect();
        self.remove_where("an empty segment", |name| match FileKind::parse(name) {
            Some((FileKind::ProducerSnapshot, _)) | None => false,
            Some((_, offset)) => empty.contains(&offset),
        })
    }

    /// Indexes without a log are of no use.
    fn remove_orphans(&mut self) -> io::Result<()> {
        let bases: BTreeSet<_> = self.base_offsets().into_iter().collect();
        self.remove_where("an index without a log", |name| match FileKind::parse(name) {
            Some((FileKind::OffsetIndex | FileKind::TimeIndex | FileKind::TxnIndex, offset)) => {
                !bases.contains(&offset)
            }
            _ => false,
        })
    }

    fn remove_where(&mut self, what: &str, is_stray: impl Fn(&str) -> bool) -> io::Result<()> {
        let folder = self.directory.path();
        for name in self.names.iter().filter(|name| is_stray(name)) {
            tracing::info!(folder = %folder.display(), %name, "{what} is removed");
            self.directory.disk().remove_file(&folder.join(name))?;
            self.has_changed = true;
        }
        self.names.retain(|name| !is_stray(name));
        Ok(())
    }

    fn with_suffix<'a>(&'a self, suffix: &'a str) -> impl Iterator<Item = (&'a String, FileKind, Offset)> {
        let parse = move |name: &'a String| {
            let (kind, offset) = parse_suffixed(name, suffix)?;
            Some((name, kind, offset))
        };
        self.names.iter().filter_map(parse)
    }

    fn base_offsets(&self) -> Vec<Offset> {
        let logs = self.names.iter().filter_map(|name| FileKind::parse(name));
        logs.filter(|(kind, _)| *kind == FileKind::Log).map(|(_, offset)| offset).collect()
    }

    fn snapshots(&self) -> BTreeSet<Offset> {
        self.names.iter().filter_map(|name| producer_state::snapshot_offset(name)).collect()
    }
}

fn parse_suffixed(name: &str, suffix: &str) -> Option<(FileKind, Offset)> {
    FileKind::parse(name.strip_suffix(suffix)?)
}
