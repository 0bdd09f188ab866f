//! All sound batches of a segment's file, and the stretches between them that are none.
//!
//! ```text
//!  │ sound │ sound │ damaged ......... │ sound │ torn ... end
//!                    └─ the next batch: behind the length that the damaged header names,
//!                       else wherever a header makes sense and its checksum is right
//! ```
//! Messages of the formats before batches are walked over likewise, where there are any.

use std::io;

use crate::ids::Offset;
use crate::io::DiskFile;
use crate::log::batch_scan::PlacedBatch;
use crate::log::offset_index::relative_offset;
use crate::log::sound_batches::{OLD_HEADER_BYTES, OldMessage, SoundBatches};
use crate::protocol::batch::{BatchError, BatchHeader, HEADER_BYTES, LOG_OVERHEAD_BYTES};

/// Bytes that are searched for a header at a time.
const WINDOW_BYTES: usize = 1 << 20;
/// Where every format has its magic byte.
const MAGIC_AT: usize = 16;
/// Attributes that mean nothing (yet).
const UNKNOWN_ATTRIBUTES: i16 = !0x7f;
/// Likewise of a message of format v0 or v1, in the byte behind the magic.
const OLD_ATTRIBUTES_AT: usize = 17;
const UNKNOWN_OLD_ATTRIBUTES: u8 = !0x0f;
/// What looks like a header costs the checksum of the batch that it claims: over a whole search, so many times the
/// bytes that are searched.
const CANDIDATE_EXPANSION: u64 = 4;

/// What comes next in the file.
pub(super) enum Step {
    Sound(PlacedBatch),
    /// A sound message of format v0 or v1.
    Old(OldMessage),
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
    /// Messages of an old format were found.
    has_old: bool,
}

impl<'a> BatchWalk<'a> {
    pub(super) fn new(file: &'a dyn DiskFile, base_offset: Offset, end: u64) -> Self {
        Self { file, base_offset, end, batches: SoundBatches::new(file, 0, end), has_old: false }
    }

    /// How far the walk has come.
    pub(super) fn position(&self) -> u64 {
        self.batches.position()
    }

    /// The next batch or stretch; `expected` is the lowest offset that may follow.
    pub(super) fn next(&mut self, expected: Offset) -> io::Result<Option<Step>> {
        let error = match self.batches.next() {
            Ok(batch) => return Ok(batch.map(Step::Sound)),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                let Some(message) = self.batches.old_message()? else { return Err(error) };
                self.batches.skip_to(message.end_position());
                self.has_old = true;
                return Ok(Some(Step::Old(message)));
            }
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
        // The length is where it is in every format.
        if matches!(error, BatchError::Magic(_))
            && let Some(behind) = self.behind(position)?
        {
            return Ok((behind < self.end).then_some(behind));
        }
        let seeks_old = self.has_old || matches!(error, BatchError::Magic(0 | 1));
        self.search(position + 1, expected, seeks_old)
    }

    /// Behind a batch of a format that is not known, if something sound or the end is where its length says.
    fn behind(&self, position: u64) -> io::Result<Option<u64>> {
        let mut header = [0; LOG_OVERHEAD_BYTES];
        if self.file.read_at(&mut header, position)? < header.len() {
            return Ok(None);
        }
        let [.., s0, s1, s2, s3] = header;
        let behind = position + LOG_OVERHEAD_BYTES as u64 + u64::from(u32::from_be_bytes([s0, s1, s2, s3]));
        if behind >= self.end {
            return Ok((behind == self.end).then_some(behind));
        }
        let is_sound = match SoundBatches::new(self.file, behind, self.end).next() {
            Ok(batch) => batch.is_some(),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => true,
            Err(error) => batch_error(error).map(|_| false)?,
        };
        Ok(is_sound.then_some(behind))
    }

    /// The first sound batch at or behind `from`, or the first sound message of an old format.
    fn search(&self, from: u64, expected: Offset, seeks_old: bool) -> io::Result<Option<u64>> {
        let mut window = vec![0; WINDOW_BYTES.min(self.end.saturating_sub(from) as usize)];
        let mut budget = self.end.saturating_sub(from).saturating_mul(CANDIDATE_EXPANSION);
        let mut at = from;
        while at + HEADER_BYTES as u64 <= self.end {
            let read = self.file.read_at(&mut window, at)?;
            let places = (read + 1).saturating_sub(HEADER_BYTES);
            for place in 0..places {
                let position = at + place as u64;
                let (cost, is_sound) = match window[place + MAGIC_AT] {
                    2 => {
                        let Ok(header) = BatchHeader::read(&window[place..]) else { continue };
                        if !self.is_plausible(position, &header, expected) {
                            continue;
                        }
                        (header.size_bytes(), self.is_sound(position, &header, expected)?)
                    }
                    0 | 1 if seeks_old => {
                        let Some(size) = self.plausible_old(position, &window[place..], expected) else { continue };
                        let mut batches = SoundBatches::with_window(self.file, position, self.end, size);
                        (size, batches.old_message()?.is_some())
                    }
                    _ => continue,
                };
                if is_sound {
                    return Ok(Some(position));
                }
                budget = budget.saturating_sub(cost as u64);
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

    /// The size of the message of an old format that may begin with these bytes.
    fn plausible_old(&self, position: u64, bytes: &[u8], expected: Offset) -> Option<usize> {
        let (offset, rest) = bytes.split_first_chunk()?;
        let (size, _) = rest.split_first_chunk()?;
        let offset = Offset(i64::from_be_bytes(*offset));
        let size = LOG_OVERHEAD_BYTES + usize::try_from(i32::from_be_bytes(*size)).ok()?;
        let is_plausible = (OLD_HEADER_BYTES as u64..=self.end - position).contains(&(size as u64))
            && bytes.get(OLD_ATTRIBUTES_AT)? & UNKNOWN_OLD_ATTRIBUTES == 0
            && offset >= expected
            && relative_offset(self.base_offset, offset).is_some();
        is_plausible.then_some(size)
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
