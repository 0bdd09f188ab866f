//! The content of one file: as it reads, and as it lies on the device.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use rand::Rng;
use rand::rngs::StdRng;

use super::SECTOR_BYTES;

#[derive(Debug, Default)]
pub(super) struct FileState {
    live: Vec<u8>,
    durable: Vec<u8>,
    /// What `live` is ahead of `durable`, in the order it was done.
    pending: VecDeque<Change>,
    /// All changes ever made; the last `pending.len()` of them are pending.
    written: u64,
    /// Reads need not wait for the device.
    pub(super) is_cached: bool,
    /// The name that it had at first.
    pub(super) created_as: PathBuf,
}

#[derive(Debug)]
enum Change {
    Write { position: usize, bytes: Vec<u8> },
    SetSize(usize),
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { position, bytes } => overwrite(content, *position, bytes),
            Self::SetSize(size) => content.resize(*size, 0),
        }
    }

    /// The parts of a write that a device writes or does not write as one.
    fn sectors(&self) -> Vec<Self> {
        let Self::Write { position, bytes } = self else { return Vec::new() };
        let mut sectors = Vec::new();
        let mut done = 0;
        while done < bytes.len() {
            let at = position + done;
            let end = bytes.len().min(done + SECTOR_BYTES - at % SECTOR_BYTES);
            sectors.push(Self::Write { position: at, bytes: bytes[done..end].to_vec() });
            done = end;
        }
        sectors
    }
}

fn overwrite(content: &mut Vec<u8>, position: usize, bytes: &[u8]) {
    let end = position + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[position..end].copy_from_slice(bytes);
}

impl FileState {
    pub(super) fn created_as(path: &Path) -> Self {
        Self { created_as: path.to_owned(), ..Self::default() }
    }

    pub(super) fn content(&mut self) -> &[u8] {
        self.is_cached = true;
        &self.live
    }

    pub(super) fn size_bytes(&self) -> u64 {
        self.live.len() as u64
    }

    pub(super) fn written(&self) -> u64 {
        self.written
    }

    pub(super) fn read(&mut self, buffer: &mut [u8], position: u64) -> usize {
        self.is_cached = true;
        let from = self.live.len().min(usize::try_from(position).unwrap_or(usize::MAX));
        let count = buffer.len().min(self.live.len() - from);
        buffer[..count].copy_from_slice(&self.live[from..from + count]);
        count
    }

    pub(super) fn write(&mut self, bytes: &[u8], position: u64) {
        if !bytes.is_empty() {
            self.change(Change::Write { position: position as usize, bytes: bytes.to_vec() });
        }
    }

    pub(super) fn set_size(&mut self, size_bytes: u64) {
        self.change(Change::SetSize(size_bytes as usize));
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.live);
        self.pending.push_back(change);
        self.written += 1;
        self.is_cached = true;
    }

    /// Makes the first `up_to` changes durable.
    pub(super) fn sync(&mut self, up_to: u64) {
        while let Some(change) = self.pop_pending(up_to) {
            change.apply(&mut self.durable);
        }
    }

    /// The device lost them, and the page cache holds them for clean.
    pub(super) fn fail_sync(&mut self, up_to: u64) {
        while self.pop_pending(up_to).is_some() {}
    }

    fn pop_pending(&mut self, up_to: u64) -> Option<Change> {
        let first = self.written - self.pending.len() as u64;
        if first < up_to { self.pending.pop_front() } else { None }
    }

    pub(super) fn crash(&mut self, rng: &mut StdRng) {
        let pending = std::mem::take(&mut self.pending);
        match rng.random_range(0..4) {
            0 => {}
            1 => pending.iter().for_each(|change| change.apply(&mut self.durable)),
            2 => self.keep_prefix(&pending, rng),
            _ => self.keep_some(&pending, rng),
        }
        self.live.clone_from(&self.durable);
        self.is_cached = false;
    }

    /// The device was written in order and stopped somewhere.
    fn keep_prefix(&mut self, pending: &VecDeque<Change>, rng: &mut StdRng) {
        let whole = rng.random_range(0..=pending.len());
        for change in pending.iter().take(whole) {
            change.apply(&mut self.durable);
        }
        let Some(torn) = pending.get(whole) else { return };
        let sectors = torn.sectors();
        let kept = rng.random_range(0..=sectors.len());
        for sector in &sectors[..kept] {
            sector.apply(&mut self.durable);
        }
    }

    /// The page cache was written back in any order.
    fn keep_some(&mut self, pending: &VecDeque<Change>, rng: &mut StdRng) {
        for change in pending {
            match change {
                Change::SetSize(_) if rng.random() => change.apply(&mut self.durable),
                Change::SetSize(_) => {}
                Change::Write { .. } => {
                    for sector in change.sectors() {
                        if rng.random() {
                            sector.apply(&mut self.durable);
                        }
                    }
                }
            }
        }
    }

    pub(super) fn flip_bit(&mut self, bit: u64) {
        let (byte, mask) = ((bit / 8) as usize, 1_u8 << (bit % 8));
        for content in [&mut self.live, &mut self.durable] {
            if let Some(byte) = content.get_mut(byte) {
                *byte ^= mask;
            }
        }
    }
}
