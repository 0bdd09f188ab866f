//! All sound batches of a segment's file, and the stretches between them that are none.
//!
//! ```text
//!  │ sound │ sound │ damaged ......... │ sound │ torn ... end
//!                    └─ the next batch: behind the length that the damaged header names,
//!                       else wherever a header makes sense and its checksum is right
//! ```

use std::io;

use crate::ids::Offset;
use crate::io::DiskFile;
use crate::log::batch_scan::PlacedBatch;
use crate::log::offset_index::relative_offset;
use crate::log::sound_batches::SoundBatches;
use crate::protocol::batch::{BatchError, BatchHeader, HEADER_BYTES};

/// Bytes that are searched for a header at a time.
const WINDOW_BYTES: usize = 1 << 20;
/// Where every format has its magic byte.
const MAGIC_AT: usize = 16;
/// Attributes that mean nothing (yet).
const UNKNOWN_ATTRIBUTES: i16 = !0x7f;
/// What looks like a header costs the checksum of the batch that it claims: over a whole search, so many times the
/// bytes that are searched.
const CANDIDATE_EXPANSION: u64 = 4;

/// What comes next in the file.
pub(super) enum Step {
    Sound(PlacedBatch),
    Damaged(Stretch),
}

/// Bytes that hold no sound batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) position: u64,
    /// Where the next sound batch begins, or the end of the file.
    pub(super) end: u64,
    /// What is wrong with the batch that should begin there.
    pub(super) error: BatchError,
}

/// The way through one segment.
pub(super) struct BatchWalk<'a> {
    file: &'a dyn DiskFile,
    base_offset: Offset,
    end: u64,
    batches: SoundBatches<'a>,
}

impl<'a> BatchWalk<'a> {
    pub(super) fn new(file: &'a dyn DiskFile, base_offset: Offset, end: u64) -> Self {
        Self { file, base_offset, end, batches: SoundBatches::new(file, 0, end) }
    }

    /// How far the walk has come.
    pub(super) fn position(&self) -> u64 {
        self.batches.position()
    }

    /// The next batch or stretch; `expected` is the lowest offset that may follow.
    pub(super) fn next(&mut self, expected: Offset) -> io::Result<Option<Step>> {
        let error = match self.batches.next() {
            Ok(batch) => return Ok(batch.map(Step::Sound)),
            Err(error) => batch_error(error)?,
        };
        let position = self.batches.position();
        let end = self.find_next(position, &error, expected)?.unwrap_or(self.end);
        self.batches.skip_to(end);
        Ok(Some(Step::Damaged(Stretch { position, end, error })))
    }

    /// The header at a position, whatever it is worth; `None` at the end.
    pub(super) fn peek(&self, position: u64) -> io::Result<Option<BatchHeader>> {
        let mut bytes = [0; HEADER_BYTES];
        if position + HEADER_BYTES as u64 > self.end || self.file.read_at(&mut bytes, position)? < HEADER_BYTES {
            return Ok(None);
        }
        Ok(BatchHeader::read(&bytes).ok())
    }

    fn find_next(&self, position: u64, error: &BatchError, expected: Offset) -> io::Result<Option<u64>> {
        if let (BatchError::Crc { .. }, Some(header)) = (error, self.peek(position)?) {
            let behind = position + header.size_bytes() as u64;
            if behind == self.end {
                return Ok(None);
            }
            if let Some(next) = self.peek(behind)?
                && self.is_sound(behind, &next, expected)?
            {
                return Ok(Some(behind));
            }
        }
        self.search(position + 1, expected)
    }

    /// The first sound batch at or behind `from`.
    fn search(&self, from: u64, expected: Offset) -> io::Result<Option<u64>> {
        let mut window = vec![0; WINDOW_BYTES.min(self.end.saturating_sub(from) as usize)];
        let mut budget = self.end.saturating_sub(from).saturating_mul(CANDIDATE_EXPANSION);
        let mut at = from;
        while at + HEADER_BYTES as u64 <= self.end {
            let read = self.file.read_at(&mut window, at)?;
            let places = (read + 1).saturating_sub(HEADER_BYTES);
            for place in 0..places {
                if window[place + MAGIC_AT] != 2 {
                    continue;
                }
                let Ok(header) = BatchHeader::read(&window[place..]) else { continue };
                let position = at + place as u64;
                if !self.is_plausible(position, &header, expected) {
                    continue;
                }
                budget = budget.saturating_sub(header.size_bytes() as u64);
                if self.is_sound(position, &header, expected)? {
                    return Ok(Some(position));
                }
                if budget == 0 {
                    return Ok(None);
                }
            }
            if places == 0 {
                break;
            }
            at += places as u64;
        }
        Ok(None)
    }

    fn is_sound(&self, position: u64, header: &BatchHeader, expected: Offset) -> io::Result<bool> {
        if !self.is_plausible(position, header, expected) {
            return Ok(false);
        }
        match SoundBatches::new(self.file, position, self.end).next() {
            Ok(batch) => Ok(batch.is_some()),
            Err(error) => batch_error(error).map(|_| false),
        }
    }

    fn is_plausible(&self, position: u64, header: &BatchHeader, expected: Offset) -> bool {
        header.size_bytes() as u64 <= self.end - position
            && header.attributes & UNKNOWN_ATTRIBUTES == 0
            && header.last_offset_delta >= 0
            && (0..=i64::from(header.last_offset_delta) + 1).contains(&i64::from(header.record_count))
            && header.base_offset >= expected
            && relative_offset(self.base_offset, header.last_offset()).is_some()
    }
}

/// What is wrong with the bytes, as opposed to a device that fails.
fn batch_error(error: io::Error) -> io::Result<BatchError> {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<BatchError>()) {
        Some(found) => Ok(*found),
        None => Err(error),
    }
}
