//! Reading batches where nothing is known to be one: every length is checked, every checksum compared.
//!
//! Kafka before 0.11 wrote messages of formats v0 and v1, which lie in old logs still. They are told from damage, and
//! nothing of them is ever cut or served:
//!
//! ```text
//!  0        8        12       16    17     18            26
//!  ┌────────┬────────┬────────┬─────┬──────┬─ ─ ─ ─ ─ ─ ─┬────────┬─────┬────────┬───────
//!  │ offset │ size   │ crc    │ 0,1 │ attr │ v1: timest. │ length │ key │ length │ value
//!  └────────┴────────┴────────┴─────┴──────┴─ ─ ─ ─ ─ ─ ─┴────────┴─────┴────────┴───────
//!   big-endian; `size` counts from offset 12; the CRC-32 (zlib's) covers everything from the magic byte on; the value
//!   of a compressed message is a set of messages, of which it has the offset of the last
//! ```

use std::borrow::Cow;
use std::io;

use super::batch_scan::{self, PlacedBatch, corrupt};
use crate::ids::Offset;
use crate::io::DiskFile;
use crate::protocol::batch::{BatchError, BatchHeader, HEADER_BYTES, LOG_OVERHEAD_BYTES};

/// The window of recovery.
const WINDOW_BYTES: usize = 1 << 20;
/// Offset, size, checksum, magic, attributes, lengths of key and value: the least that a message of v0 has.
pub(crate) const OLD_HEADER_BYTES: usize = LOG_OVERHEAD_BYTES + 14;
/// From here on the checksum covers a message of an old format.
const OLD_CHECKED_FROM: usize = LOG_OVERHEAD_BYTES + 4;
/// From here on the checksum covers a batch: behind base offset, length, epoch, magic and the checksum itself.
const CHECKED_FROM: usize = LOG_OVERHEAD_BYTES + 9;

/// A whole message of format v0 or v1, its checksum right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OldMessage {
    pub(crate) position: u64,
    pub(crate) size_bytes: u64,
    /// Of the last record, where it is compressed.
    pub(crate) offset: Offset,
    pub(crate) magic: i8,
}

impl OldMessage {
    pub(crate) fn end_position(&self) -> u64 {
        self.position + self.size_bytes
    }
}

/// The whole batches with the right checksum from a position on, up to the first that is none.
pub(crate) struct SoundBatches<'a> {
    file: &'a dyn DiskFile,
    position: u64,
    end: u64,
    /// Bytes of the file that are read at a time, and held.
    window_bytes: usize,
    window: Vec<u8>,
    window_at: u64,
}

impl<'a> SoundBatches<'a> {
    pub(crate) fn new(file: &'a dyn DiskFile, position: u64, end: u64) -> Self {
        Self::with_window(file, position, end, WINDOW_BYTES)
    }

    /// As [`Self::new`], with this much of the file read at a time.
    pub(crate) fn with_window(file: &'a dyn DiskFile, position: u64, end: u64, window_bytes: usize) -> Self {
        let window_bytes = window_bytes.max(HEADER_BYTES);
        Self { file, position, end, window_bytes, window: Vec::new(), window_at: position }
    }

    /// Where the last sound batch ended.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The next batch, and the position moves behind it; `None` at the end. `InvalidData`: there is none, and the
    /// position stays.
    pub(crate) fn next(&mut self) -> io::Result<Option<PlacedBatch>> {
        let left = self.end.saturating_sub(self.position);
        if left == 0 {
            return Ok(None);
        }
        let header = match BatchHeader::read(self.bytes(HEADER_BYTES)?) {
            Err(error @ BatchError::Magic(magic)) => {
                if self.old_message()?.is_none() {
                    return Err(corrupt(error));
                }
                let reason = format!("a sound message of format v{magic}, which is not served");
                return Err(io::Error::new(io::ErrorKind::Unsupported, reason));
            }
            header => header.map_err(corrupt)?,
        };
        let size_bytes = header.size_bytes();
        if size_bytes as u64 > left {
            return Err(corrupt(BatchError::Truncated { needed: size_bytes, available: left as usize }));
        }
        let computed = if size_bytes <= self.window_bytes {
            crc32c::crc32c(self.bytes(size_bytes)?.get(CHECKED_FROM..).unwrap_or_default())
        } else {
            let mut computed = 0;
            self.read_in_parts(CHECKED_FROM, size_bytes, |part| computed = crc32c::crc32c_append(computed, part))?;
            computed
        };
        if computed != header.crc {
            return Err(corrupt(BatchError::Crc { stored: header.crc, computed }));
        }
        let batch = PlacedBatch { position: self.position, header };
        self.position = batch.end_position();
        Ok(Some(batch))
    }

    /// The batch that [`Self::next`] has just told of.
    pub(super) fn whole(&self, batch: &PlacedBatch) -> io::Result<Cow<'_, [u8]>> {
        let at = batch.position.saturating_sub(self.window_at) as usize;
        match self.window.get(at..at + batch.header.size_bytes()) {
            Some(bytes) if batch.position >= self.window_at => Ok(Cow::Borrowed(bytes)),
            _ => batch_scan::read_whole(self.file, batch).map(Cow::Owned),
        }
    }

    /// The whole message of format v0 or v1 at the position, if there is one: that is no damage, and nothing to be cut.
    pub(crate) fn old_message(&mut self) -> io::Result<Option<OldMessage>> {
        let (position, left) = (self.position, self.end.saturating_sub(self.position));
        let &[o0, o1, o2, o3, o4, o5, o6, o7, s0, s1, s2, s3, c0, c1, c2, c3, magic] =
            self.bytes(OLD_CHECKED_FROM + 1)?
        else {
            return Ok(None);
        };
        let offset = Offset(i64::from_be_bytes([o0, o1, o2, o3, o4, o5, o6, o7]));
        let (size, crc) = (i32::from_be_bytes([s0, s1, s2, s3]), u32::from_be_bytes([c0, c1, c2, c3]));
        let size = LOG_OVERHEAD_BYTES + usize::try_from(size).unwrap_or(0);
        let is_possible = matches!(magic, 0 | 1) && size >= OLD_HEADER_BYTES && size as u64 <= left;
        if !is_possible {
            return Ok(None);
        }
        let mut computed = flate2::Crc::new();
        self.read_in_parts(OLD_CHECKED_FROM, size, |part| computed.update(part))?;
        let message = OldMessage { position, size_bytes: size as u64, offset, magic: magic as i8 };
        Ok((computed.sum() == crc).then_some(message))
    }

    /// Undoes the last step: its batch is sound, but has no business here.
    pub(super) fn step_back(&mut self, batch: &PlacedBatch) {
        self.position = batch.position;
    }

    /// Goes on at `position`, where a batch is hoped for.
    pub(crate) fn skip_to(&mut self, position: u64) {
        self.position = position;
    }

    /// `wanted` bytes from the position on, fewer only at the end.
    fn bytes(&mut self, wanted: usize) -> io::Result<&[u8]> {
        let wanted = wanted.min((self.end - self.position) as usize);
        let held = self.window_at + self.window.len() as u64;
        if self.position < self.window_at || self.position + wanted as u64 > held {
            let size = (self.end - self.position).min(self.window_bytes as u64) as usize;
            self.window.resize(size, 0);
            let read = self.file.read_at(&mut self.window, self.position)?;
            self.window.truncate(read);
            self.window_at = self.position;
        }
        let at = (self.position - self.window_at) as usize;
        Ok(&self.window[at..self.window.len().min(at + wanted)])
    }

    /// Shows what lies at the position, without more than a window of it in memory.
    fn read_in_parts(&self, from: usize, to: usize, mut show: impl FnMut(&[u8])) -> io::Result<()> {
        let mut part = vec![0; self.window_bytes.min(to - from)];
        let mut at = from;
        while at < to {
            let wanted = (to - at).min(part.len());
            if self.file.read_at(&mut part[..wanted], self.position + at as u64)? < wanted {
                return Err(corrupt(BatchError::Truncated { needed: to, available: at }));
            }
            show(&part[..wanted]);
            at += wanted;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;
    use std::path::Path;

    use super::*;
    use crate::io::sim::SimDisk;
    use crate::io::{Disk, OpenMode};
    use crate::log::testing::old_message;

    /// What reading the bytes from their beginning ends with.
    fn outcome(bytes: &[u8]) -> io::Result<Option<PlacedBatch>> {
        let disk = SimDisk::new(0);
        disk.create_directory(Path::new("data")).unwrap();
        let file = disk.open(Path::new("data/0.log"), OpenMode::Create).unwrap();
        file.write_all_at(&[IoSlice::new(bytes)], 0).unwrap();
        SoundBatches::new(&*file, 0, bytes.len() as u64).next()
    }

    #[test]
    fn a_sound_message_of_an_old_format_is_no_damage() {
        for magic in [0, 1] {
            let mut message = old_message(magic, 7, b"v");
            assert_eq!(outcome(&message).unwrap_err().kind(), io::ErrorKind::Unsupported);
            message.extend([0; 100]);
            assert_eq!(outcome(&message).unwrap_err().kind(), io::ErrorKind::Unsupported);
            message[20] ^= 1;
            assert_eq!(outcome(&message).unwrap_err().kind(), io::ErrorKind::InvalidData, "damaged");
            assert_eq!(
                outcome(&old_message(magic, 7, b"v")[..25]).unwrap_err().kind(),
                io::ErrorKind::InvalidData,
                "cut"
            );
        }
        assert_eq!(outcome(&[0; 4096]).unwrap_err().kind(), io::ErrorKind::InvalidData, "zeros");
        // Compressed ones were as large as any batch.
        let large = old_message(1, 7, &vec![b'v'; WINDOW_BYTES + 1]);
        assert_eq!(outcome(&large).unwrap_err().kind(), io::ErrorKind::Unsupported);
        assert_eq!(outcome(&large[..large.len() - 1]).unwrap_err().kind(), io::ErrorKind::InvalidData, "cut");
    }
}
