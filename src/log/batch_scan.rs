//! Walking over the batches of a segment's file: by header only, or with every byte checked.

use std::io;

use super::directory::FileKind;
use crate::ids::Offset;
use crate::io::DiskFile;
use crate::protocol::batch::{BatchError, BatchHeader, HEADER_BYTES};

/// Bytes read for the headers of a stretch of batches: about an index interval.
const HEADER_WINDOW_BYTES: usize = 4096;

/// A batch and where it begins in its file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlacedBatch {
    pub(crate) position: u64,
    pub(crate) header: BatchHeader,
}

impl PlacedBatch {
    pub(crate) fn end_position(&self) -> u64 {
        self.position + self.header.size_bytes() as u64
    }
}

/// The headers of the batches from one position on.
pub(super) struct HeaderScan<'a> {
    file: &'a dyn DiskFile,
    position: u64,
    end_position: u64,
    window: [u8; HEADER_WINDOW_BYTES],
    window_at: u64,
    window_len: usize,
    /// No batch that comes may begin before it.
    next_offset: Offset,
}

impl<'a> HeaderScan<'a> {
    /// `position` is the beginning of a batch, `end_position` the end of one.
    pub(super) fn new(file: &'a dyn DiskFile, position: u64, end_position: u64) -> Self {
        Self {
            file,
            position,
            end_position,
            window: [0; HEADER_WINDOW_BYTES],
            window_at: 0,
            window_len: 0,
            next_offset: Offset(i64::MIN),
        }
    }

    /// The next batch; `None` at the end. `InvalidData`: no whole batch lies there, or one that begins before the last
    /// one's end. The first sector of a batch may be lost while the rest is not: what looks like a header then has
    /// offset 0.
    pub(super) fn next(&mut self) -> io::Result<Option<PlacedBatch>> {
        if self.position >= self.end_position {
            return Ok(None);
        }
        let left = (self.end_position - self.position) as usize;
        let header = BatchHeader::read(self.header_bytes(left.min(HEADER_BYTES))?).map_err(corrupt)?;
        if header.size_bytes() > left {
            return Err(corrupt(BatchError::Truncated { needed: header.size_bytes(), available: left }));
        }
        if header.base_offset < self.next_offset || header.last_offset_delta < 0 {
            let reason = format!("a batch of offset {} where {} should follow", header.base_offset, self.next_offset);
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        let batch = PlacedBatch { position: self.position, header };
        self.position = batch.end_position();
        self.next_offset = header.next_offset();
        Ok(Some(batch))
    }

    fn header_bytes(&mut self, wanted: usize) -> io::Result<&[u8]> {
        let within = self.position >= self.window_at
            && self.position + wanted as u64 <= self.window_at + self.window_len as u64;
        if !within {
            let left = (self.end_position - self.position).min(HEADER_WINDOW_BYTES as u64) as usize;
            self.window_at = self.position;
            self.window_len = self.file.read_at(&mut self.window[..left], self.position)?;
        }
        let at = (self.position - self.window_at) as usize;
        Ok(&self.window[at..(at + wanted).min(self.window_len).max(at)])
    }
}

pub(super) fn corrupt(error: BatchError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// The first batch from `position` on that ends at or beyond `target`: the one that holds it, or the next one where
/// compaction has removed it. `InvalidData` too where the first batch begins beyond `indexed`, as far as that is given:
/// the index leads astray, and may pass over what is looked for.
pub(super) fn find_offset(
    file: &dyn DiskFile,
    position: u64,
    end_position: u64,
    indexed: Option<Offset>,
    target: Offset,
) -> io::Result<Option<PlacedBatch>> {
    if position > end_position {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the offset index leads behind the end"));
    }
    let mut scan = HeaderScan::new(file, position, end_position);
    let mut indexed = indexed;
    while let Some(batch) = scan.next()? {
        if indexed.take().is_some_and(|indexed| batch.header.base_offset > indexed) {
            let reason = format!("the offset index leads to offset {}", batch.header.base_offset);
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        if batch.header.last_offset() >= target {
            return Ok(Some(batch));
        }
    }
    Ok(None)
}

/// Whether it is the content that is not what it should be, as opposed to a device that fails.
pub(super) fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

/// The whole batch that `header` was read from.
pub(crate) fn read_whole(file: &dyn DiskFile, batch: &PlacedBatch) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; batch.header.size_bytes()];
    if file.read_at(&mut bytes, batch.position)? < bytes.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

/// Says which file an error came from.
pub(super) fn in_file(kind: FileKind, base_offset: Offset) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", kind.file_name(base_offset)))
}
