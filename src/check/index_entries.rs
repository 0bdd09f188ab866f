//! The entries of an index file in order, those that are out of order told apart.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::finding::{Finding, Kind, Level};
use crate::ids::Offset;
use crate::io::{Disk, DiskFile, OpenMode};
use crate::log::index_file::IndexEntry;

/// Entries that are read at a time.
const PAGE_ENTRIES: usize = 8192;
/// Runs of bad entries that are told one by one.
const RUNS_KEPT: usize = 100;

/// What the order of entries is.
pub(super) trait Ordered: IndexEntry {
    /// Whether this entry may follow `before`; the first one follows `None`.
    fn follows(&self, before: Option<&Self>) -> bool;
}

/// Entries one behind the other that are not what they should be.
#[derive(Clone, Debug)]
struct BadRun {
    first: usize,
    last: usize,
    message: String,
}

/// An index file on its way through the check.
pub(super) struct IndexEntries<E> {
    path: PathBuf,
    kind: Kind,
    file: Arc<dyn DiskFile>,
    count: usize,
    /// Bytes behind the last whole entry.
    rest_bytes: u64,
    page: Vec<E>,
    page_at: usize,
    slot: usize,
    before: Option<E>,
    bad: Vec<BadRun>,
    bad_left_out: usize,
    /// Entries up to here are known to be on the device.
    trusted_slots: usize,
}

impl<E: Ordered> IndexEntries<E> {
    /// `None`: there is no such file.
    pub(super) fn open(disk: &dyn Disk, path: &Path, kind: Kind) -> io::Result<Option<Self>> {
        let file = match disk.open(path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let size_bytes = file.size_bytes()?;
        Ok(Some(Self {
            path: path.to_owned(),
            kind,
            file,
            count: size_bytes as usize / E::BYTES,
            rest_bytes: size_bytes % E::BYTES as u64,
            page: Vec::new(),
            page_at: 0,
            slot: 0,
            before: None,
            bad: Vec::new(),
            bad_left_out: 0,
            trusted_slots: 0,
        }))
    }

    pub(super) fn size_bytes(&self) -> u64 {
        (self.count * E::BYTES) as u64 + self.rest_bytes
    }

    /// The next entry that is in order with those before and behind it. An entry is to blame if it does not follow the
    /// one before, or if only without it the one behind does.
    pub(super) fn peek(&mut self) -> io::Result<Option<E>> {
        loop {
            let Some(entry) = self.entry(self.slot)? else { return Ok(None) };
            let before = self.before;
            let behind = self.entry(self.slot + 1)?;
            let stands_out =
                behind.is_some_and(|behind| behind.follows(before.as_ref()) && !behind.follows(Some(&entry)));
            if entry.follows(before.as_ref()) && !stands_out {
                return Ok(Some(entry));
            }
            self.refuse("it is out of order");
        }
    }

    /// The entry that was peeked at is right.
    pub(super) fn accept(&mut self, entry: E, is_trusted: bool) {
        self.before = Some(entry);
        self.slot += 1;
        if is_trusted {
            self.trusted_slots = self.slot;
        }
    }

    /// The entry that was peeked at is wrong; those behind it are compared with the one before it.
    pub(super) fn refuse(&mut self, message: impl Into<String>) {
        self.refuse_slot(self.slot, message);
        self.slot += 1;
    }

    /// An entry that was accepted turns out to be wrong.
    pub(super) fn refuse_slot(&mut self, slot: usize, message: impl Into<String>) {
        let is_full = self.bad.len() == RUNS_KEPT;
        match self.bad.last_mut() {
            Some(run) if run.last + 1 == slot => run.last = slot,
            _ if is_full => self.bad_left_out += 1,
            _ => self.bad.push(BadRun { first: slot, last: slot, message: message.into() }),
        }
    }

    /// The slot of the entry that was accepted last.
    pub(super) fn last_slot(&self) -> usize {
        self.slot.saturating_sub(1)
    }

    /// What is wrong with the file. `may_be_torn`: its segment reaches over the recovery point, and entries behind the
    /// last trusted one are whatever a crash has left.
    pub(super) fn findings(&self, base_offset: Offset, may_be_torn: bool) -> Vec<Finding> {
        let level = |slot| if may_be_torn && slot >= self.trusted_slots { Level::Crash } else { Level::Damage };
        let bytes = |entries: usize| (entries * E::BYTES) as u64;
        let mut findings = Vec::new();
        for BadRun { first, last, message } in &self.bad {
            let what = match last - first {
                0 => format!("entry {first} of {}: {message}", self.count),
                more => format!("entries {first} to {last} of {}: {message} (the first of {})", self.count, more + 1),
            };
            let finding = Finding::new(level(*first), self.kind, &self.path, what);
            findings.push(finding.at(bytes(*first), bytes(last - first + 1)).offset(base_offset));
        }
        if self.bad_left_out > 0 {
            let what = format!("{} more entries are wrong", self.bad_left_out);
            findings.push(Finding::new(level(0), self.kind, &self.path, what).offset(base_offset));
        }
        if self.rest_bytes > 0 {
            let what = format!("{} bytes behind the last entry, where an entry has {}", self.rest_bytes, E::BYTES);
            let finding = Finding::new(level(self.count), self.kind, &self.path, what);
            findings.push(finding.at(bytes(self.count), self.rest_bytes).offset(base_offset));
        }
        findings
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn note(&self, message: String) -> Finding {
        Finding::new(Level::Note, self.kind, &self.path, message)
    }

    fn entry(&mut self, slot: usize) -> io::Result<Option<E>> {
        if slot >= self.count {
            return Ok(None);
        }
        if slot < self.page_at || slot >= self.page_at + self.page.len() {
            let entries = PAGE_ENTRIES.min(self.count - slot);
            let mut bytes = vec![0; entries * E::BYTES];
            if self.file.read_at(&mut bytes, (slot * E::BYTES) as u64)? < bytes.len() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.page = bytes.chunks_exact(E::BYTES).map(E::decode).collect();
            self.page_at = slot;
        }
        Ok(self.page.get(slot - self.page_at).copied())
    }
}
